"""What can stop a simulated device.

SimulatorError
├── ServerUnreachable        no connection, a time-out, or a connection that ended before the answer
│   └── ReplyLost            the same on purpose: the request went out, the answer did not arrive
├── OutOfReach               the device went silent on purpose, in the middle of a renewal
├── ServerRefused            an answer that is not 2xx
├── EnrollmentRefused        no identity, so that there is nothing to check in with
│   ├── InvitationRefused    no profile: the invitation is not valid, or leads to none
│   ├── ProfileRefused       a profile that a device would not install
│   └── CertificateDenied    SCEP gave no certificate, or not by the CA that the profile names
├── CommandUnreadable        an answer that holds no command that could even be named
├── FeedUnreachable          nobody tells which pushes were sent
└── FleetFileInvalid         a fleet file that cannot be read
"""


class SimulatorError(Exception):
    """Root of the tree; the message is for the person who runs the simulator."""


class ServerUnreachable(SimulatorError):
    """No answer from the server; `reason` is the kind of fault, short and the same each time."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class ReplyLost(ServerUnreachable):
    """The device dropped its connection after sending."""

    def __init__(self) -> None:
        super().__init__("the reply was lost on purpose", reason="reply lost")


class OutOfReach(SimulatorError):
    """The device stopped in the middle; it goes on at its next connect with what it has by then."""


class ServerRefused(SimulatorError):
    """The server answered with a status that is not 2xx."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message}: the server answered {status}")
        self.status = status


class EnrollmentRefused(SimulatorError):
    """The device got no identity; `reason` is the kind of fault, short and the same each time."""

    reason = "no identity"


class InvitationRefused(EnrollmentRefused):
    """The server has no page or no profile for this invitation."""

    reason = "invitation refused"


class ProfileRefused(EnrollmentRefused):
    """What came as an enrollment profile is none, is not signed, or changes what may not change."""

    reason = "profile refused"


class CertificateDenied(EnrollmentRefused):
    """SCEP ended without a certificate that the device can use."""

    reason = "certificate denied"


class CommandUnreadable(SimulatorError):
    """No CommandUUID could be read, so there is nothing to report about."""


class FeedUnreachable(SimulatorError):
    """There is no stand-in for APNs to hear of pushes from."""


class FleetFileInvalid(SimulatorError):
    """The file that keeps a fleet cannot be read."""
