"""What answers a device on our behalf."""

from typing import Protocol

from mdmserver.checkin.model import Answer, Reply
from mdmserver.protocol import DeclarativeManagement, EnrollmentID, GetToken


class DeclarativePort(Protocol):
    """Answers DeclarativeManagement check-ins."""

    async def answer(self, message: DeclarativeManagement) -> Reply:
        """JSON, EMPTY for a status report, or NOT_FOUND, on which the device removes the declaration."""
        ...


class NoDeclarations:
    """Declarative management does not exist yet: there is no declaration and no token."""

    async def answer(self, message: DeclarativeManagement) -> Reply:
        """Always NOT_FOUND."""
        return Reply(answer=Answer.NOT_FOUND)


class TokenProvider(Protocol):
    """Makes the data of one GetToken service, registered under its TokenServiceType."""

    async def token_data(self, id: EnrollmentID, message: GetToken) -> bytes:
        """The token's bytes for this enrollment."""
        ...
