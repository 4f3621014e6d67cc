"""How far an app got, over the API: counts, and for every device why it is where it is."""

from collections import Counter
from datetime import datetime

from mdmserver.access.model import Scope
from mdmserver.apps.explain import Progress
from mdmserver.apps.progress import TargetDetail
from mdmserver.assignments.model import SettingKind, Step, TargetState
from mdmserver.errors import Invalid
from mdmserver.web.api.page_query import PageQuery
from mdmserver.web.api.push_of_item import explained
from mdmserver.web.api.push_standing import Topics
from mdmserver.web.routes import AnyRoute, Call, Nothing, Outgoing, Route, Surface


class AppStatus(Outgoing, frozen=True):
    """How many devices are how far, by kind of setting and together.

    `unsettled` is how many devices are still to be looked at because of what changed: until it is 0, targets may be
    missing from the counts.
    """

    key: str
    name: str
    counts: dict[SettingKind, dict[Progress, int]]
    totals: dict[Progress, int]
    total: int
    unsettled: int


class Why(Outgoing, frozen=True):
    """Why something is where it is; `code` is for programs."""

    code: str
    text: str


class TargetView(Outgoing, frozen=True):
    """A setting on a device. Without `kind` the app is not meant for the device, and `explanation` says why.

    `is_wanted` false: it is being taken away. `observed` is what the device last said of the app.
    """

    app: str
    app_name: str
    id: str
    serial_number: str | None
    device_name: str | None
    kind: SettingKind | None
    is_wanted: bool
    progress: Progress | None
    state: TargetState | None
    state_at: datetime | None
    verified_at: datetime | None
    step: Step | None
    command_uuid: str | None
    attempts: int
    next_at: datetime | None
    observed: str | None
    explanation: Why


class TargetPage(Outgoing, frozen=True):
    """A page of an app's settings on devices."""

    items: list[TargetView]
    next_cursor: str | None


class TargetQuery(PageQuery, frozen=True):
    """Which of them; `there` false asks for those where something is still to be done."""

    kind: SettingKind | None = None
    state: tuple[TargetState, ...] = ()
    there: bool | None = None


async def show_app_status(call: Call[Nothing, Nothing]) -> AppStatus:
    """How far an app got."""
    key, services = call.path["key"], call.services
    # Asked first: what is settled by then is in the counts.
    unsettled = await services.assignments.unsettled()
    counts = await services.app_progress.counts(key)
    totals = sum((Counter(by_word) for by_word in counts.values()), Counter[Progress]())
    return AppStatus(
        key=key,
        name=(await services.apps.show(key)).app.name,
        counts={kind: {word: by_word.get(word, 0) for word in Progress} for kind, by_word in counts.items()},
        totals={word: totals[word] for word in Progress},
        total=totals.total(),
        unsettled=unsettled,
    )


async def list_app_targets(call: Call[TargetQuery, Nothing]) -> TargetPage:
    """An app's settings on devices, with why each is where it is."""
    query = call.query
    page = await call.services.app_progress.targets(
        call.path["key"], kind=query.kind, states=_states(query), cursor=query.cursor, limit=query.limit
    )
    topics = Topics.of(call.services.push_certificates.all)
    return TargetPage(items=[target_view(each, topics) for each in page.items], next_cursor=page.next_cursor)


async def look_again(call: Call[Nothing, Nothing]) -> None:
    """Look at all devices of an app now."""
    await call.services.apps.again(call.path["key"], actor=call.actor)


def target_view(detail: TargetDetail, topics: Topics) -> TargetView:
    """A setting on a device as it is shown."""
    target, enrollment = detail.target, detail.enrollment
    explanation = explained(detail.explanation, enrollment, topics)
    why = Why(code=explanation.code, text=explanation.text)
    return TargetView(
        app=detail.app.key,
        app_name=detail.app.name,
        id=str(enrollment.id),
        serial_number=enrollment.facts.serial_number,
        device_name=enrollment.facts.device_name,
        kind=None if target is None else target.kind,
        is_wanted=target is not None and target.is_wanted,
        progress=detail.progress,
        state=None if target is None else target.state,
        state_at=None if target is None else target.state_at,
        verified_at=None if target is None else target.verified_at,
        step=None if target is None else target.step,
        command_uuid=detail.command_uuid,
        attempts=0 if target is None else target.attempts,
        next_at=None if target is None else target.next_at,
        observed=None if target is None else target.observed,
        explanation=why,
    )


def _states(query: TargetQuery) -> frozenset[TargetState]:
    """Those asked for; empty for all."""
    if query.there is None:
        return frozenset(query.state)
    states = frozenset(each for each in query.state or TargetState if each.is_there == query.there)
    if not states:
        raise Invalid("no such state is asked for by `there`; leave one of them out", code="invalid_query")
    return states


_ONE = "/api/v1/apps/{key}"

ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path=f"{_ONE}/status", scope=Scope.APPS_READ, surface=Surface.API,
        summary="Show how far an app got", handler=show_app_status,
        query=Nothing, body=Nothing, response=AppStatus,
    ),
    Route(
        method="GET", path=f"{_ONE}/targets", scope=Scope.APPS_READ, surface=Surface.API,
        summary="List an app's settings on devices and why each is where it is", handler=list_app_targets,
        query=TargetQuery, body=Nothing, response=TargetPage,
    ),
    Route(
        method="POST", path=f"{_ONE}/again", scope=Scope.APPS_WRITE, surface=Surface.API,
        summary="Look at all devices of an app now", handler=look_again,
        query=Nothing, body=Nothing, response=None, status=204,
    ),
]  # fmt: skip
