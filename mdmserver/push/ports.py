"""What waking devices needs of the outside."""

from collections.abc import Sequence
from typing import Protocol

from mdmserver.push.model import Notification, Outcome, PushIdentity
from mdmserver.secret import Secret


class PushGateway(Protocol):
    """Apple's push service. It keeps long-lived connections per topic, and never raises for what APNs says."""

    def use(self, identities: Sequence[PushIdentity]) -> None:
        """From now on these and no others. A topic with another certificate gets new connections; what is in flight
        on the old ones is finished."""
        ...

    async def push(self, topic: str, notification: Notification) -> Outcome:
        """Send one and wait for the answer. No answer in time, a lost connection, a refused certificate or a topic that
        is not in use are Outcomes without status. Cancelling the caller harms no other push."""
        ...

    async def close(self) -> None:
        """End all connections."""
        ...


class PushRequestSigner(Protocol):
    """A service that signs push certificate requests as an MDM vendor, and mails the result."""

    async def sign_request(
        self, *, csr_der: bytes, email: str, encryption_certificate: bytes, api_key: Secret[str]
    ) -> None:
        """Ask for a signature; the answer is mailed to this address, encrypted to the certificate (PEM or DER).

        Raises Invalid where the service or its rules refuse, Unavailable where it did not answer as it should. It
        is not tried again: whoever asked can tell whether a mail came.
        """
        ...
