"""How a device comes to its identity: by an invitation when it enrolls, by its profile sent again when it renews."""

from collections.abc import Callable
from random import Random
from urllib.parse import urlsplit

from mdmserver.simulator.errors import ProfileRefused
from mdmserver.simulator.identity import Identity, RSAKeys
from mdmserver.simulator.invitation import download_profile
from mdmserver.simulator.management import Management, downloaded_management
from mdmserver.simulator.scep import SCEPClient
from mdmserver.simulator.transport import Transport

DEFAULT_KEY_BITS = 1024
"""Apple's, for a SCEP payload that does not say."""

MayVisit = Callable[[str], bool]
"""Whether simulated devices may go to the server of this URL."""


class Applicant:
    """Applies for the certificates of all devices of a fleet; nothing of one device is remembered."""

    def __init__(self, *, keys: RSAKeys, scep: SCEPClient, may_visit: MayVisit = lambda url: True) -> None:
        self._keys = keys
        self._scep = scep
        self._may_visit = may_visit

    async def accept(
        self, transport: Transport, invitation: str, *, random: Random, loses_reply: bool = False
    ) -> tuple[Identity, Management]:
        """The identity and the management that the invitation's URL leads to.

        Raises EnrollmentRefused, ServerUnreachable.
        """
        async with transport.browse() as browser:
            management = downloaded_management(await download_profile(browser, invitation))
        return await self.certify(transport, management, random=random, loses_reply=loses_reply), management

    async def certify(
        self, transport: Transport, management: Management, *, random: Random, loses_reply: bool = False
    ) -> Identity:
        """An identity with a key of its own by the SCEP payload. Raises EnrollmentRefused, ServerUnreachable."""
        self._check_urls(management)
        scep = management.enrollment.scep
        key = await self._keys.take(scep.key_size or DEFAULT_KEY_BITS)
        async with transport.browse(management.enrollment.trusted_certificates) as browser:
            certificate = await self._scep.obtain(browser, scep, key, random=random, loses_reply=loses_reply)
        return Identity(certificate_der=certificate, key=key)

    def _check_urls(self, management: Management) -> None:
        mdm, scep = management.enrollment.mdm, management.enrollment.scep
        for url in (mdm.server_url, mdm.check_in_url or mdm.server_url, scep.url):
            if not self._may_visit(url):
                raise ProfileRefused(f"the profile sends devices to {urlsplit(url).hostname}, which is not allowed")
