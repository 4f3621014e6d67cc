"""The commands of targets. What holds a configuration is stored as a reference and rendered when it is handed out.

A command that is rendered holds the row of its revision; the values go from the vault to the wire (S24). The bytes are
the same at every delivery, but for a profile, whose signature holds the time, and for a configuration that was to go
along with an installation and is wanted no more.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import msgspec

from mdmserver.apps.model import App, PreferenceForm, Revision
from mdmserver.apps.steps import configure_payload, install_payload, plain_payload, request_type_of
from mdmserver.apps.store import AppStore
from mdmserver.assignments.model import AppRow, RevisionRow, SettingKind, Step, Target, TargetState
from mdmserver.assignments.store import AssignmentStore
from mdmserver.commands.model import OpenItem
from mdmserver.commands.store import CommandStore
from mdmserver.devices.model import EnrollmentRow
from mdmserver.devices.store import Channel
from mdmserver.errors import MDMError
from mdmserver.protocol import CommandUUID, ProtocolError, build_command
from mdmserver.transaction import Transaction
from profiles import (
    DomainPreferences,
    Identifiers,
    ManagedPreferencesPayload,
    PayloadScope,
    PreferenceDomainPayload,
    Profile,
    ProfileError,
    render,
)

RENDERER = "app"
_log = logging.getLogger(__name__)


class Signer(Protocol):
    """Signs a rendered profile as this server does."""

    def __call__(self, rendered: bytes) -> bytes:
        """The signed profile, DER."""
        ...


class Reference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a rendered command stores instead of its bytes."""

    step: Step
    app: int
    revision: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A command's stored body: its bytes, or a Reference to render them from."""

    content: bytes = field(repr=False)
    is_rendered: bool


class Deliveries:
    """Makes the commands. `sign` is given a rendered profile."""

    def __init__(
        self,
        *,
        apps: AppStore,
        assignments: AssignmentStore,
        commands: CommandStore,
        identifiers: Identifiers,
        organization: str,
        sign: Signer,
    ) -> None:
        self._apps = apps
        self._assignments = assignments
        self._commands = commands
        self._identifiers = identifiers
        self._organization = organization
        self._sign = sign

    async def template(
        self, tx: Transaction, app: App, target: Target, step: Step, uuid: CommandUUID
    ) -> tuple[str, Template]:
        """The RequestType and what is stored of the command."""
        if step in (Step.INSTALL_APP, Step.CONFIGURE, Step.INSTALL_PROFILE):
            revision = target.wanted_revision
            if step is Step.INSTALL_APP:
                revision = await self._revision_to_go_along(tx, target)
            reference = Reference(step=step, app=app.row, revision=revision)
            return request_type_of(step, app), Template(content=msgspec.json.encode(reference), is_rendered=True)
        identifier = await self.identifier(tx, app, target.enrollment)
        if step is Step.UNCONFIGURE:
            payload = configure_payload(identifier, None)
        else:
            payload = plain_payload(step, identifier, profile_identifier=self.profile_identifier(app))
        return request_type_of(step, app), Template(content=build_command(uuid, payload).body, is_rendered=False)

    async def renderer(self, tx: Transaction, item: OpenItem, channel: Channel, at: datetime) -> bytes | None:
        """The bytes for a delivery; None, and a log line, when they cannot be made."""
        try:
            reference = msgspec.json.decode(await self._commands.body(tx, item.command), type=Reference)
            payload = await self._payload(tx, reference, channel)
            return build_command(CommandUUID(item.command_uuid), payload).body
        except (ProfileError, ProtocolError, MDMError, msgspec.DecodeError) as error:
            # A broken setting of ours must not keep the device from its other commands.
            code = getattr(error, "code", type(error).__name__)
            _log.error("app_command_not_rendered", extra={"command_uuid": item.command_uuid, "code": code})
            return None

    def reference_of(self, body: bytes) -> Reference:
        """What a rendered command's stored body refers to."""
        return msgspec.json.decode(body, type=Reference)

    async def identifier(self, tx: Transaction, app: App, enrollment: EnrollmentRow) -> str:
        """What this device calls the app."""
        said = [
            target.identifier
            for target in await self._assignments.targets(tx, enrollment)
            if target.app == app.row and target.identifier is not None
        ]
        return said[0] if said else app.bundle_id

    def profile_identifier(self, app: App) -> str:
        """The PayloadIdentifier of the app's profile for Macs; it never changes."""
        return self._identifiers.identifier("app", app.key)

    def profile_uuid(self, app: App, revision: Revision) -> str:
        """Its PayloadUUID, which shows the revision."""
        name = f"{revision.configuration}.{revision.number}.{revision.fingerprint}.{app.preference_form.value}"
        return self._identifiers.uuid(self.profile_identifier(app), f"{name}.{app.preference_domain}")

    def profile(self, app: App, revision: Revision, values: Mapping[str, Any], *, is_user_enrollment: bool) -> bytes:
        """The rendered profile with these values in the app's preference domain, not signed. Raises KeyInvalid."""
        domain = app.preference_domain
        assert domain is not None
        identifier, uuid = self.profile_identifier(app), self.profile_uuid(app, revision)
        # com.apple.ManagedClient.preferences is forbidden in a user enrollment.
        form = PreferenceForm.DIRECT if is_user_enrollment else app.preference_form
        payloads: list[ManagedPreferencesPayload | PreferenceDomainPayload] = []
        if form is not PreferenceForm.DIRECT:
            part = f"{identifier}.managed"
            payloads.append(
                ManagedPreferencesPayload(
                    identifier=part,
                    uuid=self._identifiers.uuid(part, uuid),
                    display_name=app.name,
                    domains={domain: DomainPreferences(forced=values)},
                )
            )
        if form is not PreferenceForm.MANAGED:
            part = f"{identifier}.direct"
            payloads.append(
                PreferenceDomainPayload(
                    type=domain,
                    identifier=part,
                    uuid=self._identifiers.uuid(part, uuid),
                    display_name=app.name,
                    content=values,
                )
            )
        profile = Profile(
            identifier=identifier,
            uuid=uuid,
            payloads=tuple(payloads),
            display_name=f"{app.name} settings",
            organization=self._organization or None,
            scope=PayloadScope.SYSTEM,
        )
        return render(profile)

    def signed(self, rendered: bytes) -> bytes:
        """The profile as a device gets it."""
        return self._sign(rendered)

    async def _revision_to_go_along(self, tx: Transaction, target: Target) -> RevisionRow | None:
        for other in await self._assignments.targets(tx, target.enrollment):
            is_for_app = other.kind is SettingKind.CONFIGURATION and other.app == target.app
            if is_for_app and other.is_wanted and other.state is not TargetState.VERIFIED:
                return other.wanted_revision
        return None

    async def _is_meant(self, tx: Transaction, enrollment: EnrollmentRow, reference: Reference) -> bool:
        """Whether the configuration that was to go along is still wanted: it may have waited for long."""
        return any(
            target.kind is SettingKind.CONFIGURATION and target.is_wanted and target.app == reference.app
            and target.wanted_revision == reference.revision
            for target in await self._assignments.targets(tx, enrollment)
        )  # fmt: skip

    async def _payload(self, tx: Transaction, reference: Reference, channel: Channel) -> dict[str, Any]:
        app = await self._apps.app_by_row(tx, AppRow(reference.app))
        device = await self._assignments.device(tx, channel.row)
        revision = None
        if reference.revision is not None:
            revision = await self._apps.revision(tx, RevisionRow(reference.revision))
        if app is None or device is None or (revision is None and reference.step is not Step.INSTALL_APP):
            raise MDMError("the app or revision is no more", code="reference_lost")
        values = None if revision is None else revision.values
        if reference.step is Step.INSTALL_APP:
            is_meant = await self._is_meant(tx, device.row, reference)
            return install_payload(app, device, values if is_meant else None)
        if reference.step is Step.CONFIGURE:
            return configure_payload(await self.identifier(tx, app, device.row), values)
        assert revision is not None
        assert values is not None
        rendered = self.profile(app, revision, values, is_user_enrollment=device.is_user_enrollment)
        return {"RequestType": "InstallProfile", "Payload": self.signed(rendered)}
