"""ServerURL and CheckInURL: from an HTTP request to the services and back (protocol.md 1 and 2).

The order of work is S9's: limits of the head, size, identity over the raw bytes, and only then a bounded parse.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from mdmserver.checkin.model import Reply
from mdmserver.commands.model import ReportedResult
from mdmserver.config import KIB, Device, Limits
from mdmserver.devices.identity import PresentedIdentity
from mdmserver.protocol import CheckinMessage, CommandReport
from mdmserver.web.body import BodyReader, BodyTooLarge
from mdmserver.web.connection import connection_of
from mdmserver.web.device.answers import Refusal, command_response, refusal_of, refused, response_of
from mdmserver.web.device.identity import Claim, IdentityProver
from mdmserver.web.device.message import INLINE_BYTES, Endpoints, Kind, MessageReader, Reported
from mdmserver.web.device.oversized import BEGINNING, OversizedResults, OversizedTaker
from mdmserver.web.listener import ListenerKind
from mdmserver.web.metrics import Counter, Metrics, class_of

METHODS = frozenset({"PUT", "POST"})
_HASHED_INLINE = 256 * KIB
_FINGERPRINT_DIGITS = 16

_log = logging.getLogger(__name__)


class CheckinAnswers(Protocol):
    """Answers check-in messages; `CheckinService`."""

    async def answer(self, message: CheckinMessage, presented: PresentedIdentity) -> Reply:
        """The reply."""
        ...


class ReportTaker(OversizedTaker, Protocol):
    """Takes reports and gives commands; `Exchange`."""

    async def report(
        self, report: CommandReport, presented: PresentedIdentity, result: ReportedResult | None
    ) -> bytes | None:
        """The next command's bytes."""
        ...


@dataclass(slots=True)
class _Visit:
    """What became known of a request on its way, for the log."""

    kind: Kind | None = None
    presented: PresentedIdentity | None = None
    error: Exception | None = None


class DeviceSurface:
    """The device endpoints of one listener. `handle` is for requests whose path is in `paths`, whatever the method."""

    def __init__(
        self,
        *,
        listener: ListenerKind,
        device: Device,
        limits: Limits,
        prover: IdentityProver,
        bodies: BodyReader,
        pool: Executor,
        checkin: CheckinAnswers,
        exchange: ReportTaker,
        metrics: Metrics,
        fingerprint: Callable[[bytes], str],
    ) -> None:
        self._endpoints = Endpoints(device)
        self.paths = self._endpoints.paths
        self._listener = listener
        self._prover = prover
        self._bodies = bodies
        self._pool = pool
        self._messages = MessageReader(limits, pool, fingerprint)
        self._oversized = OversizedResults(limits, bodies=bodies, prover=prover, taker=exchange)
        self._checkin = checkin
        self._exchange = exchange
        self._metrics = metrics

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a device. Raises nothing but ConnectionError and cancellation."""
        visit = _Visit()
        try:
            refusal = _refusal_of_head(request)
            response = await self._answer(request, visit) if refusal is None else refused(refusal)
        except ConnectionError:
            raise
        except Exception as error:
            refusal = refusal_of(error)
            visit.error = error
            response = refused(refusal)
        if refusal is not None:
            self._log_refusal(refusal, visit)
        self._metrics.count(Counter.DEVICE_REQUESTS, class_of(response.status))
        return response

    async def _answer(self, request: web.BaseRequest, visit: "_Visit") -> web.Response:
        kind = visit.kind = self._endpoints.kind(request.path, request.headers.get("Content-Type", ""))
        claim = self._prover.claim(request)
        with self._bodies.share() as share:
            if not _is_short(request):
                self._prover.check_worth_reading(claim)
            try:
                body = await self._bodies.read(request, share, at_most=self._messages.cap(kind), beginning=BEGINNING)
            except BodyTooLarge as error:
                if kind is not Kind.CHECKIN:
                    await self._oversized.count(request, error, claim)
                raise
            presented = visit.presented = await self._prove(claim, body)
            connection_of(request).prove()
            message = await self._messages.read(body, kind)
            if isinstance(message, Reported):
                return command_response(await self._exchange.report(message.report, presented, message.result))
            return response_of(await self._checkin.answer(message, presented))

    async def _prove(self, claim: Claim, body: bytes) -> PresentedIdentity:
        if len(body) <= _HASHED_INLINE:
            return self._prover.prove(claim, body)
        hashed = self._prover.hash_for(claim)
        await asyncio.get_running_loop().run_in_executor(self._pool, hashed.update, body)
        return self._prover.prove_by_hash(claim, hashed)

    def _log_refusal(self, refusal: Refusal, visit: "_Visit") -> None:
        fields = {"code": refusal.code, "status": refusal.status, "listener": self._listener, "route": visit.kind}
        if visit.presented is not None:
            fields["fingerprint"] = visit.presented.fingerprint.hex()[:_FINGERPRINT_DIGITS]
        if refusal.status == 500:
            _log.error("device request failed", exc_info=visit.error, extra=fields)
        else:
            _log.info("device request refused", extra=fields)


def _refusal_of_head(request: web.BaseRequest) -> Refusal | None:
    if request.method not in METHODS:
        return Refusal(status=405, code="method_not_allowed", headers={"Allow": "POST, PUT"})
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        # No device compresses, and the signature is over the bytes as they are sent.
        return Refusal(status=415, code="content_encoding")
    return None


def _is_short(request: web.BaseRequest) -> bool:
    content = request.content
    size = content.total_bytes if content.is_eof() else request.content_length
    return size is not None and size <= INLINE_BYTES
