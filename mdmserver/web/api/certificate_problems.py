"""What is wrong, or soon will be, with certificates: the CA's, the server's, the devices'."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

from certs import CertificateError, load_device_certificate, load_pem_certificates
from mdmserver.config import Config
from mdmserver.issuance.model import AuthorityRole
from mdmserver.web.routes import Outgoing
from mdmserver.web.services import Services

_SOON = timedelta(days=30)


class ServerProblem(Outgoing, frozen=True):
    """Something that keeps the server from doing its whole job; `code` is stable."""

    code: str
    text: str


async def certificate_problems(config: Config, services: Services) -> list[ServerProblem]:
    """All that there are now."""
    at = services.clock()
    problems = [
        _by_expiry(f"the CA {own.authority.name} ({own.row})", "ca", own.authority.not_after, at)
        for own in services.own_authorities.all
        if own.role is AuthorityRole.ISSUING
    ]
    if config.tls.certificate:
        problems.append(await asyncio.to_thread(_tls_problem, config.tls.certificate, at))
    return [*(problem for problem in problems if problem is not None), *await _device_problems(services)]


def _tls_problem(file: str, at: datetime) -> ServerProblem | None:
    try:
        (leaf, *_) = load_pem_certificates(Path(file).read_bytes())
        not_after = load_device_certificate(leaf).not_after
    except (OSError, ValueError, CertificateError):
        return ServerProblem(code="tls_unreadable", text="the server's TLS certificate cannot be read")
    return _by_expiry("the server's TLS certificate", "tls", not_after, at)


def _by_expiry(what: str, code: str, not_after: datetime, at: datetime) -> ServerProblem | None:
    if not_after <= at:
        return ServerProblem(code=f"{code}_expired", text=f"{what} expired on {not_after.date()}")
    if not_after <= at + _SOON:
        return ServerProblem(code=f"{code}_expiring", text=f"{what} expires on {not_after.date()}")
    return None


async def _device_problems(services: Services) -> list[ServerProblem]:
    troubles, problems = await services.devices.certificate_troubles(), []
    if troubles.expired:
        text = f"the certificates of {troubles.expired} devices have expired"
        problems.append(ServerProblem(code="device_certificates_expired", text=text))
    if troubles.overdue:
        text = f"{troubles.overdue} devices have not renewed their certificates, which expire soon"
        problems.append(ServerProblem(code="device_certificates_overdue", text=text))
    return problems
