"""From an invitation's URL to the profile in a person's hand."""

from dataclasses import dataclass
from datetime import datetime

from mdmserver.audit.model import Actor
from mdmserver.enrollment.profile import SCEP_PATH, EnrollmentProfiles, ProfileSettings
from mdmserver.issuance.invitations import InvitationService
from mdmserver.issuance.model import InvitationRow
from mdmserver.offload import Offload
from mdmserver.secret import Secret

PAGE_PATH = "/enroll"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentPage:
    """What the page behind an invitation's URL shows, that URL among it, for the code that a camera reads."""

    url: Secret[str]
    organization: str
    display_name: str
    user_name: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SCEPAccess:
    """What another SCEP client needs: where, and its challenge."""

    url: str
    challenge: Secret[str]


class EnrollmentService:
    """The page, the profile, and bare SCEP access. All raise NotFound for an invitation that is not open."""

    def __init__(
        self,
        *,
        settings: ProfileSettings,
        invitations: InvitationService,
        profiles: EnrollmentProfiles,
        offload: Offload,
    ) -> None:
        self._settings = settings
        self._invitations = invitations
        self._profiles = profiles
        self._offload = offload

    def page_url(self, token: Secret[str]) -> Secret[str]:
        """The URL to give to the person. It is a secret until the device is enrolled."""
        return Secret(f"{self._settings.url}{PAGE_PATH}/{token.reveal()}")

    async def page(self, token: str) -> EnrollmentPage:
        """What to show. Looking at the page uses nothing up: mail scanners and previews look too (S16)."""
        invitation = await self._invitations.look_up(token)
        return EnrollmentPage(
            url=self.page_url(Secret(token)),
            organization=self._settings.organization,
            display_name=self._settings.display_name,
            user_name=invitation.user_name,
            expires_at=invitation.expires_at,
        )

    async def profile(self, token: str) -> bytes:
        """The signed profile, with a challenge of its own. It is used up when its certificate is issued."""
        invitation = await self._invitations.look_up(token)
        challenge = await self._invitations.challenge(invitation)
        return await self._offload(self._profiles.build, challenge)

    async def scep_access(self, invitation: InvitationRow, *, actor: Actor) -> SCEPAccess:
        """A challenge for another SCEP client, minted on the invitation."""
        challenge = await self._invitations.challenge(await self._invitations.show(invitation), actor=actor)
        return SCEPAccess(url=self._settings.url + SCEP_PATH, challenge=challenge)
