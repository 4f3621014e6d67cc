"""`com.apple.security.scep`: where and how a device gets its identity by SCEP (protocol.md 4.3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Any, Self

from profiles.errors import KeyInvalid
from profiles.payloads.payload import Payload, PayloadType, present
from profiles.payloads.subject import (
    Subject,
    SubjectAltName,
    check_subject,
    read_subject,
    read_subject_alt_name,
    subject_plist,
)
from profiles.plist_keys import PlistKeys
from profiles.urls import check_http_url

_KEY_SIZES = (1024, 2048, 4096)
_KEY_USAGES = (0, 1, 4, 5)
_FINGERPRINT_BYTES = (20, 32)  # SHA-1, SHA-256


class KeyUsage(IntFlag):
    """What a device may do with its key."""

    SIGNING = 1
    ENCRYPTION = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SCEPPayload(Payload):
    """An identity that the device asks a SCEP server for; `challenge` is a secret and in no repr and no error.

    `ca_fingerprint` is SHA-1 or SHA-256 over the CA's certificate.
    """

    type: str = field(default=PayloadType.SCEP, init=False)
    url: str
    challenge: str | None = field(default=None, repr=False)
    name: str | None = None
    subject: Subject = ()
    key_size: int | None = 2048
    key_usage: KeyUsage | None = None
    ca_fingerprint: bytes | None = None
    retries: int | None = None
    retry_delay_seconds: int | None = None
    subject_alt_name: SubjectAltName | None = None
    key_is_extractable: bool | None = None
    allow_all_apps_access: bool | None = None

    def check(self) -> None:
        """Raises KeyInvalid for a value that devices refuse."""
        check_http_url(self.url, "PayloadContent.URL")
        check_subject(self.subject, "PayloadContent.Subject")
        if self.key_size is not None and self.key_size not in _KEY_SIZES:
            raise KeyInvalid("PayloadContent.Keysize", "not 1024, 2048 or 4096")
        if self.key_usage is not None and int(self.key_usage) not in _KEY_USAGES:
            raise KeyInvalid("PayloadContent.Key Usage", "not 0, 1, 4 or 5")
        if self.ca_fingerprint is not None and len(self.ca_fingerprint) not in _FINGERPRINT_BYTES:
            raise KeyInvalid("PayloadContent.CAFingerprint", "not 20 bytes (SHA-1) or 32 (SHA-256)")
        for key, number in (("Retries", self.retries), ("RetryDelay", self.retry_delay_seconds)):
            if number is not None and number < 0:
                raise KeyInvalid(f"PayloadContent.{key}", "less than 0")

    def settings(self) -> Mapping[str, Any]:
        """The keys, all of them inside PayloadContent."""
        names = self.subject_alt_name.plist() if self.subject_alt_name else None
        return {
            "PayloadContent": present(
                {
                    "URL": self.url,
                    "Challenge": self.challenge,
                    "Name": self.name,
                    "Subject": subject_plist(self.subject),
                    "Keysize": self.key_size,
                    "Key Type": "RSA",
                    "Key Usage": self.key_usage,
                    "CAFingerprint": self.ca_fingerprint,
                    "Retries": self.retries,
                    "RetryDelay": self.retry_delay_seconds,
                    "SubjectAltName": names or None,
                    "KeyIsExtractable": self.key_is_extractable,
                    "AllowAllAppsAccess": self.allow_all_apps_access,
                }
            )
        }

    @classmethod
    def read(cls, plist: Mapping[str, Any]) -> Self:
        """The payload from its dictionary; raises ProfileMalformed, and KeyInvalid as `check` does."""
        payload = PlistKeys(plist, PayloadType.SCEP)
        keys = payload.dictionary("PayloadContent")
        usage, names = keys.optional_integer("Key Usage"), keys.optional_dictionary("SubjectAltName")
        return cls(
            identifier=payload.text("PayloadIdentifier"),
            uuid=payload.text("PayloadUUID"),
            display_name=payload.optional_text("PayloadDisplayName"),
            description=payload.optional_text("PayloadDescription"),
            organization=payload.optional_text("PayloadOrganization"),
            url=keys.text("URL"),
            challenge=keys.optional_text("Challenge"),
            name=keys.optional_text("Name"),
            subject=read_subject(keys.array("Subject"), f"{keys.place}.Subject"),
            key_size=keys.optional_integer("Keysize"),
            key_usage=None if usage is None else KeyUsage(usage),
            ca_fingerprint=keys.optional_data("CAFingerprint"),
            retries=keys.optional_integer("Retries"),
            retry_delay_seconds=keys.optional_integer("RetryDelay"),
            subject_alt_name=None if names is None else read_subject_alt_name(names),
            key_is_extractable=keys.optional_boolean("KeyIsExtractable"),
            allow_all_apps_access=keys.optional_boolean("AllowAllAppsAccess"),
        )
