"""What can stop a simulated device.

SimulatorError
├── ServerUnreachable   no connection, a time-out, or a connection that ended before the answer
│   └── ReplyLost       the same on purpose: the request went out, the answer did not arrive
├── ServerRefused       an answer that is not 2xx
├── CommandUnreadable   an answer that holds no command that could even be named
└── FleetFileInvalid    a fleet file that cannot be read
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


class ServerRefused(SimulatorError):
    """The server answered with a status that is not 2xx."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message}: the server answered {status}")
        self.status = status


class CommandUnreadable(SimulatorError):
    """No CommandUUID could be read, so there is nothing to report about."""


class FleetFileInvalid(SimulatorError):
    """The file that keeps a fleet cannot be read."""
