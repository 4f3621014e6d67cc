"""What is wrong with bytes from the wire.

    ProtocolError
    ├── PlistMalformed         not one well-formed XML plist with a dictionary as its root
    │   └── BinaryPlistRefused the binary form, which no device endpoint takes
    ├── PlistTooLarge          deeper, longer or costlier than the limits allow
    ├── MessageMalformed       a plist, but not a valid message
    └── UnknownMessage         a check-in message of a kind that we do not know

No other exception leaves this package for bytes of any kind.
"""


class ProtocolError(Exception):
    """Root of the tree; `code` is stable, the message names the fault and never a value that may be secret."""

    code = "protocol_error"


class PlistMalformed(ProtocolError):
    """Not one well-formed XML plist, or a value that a plist cannot hold."""

    code = "plist_malformed"


class BinaryPlistRefused(PlistMalformed):
    """A binary plist: small ones can unfold to gigabytes, and devices send XML."""

    code = "binary_plist_refused"


class PlistTooLarge(ProtocolError):
    """A plist that exceeds one of the `PlistLimits`; it may be well formed."""

    code = "plist_too_large"


class MessageMalformed(ProtocolError):
    """A key that the message cannot do without is missing, of the wrong type or out of range."""

    code = "message_malformed"


class UnknownMessage(ProtocolError):
    """The MessageType is none of Apple's that this server speaks."""

    code = "unknown_message"
