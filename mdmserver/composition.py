"""Which implementation stands behind each Protocol: the one place where services and stores are put together."""

import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from mdmserver.access.service import AccessService
from mdmserver.app_composition import AppGround, AppParts, compose_apps, compose_assignments
from mdmserver.apps.delivery import RENDERER as APP
from mdmserver.apps.reconcile import Reconciler
from mdmserver.audit.service import AuditService
from mdmserver.believed import BelievedAuthorities
from mdmserver.checkin.answers import result_handlers
from mdmserver.checkin.enrolling import Enrolling
from mdmserver.checkin.exchange import Exchange
from mdmserver.checkin.gate import Gate
from mdmserver.checkin.model import UserAuthentication
from mdmserver.checkin.ports import NoDeclarations, TokenProvider
from mdmserver.checkin.recognition import Recognition
from mdmserver.checkin.service import CheckinService
from mdmserver.clock import Clock
from mdmserver.commands.clear_passcode import clear_passcode_renderer
from mdmserver.commands.destructive import CLEAR_PASSCODE, DestructiveRules
from mdmserver.commands.model import RENEWAL
from mdmserver.commands.results import ResultProcessor
from mdmserver.commands.service import CommandService
from mdmserver.config import Config
from mdmserver.devices.identity import ExpiredIdentity
from mdmserver.devices.presence import Presence
from mdmserver.devices.service import DeviceService
from mdmserver.enrollment.erased import ErasedDevices
from mdmserver.enrollment.leaving import Leaving
from mdmserver.enrollment.profile import EnrollmentProfiles, ProfileSettings, ProfileSigner, renewal_renderer
from mdmserver.enrollment.renewal import Pace, Renewal
from mdmserver.enrollment.service import EnrollmentService
from mdmserver.events import Hints
from mdmserver.issuance.authorities import Authorities
from mdmserver.issuance.crls import PublishedCRLs
from mdmserver.issuance.invitations import InvitationService
from mdmserver.issuance.issuing import Issuing
from mdmserver.issuance.scep import SCEPService, SCEPSettings
from mdmserver.issuance.server_certificate import ServerCertificates
from mdmserver.issuance.unused import UnusedCertificates
from mdmserver.offload import Offload
from mdmserver.push.ports import PushGateway, PushRequestSigner
from mdmserver.push.sender import PushSender
from mdmserver.push_composition import PushGround, PushParts, compose_push
from mdmserver.storage.access import SQLAccessStore
from mdmserver.storage.apps import SQLAppStore
from mdmserver.storage.assignments import SQLAssignmentStore
from mdmserver.storage.audit import SQLAuditStore
from mdmserver.storage.commands import SQLCommandStore
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.storage.issuance import SQLIssuanceStore
from mdmserver.storage.push import SQLPushStore
from mdmserver.storage.vault import Vault
from mdmserver.transaction import Storage
from mdmserver.web.services import Services

RENEWAL_SWEEPS_PER_MINUTE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """The services for the edges, and those that only background work calls."""

    services: Services
    renewal: Renewal
    unused: UnusedCertificates
    erased: ErasedDevices
    sender: PushSender
    reconciler: Reconciler


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What everything stands on."""

    config: Config
    storage: Storage
    vault: Vault
    clock: Clock
    believed: BelievedAuthorities
    token_providers: Mapping[str, TokenProvider]
    profile_signer: Callable[[], ProfileSigner | None]
    push_gateway: PushGateway
    push_request_signer: PushRequestSigner
    offload: Offload = field(default_factory=Offload)


class _Stores:
    def __init__(self, vault: Vault) -> None:
        self.access = SQLAccessStore()
        self.audit = SQLAuditStore()
        self.devices = SQLDeviceStore(vault)
        self.commands = SQLCommandStore(vault)
        self.issuance = SQLIssuanceStore(vault)
        self.push = SQLPushStore(vault)
        self.assignments = SQLAssignmentStore()
        self.apps = SQLAppStore(vault)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What several services share."""

    ground: Ground
    stores: _Stores
    hints: Hints
    presence: Presence
    authorities: Authorities
    recognition: Recognition
    gate: Gate
    results: ResultProcessor
    push: PushParts
    profile_settings: ProfileSettings
    profiles: EnrollmentProfiles
    app_ground: AppGround
    apps: AppParts
    invitations: InvitationService


def compose(ground: Ground) -> Composed:
    """All services over these stores."""
    parts = _parts(ground)
    stores, storage, clock = parts.stores, ground.storage, ground.clock
    audit = stores.audit
    devices = DeviceService(storage=storage, devices=stores.devices, audit=audit, presence=parts.presence, clock=clock)
    services = Services(
        access=AccessService(storage=storage, access=stores.access, audit=audit, clock=clock),
        audit=AuditService(storage=storage, audit=audit),
        devices=devices,
        commands=_commands(parts),
        checkin=_checkin(parts),
        exchange=_exchange(parts),
        results=parts.results,
        presence=parts.presence,
        hints=parts.hints,
        certificates=ground.believed.certificates,
        authorities=ground.believed.policies,
        own_authorities=parts.authorities,
        crls=PublishedCRLs(authorities=parts.authorities, clock=clock),
        server_certificates=ServerCertificates(
            storage=storage,
            issuance=stores.issuance,
            authorities=parts.authorities,
            audit=audit,
            clock=clock,
        ),
        invitations=parts.invitations,
        scep=_scep(parts),
        enrollment=EnrollmentService(
            settings=parts.profile_settings,
            invitations=parts.invitations,
            profiles=parts.profiles,
            offload=ground.offload,
        ),
        push=parts.push.service,
        push_certificates=parts.push.certificates,
        assignments=compose_assignments(parts.app_ground, devices),
        apps=parts.apps.service,
        app_progress=parts.apps.progress,
        fingerprint=ground.vault.fingerprint,
        leaving=Leaving(storage=storage, devices=stores.devices, commands=stores.commands, audit=audit, clock=clock),
        storage=storage,
        clock=clock,
    )
    unused = UnusedCertificates(storage=storage, issuance=stores.issuance, audit=audit, clock=clock)
    erased = ErasedDevices(storage=storage, devices=stores.devices, commands=stores.commands, audit=audit, clock=clock)
    return Composed(
        services=services,
        renewal=_renewal(parts),
        unused=unused,
        erased=erased,
        sender=parts.push.sender,
        reconciler=parts.apps.reconciler,
    )


def _parts(ground: Ground) -> _Parts:
    config, storage, clock, stores = ground.config, ground.storage, ground.clock, _Stores(ground.vault)
    authorities = Authorities(
        storage=storage,
        issuance=stores.issuance,
        audit=stores.audit,
        clock=clock,
        on_change=ground.believed.change,
    )
    recognition = Recognition(devices=stores.devices, issuance=stores.issuance, authorities=authorities)
    settings, hints = _profile_settings(config), Hints()
    push = compose_push(_push_ground(ground, stores, hints))
    profiles = EnrollmentProfiles(
        settings=settings,
        authorities=authorities,
        signer=ground.profile_signer,
        push_topic=lambda: push.certificates.topic,
    )
    app_ground = _app_ground(ground, stores, hints, profiles)
    apps = compose_apps(app_ground)
    return _Parts(
        ground=ground,
        stores=stores,
        hints=hints,
        push=push,
        presence=Presence(storage=storage, devices=stores.devices),
        authorities=authorities,
        recognition=recognition,
        gate=Gate(
            devices=stores.devices,
            recognition=recognition,
            expired_identity=ExpiredIdentity(config.identity.expired_identity),
        ),
        results=ResultProcessor(
            storage=storage,
            commands=stores.commands,
            clock=clock,
            handlers=result_handlers(stores.devices, stores.commands) | apps.answers.handlers(),
        ),
        profile_settings=settings,
        profiles=profiles,
        app_ground=app_ground,
        apps=apps,
        invitations=InvitationService(
            storage=storage,
            issuance=stores.issuance,
            audit=stores.audit,
            clock=clock,
            challenge_lifetime=timedelta(minutes=config.ca.challenge_minutes),
        ),
    )


def _push_ground(ground: Ground, stores: _Stores, hints: Hints) -> PushGround:
    return PushGround(
        storage=ground.storage,
        push=stores.push,
        devices=stores.devices,
        audit=stores.audit,
        gateway=ground.push_gateway,
        signer=ground.push_request_signer,
        hints=hints,
        clock=ground.clock,
        offload=ground.offload,
        settings=ground.config.apns,
    )


def _app_ground(ground: Ground, stores: _Stores, hints: Hints, profiles: EnrollmentProfiles) -> AppGround:
    return AppGround(
        storage=ground.storage,
        apps=stores.apps,
        assignments=stores.assignments,
        commands=stores.commands,
        devices=stores.devices,
        audit=stores.audit,
        hints=hints,
        clock=ground.clock,
        fingerprint=ground.vault.fingerprint,
        identifiers=profiles.identifiers,
        organization=ground.config.enrollment.organization,
        sign=profiles.sign,
    )


def _checkin(parts: _Parts) -> CheckinService:
    ground, stores = parts.ground, parts.stores
    return CheckinService(
        storage=ground.storage,
        devices=stores.devices,
        enrolling=Enrolling(
            devices=stores.devices,
            commands=stores.commands,
            assignments=stores.assignments,
            recognition=parts.recognition,
        ),
        presence=parts.presence,
        clock=ground.clock,
        gate=parts.gate,
        user_authentication=UserAuthentication(ground.config.device.user_authenticate),
        declarative=NoDeclarations(),
        token_providers=ground.token_providers,
    )


def _exchange(parts: _Parts) -> Exchange:
    renewal = renewal_renderer(
        parts.profiles,
        parts.stores.issuance,
        challenge_lifetime=timedelta(minutes=parts.ground.config.ca.challenge_minutes),
        random_token=secrets.token_urlsafe,
    )
    return Exchange(
        storage=parts.ground.storage,
        commands=parts.stores.commands,
        presence=parts.presence,
        hints=parts.hints,
        clock=parts.ground.clock,
        gate=parts.gate,
        renderers={
            RENEWAL: renewal,
            APP: parts.apps.deliveries.renderer,
            CLEAR_PASSCODE: clear_passcode_renderer(parts.stores.devices),
        },
        processed_request_types=parts.results.request_types,
        served=parts.push.served,
    )


def _renewal(parts: _Parts) -> Renewal:
    ground, stores = parts.ground, parts.stores
    return Renewal(
        storage=ground.storage,
        devices=stores.devices,
        commands=stores.commands,
        audit=stores.audit,
        authorities=parts.authorities,
        hints=parts.hints,
        clock=ground.clock,
        pace=Pace(per_sweep=max(1, ground.config.ca.renewals_per_minute // RENEWAL_SWEEPS_PER_MINUTE)),
        new_uuid=lambda: str(uuid.uuid4()).upper(),
    )


def _scep(parts: _Parts) -> SCEPService:
    ground, settings = parts.ground, parts.ground.config.ca
    issuing = Issuing(
        storage=ground.storage,
        issuance=parts.stores.issuance,
        devices=parts.stores.devices,
        authorities=parts.authorities,
        clock=ground.clock,
        lifetime=timedelta(days=settings.certificate_days),
        offload=ground.offload,
    )
    return SCEPService(
        authorities=parts.authorities,
        issuing=issuing,
        settings=SCEPSettings(allow_des=settings.allow_des, allow_rsa_1024=settings.allow_rsa_1024),
        offload=ground.offload,
    )


def _commands(parts: _Parts) -> CommandService:
    settings = parts.ground.config.destructive
    return CommandService(
        storage=parts.ground.storage,
        commands=parts.stores.commands,
        devices=parts.stores.devices,
        audit=parts.stores.audit,
        hints=parts.hints,
        clock=parts.ground.clock,
        rules=DestructiveRules(
            per_ten_minutes=settings.per_ten_minutes,
            cap_percent=settings.cap_percent,
            time_to_live=timedelta(hours=settings.ttl_hours),
            hold=timedelta(minutes=settings.hold_minutes),
        ),
        enrollment_profile_identifier=parts.profiles.identifier,
    )


def _profile_settings(config: Config) -> ProfileSettings:
    return ProfileSettings(
        url=config.server.url.rstrip("/"),
        command_path=config.device.command_path,
        checkin_path=config.device.checkin_path,
        organization=config.enrollment.organization,
        display_name=config.enrollment.display_name,
        topic=config.enrollment.topic,
        trusts_own_ca=config.tls.own_ca,
    )
