"""Which implementation stands behind each Protocol: the one place where services and stores are put together."""

import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from mdmserver.access.service import AccessService
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
from mdmserver.commands.model import RENEWAL
from mdmserver.commands.results import ResultProcessor
from mdmserver.commands.service import CommandService
from mdmserver.config import Config
from mdmserver.devices.identity import ExpiredIdentity
from mdmserver.devices.presence import Presence
from mdmserver.devices.service import DeviceService
from mdmserver.enrollment.leaving import Leaving
from mdmserver.enrollment.profile import EnrollmentProfiles, ProfileSettings, ProfileSigner, renewal_renderer
from mdmserver.enrollment.renewal import Pace, Renewal
from mdmserver.enrollment.service import EnrollmentService
from mdmserver.events import Hints
from mdmserver.issuance.authorities import Authorities
from mdmserver.issuance.invitations import InvitationService
from mdmserver.issuance.issuing import Issuing
from mdmserver.issuance.scep import SCEPService, SCEPSettings
from mdmserver.issuance.unused import UnusedCertificates
from mdmserver.storage.access import SQLAccessStore
from mdmserver.storage.audit import SQLAuditStore
from mdmserver.storage.commands import SQLCommandStore
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.storage.issuance import SQLIssuanceStore
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


class _Stores:
    def __init__(self, vault: Vault) -> None:
        self.access = SQLAccessStore()
        self.audit = SQLAuditStore()
        self.devices = SQLDeviceStore(vault)
        self.commands = SQLCommandStore(vault)
        self.issuance = SQLIssuanceStore(vault)


def compose(ground: Ground) -> Composed:
    """All services over these stores."""
    config, storage, clock = ground.config, ground.storage, ground.clock
    stores, hints = _Stores(ground.vault), Hints()
    presence = Presence(storage=storage, devices=stores.devices)
    authorities = Authorities(
        storage=storage,
        issuance=stores.issuance,
        audit=stores.audit,
        clock=clock,
        on_change=ground.believed.change,
    )
    profile_settings = _profile_settings(config)
    profiles = EnrollmentProfiles(settings=profile_settings, authorities=authorities, signer=ground.profile_signer)
    invitations = InvitationService(
        storage=storage,
        issuance=stores.issuance,
        audit=stores.audit,
        clock=clock,
        challenge_lifetime=timedelta(minutes=config.ca.challenge_minutes),
    )
    recognition = Recognition(devices=stores.devices, issuance=stores.issuance, authorities=authorities)
    gate = Gate(
        devices=stores.devices,
        recognition=recognition,
        expired_identity=ExpiredIdentity(config.identity.expired_identity),
    )
    results = ResultProcessor(
        storage=storage, commands=stores.commands, clock=clock, handlers=result_handlers(stores.devices)
    )
    services = Services(
        access=AccessService(storage=storage, access=stores.access, audit=stores.audit, clock=clock),
        audit=AuditService(storage=storage, audit=stores.audit),
        devices=DeviceService(
            storage=storage, devices=stores.devices, audit=stores.audit, presence=presence, clock=clock
        ),
        commands=CommandService(
            storage=storage,
            commands=stores.commands,
            devices=stores.devices,
            audit=stores.audit,
            hints=hints,
            clock=clock,
        ),
        checkin=CheckinService(
            storage=storage,
            devices=stores.devices,
            enrolling=Enrolling(devices=stores.devices, commands=stores.commands, recognition=recognition),
            presence=presence,
            clock=clock,
            gate=gate,
            user_authentication=UserAuthentication(config.device.user_authenticate),
            declarative=NoDeclarations(),
            token_providers=ground.token_providers,
        ),
        exchange=Exchange(
            storage=storage,
            commands=stores.commands,
            presence=presence,
            hints=hints,
            clock=clock,
            gate=gate,
            renderers={
                RENEWAL: renewal_renderer(
                    profiles,
                    stores.issuance,
                    challenge_lifetime=timedelta(minutes=config.ca.challenge_minutes),
                    random_token=secrets.token_urlsafe,
                )
            },
            processed_request_types=results.request_types,
        ),
        results=results,
        presence=presence,
        hints=hints,
        certificates=ground.believed.certificates,
        authorities=ground.believed.policies,
        own_authorities=authorities,
        invitations=invitations,
        scep=_scep(ground, stores, authorities),
        enrollment=EnrollmentService(settings=profile_settings, invitations=invitations, profiles=profiles),
        leaving=Leaving(
            storage=storage, devices=stores.devices, commands=stores.commands, audit=stores.audit, clock=clock
        ),
        storage=storage,
        clock=clock,
    )
    renewal = Renewal(
        storage=storage,
        devices=stores.devices,
        commands=stores.commands,
        audit=stores.audit,
        hints=hints,
        clock=clock,
        pace=Pace(per_sweep=max(1, config.ca.renewals_per_minute // RENEWAL_SWEEPS_PER_MINUTE)),
        new_uuid=lambda: str(uuid.uuid4()).upper(),
    )
    unused = UnusedCertificates(storage=storage, issuance=stores.issuance, audit=stores.audit, clock=clock)
    return Composed(services=services, renewal=renewal, unused=unused)


def _scep(ground: Ground, stores: _Stores, authorities: Authorities) -> SCEPService:
    settings = ground.config.ca
    issuing = Issuing(
        storage=ground.storage,
        issuance=stores.issuance,
        devices=stores.devices,
        authorities=authorities,
        clock=ground.clock,
        lifetime=timedelta(days=settings.certificate_days),
    )
    return SCEPService(
        authorities=authorities,
        issuing=issuing,
        settings=SCEPSettings(allow_des=settings.allow_des, allow_rsa_1024=settings.allow_rsa_1024),
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
