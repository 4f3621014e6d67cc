"""`com.apple.security.acme`: where and how a device gets its identity by ACME (protocol.md 4.3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from profiles.errors import KeyInvalid
from profiles.payloads.payload import Payload, PayloadType
from profiles.payloads.scep import KeyUsage
from profiles.payloads.subject import Subject, SubjectAltName, check_subject, subject_plist
from profiles.urls import check_https_url

_HARDWARE_CURVES = (256, 384)
_CURVES = (192, 256, 384, 521)
_RSA_SIZES = range(1024, 4096 + 1, 8)


class KeyType(StrEnum):
    """The kind of key that the device makes."""

    RSA = "RSA"
    EC = "ECSECPrimeRandom"


@dataclass(frozen=True, slots=True, kw_only=True)
class ACMEPayload(Payload):
    """An identity that the device orders from an ACME server; `client_identifier` is as secret as a challenge."""

    type: str = field(default=PayloadType.ACME, init=False)
    directory_url: str
    client_identifier: str = field(repr=False)
    key_type: KeyType
    key_size: int
    hardware_bound: bool
    subject: Subject
    subject_alt_name: SubjectAltName | None = None
    usage_flags: KeyUsage | None = None
    extended_key_usage: tuple[str, ...] = ()
    attest: bool | None = None
    key_is_extractable: bool | None = None
    allow_all_apps_access: bool | None = None

    def check(self) -> None:
        """Raises KeyInvalid for a value or a combination that devices refuse."""
        check_https_url(self.directory_url, "DirectoryURL")
        check_subject(self.subject, "Subject")
        if self.hardware_bound and self.key_type is not KeyType.EC:
            raise KeyInvalid("HardwareBound", f"needs the key type {KeyType.EC}")
        if self.attest and not self.hardware_bound:
            raise KeyInvalid("Attest", "needs HardwareBound")
        sizes = _RSA_SIZES if self.key_type is KeyType.RSA else _HARDWARE_CURVES if self.hardware_bound else _CURVES
        if self.key_size not in sizes:
            raise KeyInvalid("KeySize", "not a size of this kind of key")

    def settings(self) -> Mapping[str, Any]:
        """The keys, which stand in the payload itself."""
        names = self.subject_alt_name.plist() if self.subject_alt_name else None
        return {
            "DirectoryURL": self.directory_url,
            "ClientIdentifier": self.client_identifier,
            "KeyType": self.key_type,
            "KeySize": self.key_size,
            "HardwareBound": self.hardware_bound,
            "Subject": subject_plist(self.subject) or [],
            "SubjectAltName": names or None,
            "UsageFlags": self.usage_flags,
            "ExtendedKeyUsage": self.extended_key_usage or None,
            "Attest": self.attest,
            "KeyIsExtractable": self.key_is_extractable,
            "AllowAllAppsAccess": self.allow_all_apps_access,
        }
