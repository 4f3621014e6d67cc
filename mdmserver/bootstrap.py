"""Brings a server to life over a state directory, and ends it: storage, vault, services, recurring work."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from mdmserver.background import Job, running
from mdmserver.believed import BelievedAuthorities
from mdmserver.checkin.ports import TokenProvider
from mdmserver.clock import Clock, utc_now
from mdmserver.composition import RENEWAL_SWEEPS_PER_MINUTE, Composed, Ground, compose
from mdmserver.config import Config, with_tls_files
from mdmserver.connectors.apns import APNsGateway
from mdmserver.connectors.mdmcert import MdmcertGateway
from mdmserver.enrollment.profile import ProfileSigner
from mdmserver.errors import Invalid
from mdmserver.events import Hint
from mdmserver.issuance.server_certificate import CERTIFICATE_FILE, KEY_FILE
from mdmserver.offload import Offload
from mdmserver.push.ports import PushGateway
from mdmserver.storage.migration import migrate
from mdmserver.storage.sqlite import SQLiteStorage
from mdmserver.storage.vault_keys import open_vault, read_wrapping_keys
from mdmserver.web.services import Services

DATABASE = "mdmserver.sqlite"
KEYS = "keys"
TLS_FOLDER = "tls"
FLUSH_SECONDS = 30.0
SWEEP_SECONDS = 10.0
RESULTS_SECONDS = 15.0
UNUSED_SECONDS = 600.0
ERASED_SECONDS = 300.0
RECONCILE_SECONDS = 1.0
STALLED_SECONDS = 60.0
PUSH_SECONDS = 1.0
PUSH_CERTIFICATES_SECONDS = 30.0
PUSH_HISTORY_SECONDS = 3600.0
PUSH_WARNING_SECONDS = 600.0
SERVER_CERTIFICATE_SECONDS = 12 * 3600.0
_LOOPBACK_NAMES = ("localhost", "127.0.0.1")


def no_signer() -> ProfileSigner | None:
    """Where there is no TLS identity, the CA signs profiles."""
    return None


@asynccontextmanager
async def open_services(
    config: Config,
    state: Path,
    *,
    clock: Clock = utc_now,
    token_providers: Mapping[str, TokenProvider] = {},
    profile_signer: Callable[[], ProfileSigner | None] = no_signer,
    push_gateway: PushGateway | None = None,
) -> AsyncIterator[Services]:
    """Open the state directory's database and vault, start the background work, and end it all with the block.

    Raises Invalid for a configuration that cannot work and VaultBroken when the vault's key is missing.
    """
    believed = BelievedAuthorities(config)
    storage = SQLiteStorage(_database_path(config, state))
    gateway = push_gateway or _apns(config)
    # One thread: Python runs one at a time, and a second only holds the first and the event loop up. Measured with
    # SCEP requests: 12,800 a minute and a loop that waits 5 ms (p99) with one, 9,100 and up to 43 ms with two.
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="offload")
    try:
        await migrate(storage, "sqlite", clock=clock)
        vault = await open_vault(storage, read_wrapping_keys(state / KEYS), clock=clock)
        composed = compose(
            Ground(
                config=config,
                storage=storage,
                vault=vault,
                clock=clock,
                believed=believed,
                token_providers=token_providers,
                profile_signer=profile_signer,
                push_gateway=gateway,
                push_request_signer=MdmcertGateway(),
                offload=Offload(pool),
            )
        )
        await composed.services.own_authorities.load()
        await composed.services.push_certificates.load()
        await composed.services.apps.add_built_in()
        flush = Job(name="flush", work=partial(_flush, composed.services), every_seconds=FLUSH_SECONDS)
        finish = Job(name="push", work=composed.sender.finish, every_seconds=PUSH_SECONDS)
        async with running([flush, *_jobs(composed)], at_the_end=[finish, flush]):
            yield composed.services
    finally:
        await gateway.close()
        pool.shutdown(wait=False, cancel_futures=True)
        await storage.close()


@asynccontextmanager
async def own_tls(config: Config, services: Services, state: Path) -> AsyncIterator[Config]:
    """The configuration to serve: with `tls.own_ca` its files are of our own CA, renewed while the block runs.

    Raises Unavailable when there is no CA yet.
    """
    if not config.tls.own_ca:
        yield config
        return
    folder = state / TLS_FOLDER
    host = urlsplit(config.server.url).hostname or "localhost"
    ensure = partial(services.server_certificates.ensure, folder, list(dict.fromkeys((host, *_LOOPBACK_NAMES))))
    await ensure()
    async with running([Job(name="server certificate", work=ensure, every_seconds=SERVER_CERTIFICATE_SECONDS)]):
        yield with_tls_files(config, certificate=folder / CERTIFICATE_FILE, key=folder / KEY_FILE)


def _jobs(composed: Composed) -> Sequence[Job]:
    services = composed.services

    async def for_results(at_most_seconds: float) -> None:
        await services.hints.wait(Hint.RESULTS, at_most_seconds=at_most_seconds)

    async def for_commands(at_most_seconds: float) -> None:
        await services.hints.wait(Hint.COMMANDS_QUEUED, at_most_seconds=at_most_seconds)

    async def for_changes(at_most_seconds: float) -> None:
        await services.hints.wait(Hint.RECONCILE, at_most_seconds=at_most_seconds)

    async def results() -> None:
        if await services.results.work_through():
            services.hints.give(Hint.RECONCILE)

    return [
        Job(name="push", work=composed.sender.work, every_seconds=PUSH_SECONDS, wait=for_commands),
        Job(name="push certificates", work=services.push_certificates.load, every_seconds=PUSH_CERTIFICATES_SECONDS),
        Job(name="push certificate warnings", work=services.push_certificates.warn, every_seconds=PUSH_WARNING_SECONDS),
        Job(name="halted topics", work=services.push_certificates.heal, every_seconds=PUSH_CERTIFICATES_SECONDS),
        Job(name="push history", work=services.push.forget_old_attempts, every_seconds=PUSH_HISTORY_SECONDS),
        Job(name="sweep", work=services.commands.expire_due, every_seconds=SWEEP_SECONDS),
        Job(name="results", work=results, every_seconds=RESULTS_SECONDS, wait=for_results),
        Job(name="reconcile", work=composed.reconciler.work, every_seconds=RECONCILE_SECONDS, wait=for_changes),
        Job(name="stalled targets", work=composed.reconciler.find_stalled, every_seconds=STALLED_SECONDS),
        Job(name="renewal", work=composed.renewal.sweep, every_seconds=60 / RENEWAL_SWEEPS_PER_MINUTE),
        Job(name="erased devices", work=composed.erased.sweep, every_seconds=ERASED_SECONDS),
        Job(name="unused", work=composed.unused.revoke, every_seconds=UNUSED_SECONDS),
    ]


async def _flush(services: Services) -> None:
    await services.push.revive(await services.presence.flush())
    await services.access.flush_last_used()


def _apns(config: Config) -> PushGateway:
    settings = config.apns
    if settings.ca_file and not Path(settings.ca_file).is_file():
        raise Invalid(
            f"configuration: apns.ca_file names {settings.ca_file}, which is no file", code="invalid_configuration"
        )
    return APNsGateway(
        host=settings.host, port=settings.port, ca_file=settings.ca_file, concurrency=settings.concurrency
    )


def _database_path(config: Config, state: Path) -> Path:
    if config.database.url == "sqlite":
        return state / DATABASE
    raise Invalid(f'database.url is {config.database.url!r}; this version knows only "sqlite"', code="invalid_database")
