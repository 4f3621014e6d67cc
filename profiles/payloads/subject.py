"""The names that a device asks for in its certificate, as SCEP and ACME payloads spell them; CAs may ignore them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from profiles.errors import KeyInvalid, ProfileMalformed
from profiles.payloads.payload import present
from profiles.plist_keys import PlistKeys

NamePart = tuple[str, str]
Subject = tuple[tuple[NamePart, ...], ...]
"""Relative distinguished names in order, each of pairs: a short name or dotted OID, and the value."""

_ATTRIBUTE = re.compile(r"C|L|ST|O|OU|CN|[012](\.\d+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectAltName:
    """Alternative names; of the first three a payload may have several."""

    rfc822_names: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    nt_principal_name: str | None = None

    def plist(self) -> dict[str, Any]:
        """The dictionary, with one string where there is one and an array where there are several."""
        return present(
            {
                "rfc822Name": _one_or_all(self.rfc822_names),
                "dNSName": _one_or_all(self.dns_names),
                "uniformResourceIdentifier": _one_or_all(self.uris),
                "ntPrincipalName": self.nt_principal_name,
            }
        )


def subject_of(*parts: NamePart) -> Subject:
    """A subject in which every relative name is one pair, as nearly all are."""
    return tuple((part,) for part in parts)


def check_subject(subject: Subject, key: str) -> None:
    """Raises KeyInvalid for a relative name without a pair, and for an attribute that is no OID or short name."""
    for relative_name in subject:
        if not relative_name:
            raise KeyInvalid(key, "a relative name without a pair")
        for attribute, _ in relative_name:
            if not _ATTRIBUTE.fullmatch(attribute):
                raise KeyInvalid(key, "an attribute is neither C, L, ST, O, OU or CN nor a dotted OID")


def subject_plist(subject: Subject) -> list[list[list[str]]] | None:
    """The three arrays in one another; None for an empty subject."""
    return [[list(part) for part in relative_name] for relative_name in subject] or None


def read_subject(arrays: Sequence[Any], key: str) -> Subject:
    """The subject from its three arrays; raises ProfileMalformed."""
    return tuple(tuple(_pair(part, key) for part in _array(relative_name, key)) for relative_name in arrays)


def read_subject_alt_name(keys: PlistKeys) -> SubjectAltName:
    """The alternative names from their dictionary; raises ProfileMalformed."""
    return SubjectAltName(
        rfc822_names=keys.text_or_texts("rfc822Name"),
        dns_names=keys.text_or_texts("dNSName"),
        uris=keys.text_or_texts("uniformResourceIdentifier"),
        nt_principal_name=keys.optional_text("ntPrincipalName"),
    )


def _one_or_all(names: tuple[str, ...]) -> str | list[str] | None:
    return names[0] if len(names) == 1 else list(names) or None


def _pair(part: Any, key: str) -> NamePart:
    match part:
        case [str(attribute), str(value)]:
            return attribute, value
    raise ProfileMalformed(key, "a part of the name is not a pair of strings")


def _array(value: Any, key: str) -> list[Any]:
    if not isinstance(value, list):
        raise ProfileMalformed(key, "a relative name is not an array")
    return value
