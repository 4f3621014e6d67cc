"""The composition root: the one place that knows which implementation stands behind each Protocol."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from certs import CertificateCache, DeviceAuthority, DeviceTrust, load_device_certificate, load_pem_certificates
from certs.errors import CertificateError
from mdmserver.access.service import AccessService
from mdmserver.audit.service import AuditService
from mdmserver.background import Job, running
from mdmserver.checkin.answers import result_handlers
from mdmserver.checkin.enrolling import Enrolling
from mdmserver.checkin.exchange import Exchange
from mdmserver.checkin.model import UserAuthentication
from mdmserver.checkin.ports import NoDeclarations, TokenProvider
from mdmserver.checkin.service import CheckinService
from mdmserver.clock import Clock, utc_now
from mdmserver.commands.results import ResultProcessor
from mdmserver.commands.service import CommandService
from mdmserver.config import Config, DeviceCA
from mdmserver.devices.identity import ExpiredIdentity, Reenrollment
from mdmserver.devices.presence import Presence
from mdmserver.devices.service import DeviceService
from mdmserver.errors import Invalid
from mdmserver.events import Hint, Hints
from mdmserver.storage.access import SQLAccessStore
from mdmserver.storage.audit import SQLAuditStore
from mdmserver.storage.commands import SQLCommandStore
from mdmserver.storage.devices import SQLDeviceStore
from mdmserver.storage.migration import migrate
from mdmserver.storage.sqlite import SQLiteStorage
from mdmserver.storage.vault import Vault
from mdmserver.storage.vault_keys import open_vault, read_wrapping_keys
from mdmserver.transaction import Storage
from mdmserver.web.services import Services

DATABASE = "mdmserver.sqlite"
KEYS = "keys"
FLUSH_SECONDS = 30.0
SWEEP_SECONDS = 10.0
RESULTS_SECONDS = 15.0


@asynccontextmanager
async def open_services(
    config: Config,
    state: Path,
    *,
    clock: Clock = utc_now,
    token_providers: Mapping[str, TokenProvider] = {},
) -> AsyncIterator[Services]:
    """Open the state directory's database and vault, start the background work, and end it all with the block.

    Raises Invalid for a configuration that cannot work and VaultBroken when the vault's key is missing.
    """
    trust = device_trust(config)
    storage = SQLiteStorage(_database_path(config, state))
    try:
        await migrate(storage, "sqlite", clock=clock)
        vault = await open_vault(storage, read_wrapping_keys(state / KEYS), clock=clock)
        services = _composed(config, storage, vault, trust, clock=clock, token_providers=token_providers)
        flush = Job(name="flush", work=partial(_flush, services), every_seconds=FLUSH_SECONDS)
        async with running([flush, *_jobs(services)], at_the_end=[flush]):
            yield services
    finally:
        await storage.close()


def device_trust(config: Config) -> DeviceTrust:
    """The configured device CAs. Raises Invalid naming the one that cannot be used."""
    trust = DeviceTrust([_authority(device_ca) for device_ca in config.device_ca])
    if trust.problems:
        raise Invalid(f"device_ca {trust.problems[0]}", code="invalid_device_ca")
    return trust


def _composed(
    config: Config,
    storage: Storage,
    vault: Vault,
    trust: DeviceTrust,
    *,
    clock: Clock,
    token_providers: Mapping[str, TokenProvider],
) -> Services:
    access, audit = SQLAccessStore(), SQLAuditStore()
    devices, commands = SQLDeviceStore(vault), SQLCommandStore(vault)
    hints = Hints()
    presence = Presence(storage=storage, devices=devices)
    results = ResultProcessor(storage=storage, commands=commands, clock=clock, handlers=result_handlers(devices))
    expired_identity = ExpiredIdentity(config.identity.expired_identity)
    return Services(
        access=AccessService(storage=storage, access=access, audit=audit, clock=clock),
        audit=AuditService(storage=storage, audit=audit),
        devices=DeviceService(storage=storage, devices=devices, audit=audit, presence=presence, clock=clock),
        commands=CommandService(
            storage=storage, commands=commands, devices=devices, audit=audit, hints=hints, clock=clock
        ),
        checkin=CheckinService(
            storage=storage,
            devices=devices,
            enrolling=Enrolling(devices=devices, commands=commands),
            presence=presence,
            clock=clock,
            expired_identity=expired_identity,
            user_authentication=UserAuthentication(config.device.user_authenticate),
            declarative=NoDeclarations(),
            token_providers=token_providers,
        ),
        exchange=Exchange(
            storage=storage,
            devices=devices,
            commands=commands,
            presence=presence,
            hints=hints,
            clock=clock,
            expired_identity=expired_identity,
            processed_request_types=results.request_types,
        ),
        results=results,
        presence=presence,
        hints=hints,
        certificates=CertificateCache(trust),
        authorities={authority.name: Reenrollment(authority.reenrollment) for authority in config.device_ca},
        storage=storage,
        clock=clock,
    )


def _jobs(services: Services) -> Sequence[Job]:
    async def for_results(at_most_seconds: float) -> None:
        await services.hints.wait(Hint.RESULTS, at_most_seconds=at_most_seconds)

    return [
        Job(name="sweep", work=services.commands.expire_due, every_seconds=SWEEP_SECONDS),
        Job(name="results", work=services.results.work_through, every_seconds=RESULTS_SECONDS, wait=for_results),
    ]


async def _flush(services: Services) -> None:
    await services.presence.flush()
    await services.access.flush_last_used()


def _database_path(config: Config, state: Path) -> Path:
    if config.database.url == "sqlite":
        return state / DATABASE
    raise Invalid(f'database.url is {config.database.url!r}; this version knows only "sqlite"', code="invalid_database")


def _authority(device_ca: DeviceCA) -> DeviceAuthority:
    """Certificates whose issuer is in the same file are intermediates; the others are where trust begins."""
    try:
        certificates = load_pem_certificates(Path(device_ca.certificates).read_bytes())
        parsed = [load_device_certificate(der) for der in certificates]
    except (OSError, CertificateError) as error:
        raise Invalid(
            f"device_ca {device_ca.name}: {device_ca.certificates}: {error}", code="invalid_device_ca"
        ) from error
    subjects = {certificate.subject for certificate in parsed}
    roots = tuple(
        certificate.der
        for certificate in parsed
        if certificate.issuer == certificate.subject or certificate.issuer not in subjects
    )
    intermediates = tuple(certificate.der for certificate in parsed if certificate.der not in roots)
    return DeviceAuthority(name=device_ca.name, roots=roots, intermediates=intermediates)
