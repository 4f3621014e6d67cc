"""Makes the profile that a device enrolls with, and again for each renewal: signed, with a challenge of its own."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from certs import CertificateError, PrivateKey
from mdmserver.commands.model import OpenItem
from mdmserver.commands.ports import Renderer
from mdmserver.devices.store import Channel
from mdmserver.errors import MDMError
from mdmserver.issuance.authorities import Authorities
from mdmserver.issuance.model import CHALLENGE_BYTES, secret_hash
from mdmserver.issuance.store import IssuanceStore
from mdmserver.protocol import CommandUUID, build_command
from mdmserver.secret import Secret
from mdmserver.transaction import Transaction
from profiles import (
    EnrollmentSettings,
    Identifiers,
    ProfileError,
    SCEPSettings,
    enrollment_profile,
    identifiers_of,
    render,
    sign_profile,
)

_log = logging.getLogger(__name__)
SCEP_PATH = "/scep"
PLACEHOLDER_TOPIC = "com.apple.mgmt.External.placeholder"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSettings:
    """What the deployment says of its profile. URLs are the public ones; an empty topic is the push certificate's."""

    url: str
    command_path: str
    checkin_path: str
    organization: str
    display_name: str
    topic: str
    trusts_own_ca: bool
    """The server's TLS certificate is its own CA's, so the profile brings that CA."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSigner:
    """Who signs profiles: the server's TLS identity where there is one, which devices show as verified."""

    certificate: bytes
    key: PrivateKey
    chain: tuple[bytes, ...] = ()


class EnrollmentProfiles:
    """Builds enrollment profiles.

    `signer` gives the present TLS identity, `push_topic` the topic of the push certificate; None where there is none.
    """

    def __init__(
        self,
        *,
        settings: ProfileSettings,
        authorities: Authorities,
        signer: Callable[[], ProfileSigner | None],
        push_topic: Callable[[], str | None],
    ) -> None:
        self._settings = settings
        self._authorities = authorities
        self._signer = signer
        self._push_topic = push_topic
        self._identifiers = identifiers_of(urlsplit(settings.url).hostname or "localhost")

    @property
    def identifier(self) -> str:
        """The PayloadIdentifier of the profile, by which a device knows it."""
        return self._identifiers.identifier("enrollment")

    def build(self, challenge: Secret[str]) -> bytes:
        """The signed profile (DER) with this challenge in it. Takes about two milliseconds of one core."""
        return self.sign(render(enrollment_profile(self._profile_settings(challenge))))

    @property
    def identifiers(self) -> Identifiers:
        """The names of this deployment's profiles."""
        return self._identifiers

    def sign(self, rendered: bytes) -> bytes:
        """A profile signed as this server signs: with its TLS identity where there is one, otherwise by its CA."""
        own = self._authorities.issuing.authority
        signer = self._signer() or ProfileSigner(certificate=own.certificate_der, key=own.private_key)
        return sign_profile(rendered, signer.certificate, signer.key, signer.chain)

    def _profile_settings(self, challenge: Secret[str]) -> EnrollmentSettings:
        settings, own = self._settings, self._authorities.issuing.authority
        topic = settings.topic or self._push_topic()
        return EnrollmentSettings(
            identifiers=self._identifiers,
            topic=topic or PLACEHOLDER_TOPIC,
            topic_is_placeholder=topic is None,
            server_url=settings.url + settings.command_path,
            check_in_url=settings.url + settings.checkin_path,
            display_name=settings.display_name,
            organization=settings.organization or None,
            scep=SCEPSettings(
                url=settings.url + SCEP_PATH,
                challenge=challenge.reveal(),
                ca_fingerprint=own.sha256_fingerprint,
            ),
            trusted_certificates=tuple(each.authority.certificate_der for each in self._authorities.all)
            if settings.trusts_own_ca
            else (),
        )


def renewal_renderer(
    profiles: EnrollmentProfiles,
    issuance: IssuanceStore,
    *,
    challenge_lifetime: timedelta,
    random_token: Callable[[int], str],
) -> Renderer:
    """Renders the InstallProfile of a renewal: a challenge is minted for each delivery and replaces the one before."""

    async def renderer(tx: Transaction, item: OpenItem, channel: Channel, at: datetime) -> bytes | None:
        challenge = random_token(CHALLENGE_BYTES)
        try:
            payload = profiles.build(Secret(challenge))
        except (ProfileError, CertificateError, MDMError) as error:
            # A certificate or setting of ours is broken: that must not keep the device from its other commands.
            _log.error("renewal_not_rendered", extra={"command_uuid": item.command_uuid, "code": error.code})
            return None
        await issuance.mint(
            tx,
            secret_hash=secret_hash(challenge),
            invitation=None,
            enrollment=channel.device,
            replaces=True,
            expires_at=at + challenge_lifetime,
            at=at,
        )
        return build_command(CommandUUID(item.command_uuid), {"RequestType": "InstallProfile", "Payload": payload}).body

    return renderer
