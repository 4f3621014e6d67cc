"""For monitoring, on a listener of its own: is the process alive, can it serve, and what has happened (Prometheus)."""

import asyncio
import logging
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from http import HTTPStatus

from mdmserver.escaping import escaped
from mdmserver.transaction import Transaction
from mdmserver.web.metrics import Counter
from mdmserver.web.routes import AnyRoute, Call, Content, Nothing, Open, Route, Surface
from mdmserver.web.services import Services
from mdmserver.web.version import VERSION

_READY_SECONDS = 2.0
_TEXT = "text/plain; charset=utf-8"
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
_HELP = {
    Counter.REQUESTS: "Requests answered on other paths than devices', by surface and class of status.",
    Counter.DEVICE_REQUESTS: "Device requests answered, by class of status.",
    Counter.AUTHENTICATION_FAILURES: "Requests without a usable API key, by surface.",
}
_log = logging.getLogger(__name__)


async def healthz(call: Call[Nothing, Nothing]) -> Content:
    """The process is alive."""
    return _text("ok")


async def readyz(call: Call[Nothing, Nothing]) -> Content:
    """Storage answers, for reading and for writing."""
    try:
        async with asyncio.timeout(_READY_SECONDS):
            await call.services.storage.read(_answers)
            await call.services.storage.run(_answers)
    except Exception as error:
        # Whatever it is: a server whose storage does not answer gets no requests.
        _log.warning("not_ready", extra={"reason": type(error).__name__})
        return _text("storage does not answer", HTTPStatus.SERVICE_UNAVAILABLE)
    return _text("ready")


async def metrics(call: Call[Nothing, Nothing]) -> Content:
    """Counters of this process and gauges from storage."""
    enrollments = await call.services.devices.counts()
    open_commands = await call.services.commands.open_counts()
    pending = len(await call.services.devices.pending())
    lines = [
        *_family("info", "gauge", "Which version runs.", {_labels(version=VERSION): 1}),
        *_family("enrollments", "gauge", "Enrollments by state.", _by_state(enrollments)),
        *_family(
            "open_commands",
            "gauge",
            "Unfinished queue items by state.",
            _by_state({state.value: number for state, number in open_commands.items()}),
        ),
        *_family("pending_reenrollments", "gauge", "Devices that wait to enroll again.", {"": pending}),
        *await _push(call.services),
    ]
    counted = call.services.metrics.counts()
    for counter, text in _HELP.items():
        samples = {
            _labels(**{_name_of(type(label)): label.value for label in labels}): number
            for (kind, labels), number in counted.items()
            if kind is counter
        }
        lines += _family(counter.value, "counter", text, samples)
    return Content(body="".join(f"{line}\n" for line in lines).encode(), media_type=_EXPOSITION)


async def _push(services: Services) -> list[str]:
    certificates, at, counts = services.push_certificates.all, services.clock(), await services.push.counts()
    expires = {_labels(topic=each.topic): int((each.not_after - at).total_seconds()) for each in certificates}
    halted = {_labels(topic=each.topic): int(each.halted_at is not None) for each in certificates}
    outcomes = {_labels(outcome=each.value): number for each, number in services.push.counted.items()}
    due = {_labels(state="due"): counts.due, _labels(state="waiting"): counts.waiting - counts.due}
    return [
        *_family(
            "push_certificate_expires_seconds",
            "gauge",
            "Seconds until a push certificate ends, negative after that.",
            expires,
        ),
        *_family("push_halted", "gauge", "Whether pushing on a topic is halted.", halted),
        *_family("pushes_total", "counter", "Pushes, by what came of them.", outcomes),
        *_family(
            "push_enrollments",
            "gauge",
            "Enrollments due for a push now, waiting for a later one, with a token that APNs called dead.",
            {**due, _labels(state="stopped"): counts.stopped},
        ),
        *_family(
            "push_pace_per_second",
            "gauge",
            "How many pushes a second may go at present.",
            {"": services.push.per_second},
        ),
    ]


async def _answers(tx: Transaction) -> None:
    await tx.fetch_one("SELECT 1")


def _family(name: str, kind: str, text: str, samples: Mapping[str, float]) -> Iterable[str]:
    yield f"# HELP mdmserver_{name} {text}"
    yield f"# TYPE mdmserver_{name} {kind}"
    for labels, value in samples.items():
        yield f"mdmserver_{name}{labels} {value}"


def _by_state(counts: Mapping[str, int]) -> dict[str, int]:
    return {_labels(state=str(state)): number for state, number in counts.items()}


def _labels(**labels: str) -> str:
    """Values are ours (versions, members of enums) or an administrator's (topics)."""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    """As the text form wants it, so that no value can end its label or its line; what is not printable is spelled."""
    return escaped(value).replace("\\", "\\\\").replace('"', '\\"')


def _name_of(kind: type[StrEnum]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def _text(text: str, status: HTTPStatus = HTTPStatus.OK) -> Content:
    return Content(body=f"{text}\n".encode(), media_type=_TEXT, status=status)


ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path="/healthz", scope=Open.PUBLIC, surface=Surface.OPERATIONS,
        summary="Whether the process is alive", handler=healthz,
        query=Nothing, body=Nothing, response=Content, response_media_type="text/plain",
    ),
    Route(
        method="GET", path="/readyz", scope=Open.PUBLIC, surface=Surface.OPERATIONS,
        summary="Whether storage answers", handler=readyz,
        query=Nothing, body=Nothing, response=Content, response_media_type="text/plain",
    ),
    Route(
        method="GET", path="/metrics", scope=Open.PUBLIC, surface=Surface.OPERATIONS,
        summary="Show counters and gauges in Prometheus' text form", handler=metrics,
        query=Nothing, body=Nothing, response=Content, response_media_type="text/plain",
    ),
]  # fmt: skip
