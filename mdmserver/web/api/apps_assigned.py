"""For whom an app is, over the API."""

from mdmserver.access.model import Scope
from mdmserver.apps.model import Effect
from mdmserver.web.api.apps_scope import ScopeText, scope_among, scope_named
from mdmserver.web.routes import AnyRoute, Call, Incoming, Nothing, Outgoing, Route, Surface


class AssignmentRequest(Incoming, frozen=True):
    """Whom an app is meant for. `remove` takes it away where this server had it installed."""

    scope: ScopeText
    effect: Effect = Effect.INSTALL


class ScopeQuery(Incoming, frozen=True):
    """For whom."""

    scope: ScopeText


class ScopeChange(Outgoing, frozen=True):
    """Whether anything changed, and how many enrolled devices the scope takes in now."""

    scope: str
    changed: bool
    devices: int


async def assign_app(call: Call[Nothing, AssignmentRequest]) -> ScopeChange:
    """Mean an app for a scope."""
    services = call.services
    scope = await scope_named(call.body.scope, services)
    changed = await services.apps.assign(call.path["key"], scope, call.body.effect, actor=call.actor)
    return ScopeChange(scope=str(scope), changed=changed, devices=await services.assignments.reach(scope))


async def unassign_app(call: Call[ScopeQuery, Nothing]) -> ScopeChange:
    """Mean it for the scope no more."""
    services, key = call.services, call.path["key"]
    known = [each.scope for each in (await services.apps.show(key)).assignments]
    scope = await scope_among(call.query.scope, known, services)
    changed = await services.apps.unassign(key, scope, actor=call.actor)
    return ScopeChange(scope=str(scope), changed=changed, devices=await services.assignments.reach(scope))


_PATH = "/api/v1/apps/{key}/assignments"

ROUTES: list[AnyRoute] = [
    Route(
        method="PUT", path=_PATH, scope=Scope.APPS_WRITE, surface=Surface.API,
        summary="Assign an app to devices", handler=assign_app,
        query=Nothing, body=AssignmentRequest, response=ScopeChange,
    ),
    Route(
        method="DELETE", path=_PATH, scope=Scope.APPS_WRITE, surface=Surface.API,
        summary="Take an assignment back", handler=unassign_app,
        query=ScopeQuery, body=Nothing, response=ScopeChange,
    ),
]  # fmt: skip
