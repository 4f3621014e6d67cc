"""Every error the server raises on purpose; what is not in this tree is a defect and becomes a 500.

    MDMError
    ├── Invalid              the caller broke a rule: what was sent cannot be right
    ├── NotFound             no such thing, or not visible to the caller
    ├── Conflict             right in itself, but not in the present state
    ├── AccessRefused        no API key, an unknown one, an expired or revoked one
    ├── ScopeMissing         a good key that may not do this
    ├── IdentityRefused      a device certificate that does not belong here (403, never 401)
    ├── TooLarge             over a size limit
    └── Unavailable          ours: storage down, queue full, shutting down (503)

`certs`, `profiles` and `protocol` have small roots of their own. HTTP statuses are known to `web/errors.py` alone.
"""


class MDMError(Exception):
    """Root of the tree; `code` is stable and part of the API, the message is for people and holds no secret."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class Invalid(MDMError):
    """What the caller sent cannot be right, now or later."""

    code = "invalid"


class NotFound(MDMError):
    """There is no such thing."""

    code = "not_found"


class Conflict(MDMError):
    """The request is well formed but does not fit the present state."""

    code = "conflict"


class AccessRefused(MDMError):
    """No usable API key was presented."""

    code = "access_refused"


class ScopeMissing(MDMError):
    """The API key is good but lacks the scope this needs."""

    code = "scope_missing"


class IdentityRefused(MDMError):
    """A device's certificate may not do what it asked; the device gets 403 with an empty body."""

    code = "identity_refused"


class TooLarge(MDMError):
    """A body or a list is over its limit."""

    code = "too_large"


class Unavailable(MDMError):
    """The fault is ours and passing: the caller may try again after `retry_after_seconds`."""

    code = "unavailable"
    retry_after_seconds = 5
