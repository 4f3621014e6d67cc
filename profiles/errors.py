"""What can be wrong with a profile, made here or read.

    ProfileError
    ├── KeyInvalid             a key's value breaks one of Apple's rules, or one of ours
    ├── PayloadRefused         a payload that is not made here at all: identities with their key (S16)
    ├── ProfileMalformed       what was read is not a profile, or lacks what it was read for
    └── SigningFailed          the key, the certificate or the chain cannot sign

Signatures that do not hold raise the errors of `certs`.
"""

from typing import ClassVar


class ProfileError(Exception):
    """Root of the tree; `code` is stable, `key` the place at fault (`PayloadContent.Challenge`), no value is quoted."""

    code: ClassVar[str] = "profile_error"

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key


class KeyInvalid(ProfileError):
    """The value of a key may not stand there."""

    code = "profile_key_invalid"


class PayloadRefused(ProfileError):
    """A payload of this kind is never put into a profile."""

    code = "profile_payload_refused"


class ProfileMalformed(ProfileError):
    """Not a profile, or one without the payloads or keys that were looked for."""

    code = "profile_malformed"


class SigningFailed(ProfileError):
    """No signature can be made with this key and these certificates."""

    code = "profile_signing_failed"
