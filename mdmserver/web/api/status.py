"""The server as a whole, at a glance."""

from mdmserver.access.model import Scope
from mdmserver.web.api.certificate_problems import ServerProblem, certificate_problems
from mdmserver.web.api.push import PushStatus, push_status
from mdmserver.web.api.push_problems import topic_problems
from mdmserver.web.routes import AnyRoute, Call, Nothing, Outgoing, Route, Surface
from mdmserver.web.version import VERSION


class ServerStatus(Outgoing, frozen=True):
    """Counts by state, and what is wrong."""

    version: str
    url: str
    enrollments: dict[str, int]
    open_commands: dict[str, int]
    pending_reenrollments: int
    push: PushStatus
    problems: list[ServerProblem]


async def show_status(call: Call[Nothing, Nothing]) -> ServerStatus:
    """How the server stands now."""
    pending = len(await call.services.devices.pending())
    open_commands = await call.services.commands.open_counts()
    problems = [
        *topic_problems(call.services.push_certificates.all, call.services.push.silences, call.services.clock()),
        *_own_problems(has_authorities=bool(call.services.authorities), pending=pending),
        *await certificate_problems(call.config, call.services),
    ]
    return ServerStatus(
        version=VERSION,
        url=call.config.server.url,
        enrollments=await call.services.devices.counts(),
        open_commands={state.value: number for state, number in open_commands.items()},
        pending_reenrollments=pending,
        push=await push_status(call.services),
        problems=problems,
    )


def _own_problems(*, has_authorities: bool, pending: int) -> list[ServerProblem]:
    problems = []
    if not has_authorities:
        text = "there is no CA, neither the server's own nor another, so no device can prove who it is"
        problems.append(ServerProblem(code="no_device_ca", text=text))
    if pending:
        text = f"{pending} devices wait to enroll again; see /api/v1/reenrollments"
        problems.append(ServerProblem(code="pending_reenrollments", text=text))
    return problems


ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path="/api/v1/status", scope=Scope.STATUS_READ, surface=Surface.API,
        summary="Show how the server stands", handler=show_status,
        query=Nothing, body=Nothing, response=ServerStatus,
    ),
]  # fmt: skip
