"""From the bytes of an authenticated request to the message they hold (S7, S18).

Small bodies are parsed where they come in; large ones in a thread. Of a large result only the strings at its root
are read. What a device reports and we cannot read is kept and answered: limits end the work, not the device.
"""

import asyncio
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mdmserver.apps.model import READ_BACK_KEY, answer_with_fingerprints
from mdmserver.commands.model import ReportedResult
from mdmserver.config import KIB, Device, Limits
from mdmserver.errors import Invalid, TooLarge
from mdmserver.protocol import (
    CheckinMessage,
    CommandReport,
    DeclarativeManagement,
    ProtocolError,
    Status,
    dumps,
    is_checkin,
    loads,
    parse_checkin_plist,
    parse_report_plist,
    report_from_root,
    scan_root_strings,
)

INLINE_BYTES = 64 * KIB
_MEDIA_TYPE = "application/x-apple-aspen-mdm"
_CHECKIN_MEDIA_TYPE = "application/x-apple-aspen-mdm-checkin"
_WITHOUT_RESULT = frozenset({Status.IDLE, Status.NOT_NOW})


class Kind(StrEnum):
    """The two kinds of message that devices send."""

    CHECKIN = "checkin"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A report and its body as it is to be stored, None where the report leaves no result."""

    report: CommandReport
    result: ReportedResult | None


class Endpoints:
    """The device paths, and what may be sent to each."""

    def __init__(self, device: Device) -> None:
        self._kinds: dict[str, Kind | None] = {device.checkin_path: Kind.CHECKIN, device.command_path: Kind.COMMAND}
        if device.checkin_path == device.command_path:
            self._kinds = {device.command_path: None}
        self.paths = frozenset(self._kinds)

    def kind(self, path: str, content_type: str) -> Kind | None:
        """What the request must be by its path and Content-Type; None leaves it to the body.

        Raises Invalid where the two disagree.
        """
        by_path, by_type = self._kinds[path], _kind_of_media_type(content_type)
        if by_path is not None and by_type is not None and by_path is not by_type:
            raise Invalid("the Content-Type does not belong to this endpoint", code="endpoint_mismatch")
        return by_path or by_type


class MessageReader:
    """Reads messages; `pool` runs what would hold up the loop."""

    def __init__(self, limits: Limits, pool: Executor, fingerprint: Callable[[bytes], str]) -> None:
        self._limits = limits
        self._pool = pool
        self._fingerprint = fingerprint

    def cap(self, kind: Kind | None) -> int:
        """How many bytes a body may have before anything else is known of it."""
        return self._limits.checkin_data_bytes if kind is Kind.CHECKIN else self._limits.result_bytes

    async def read(self, body: bytes, kind: Kind | None) -> CheckinMessage | Reported:
        """The message. Raises ProtocolError, Invalid where kind and body disagree, TooLarge."""
        if len(body) <= INLINE_BYTES:
            return self._read_small(body, kind)
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read_large, body, kind)

    def _read_small(self, body: bytes, kind: Kind | None) -> CheckinMessage | Reported:
        try:
            plist = loads(body)
        except ProtocolError as error:
            if kind is Kind.CHECKIN:
                raise
            return self._scanned(body, kind, unreadable=error)
        if _agreed(kind, plist) is Kind.CHECKIN:
            return self._checkin(plist, len(body))
        report = parse_report_plist(plist)
        if READ_BACK_KEY in plist:
            body = dumps(answer_with_fingerprints(plist, self._fingerprint))
        result = None if report.status in _WITHOUT_RESULT else ReportedResult(status=report.status, body=body)
        return Reported(report=report, result=result)

    def _read_large(self, body: bytes, kind: Kind | None) -> CheckinMessage | Reported:
        if kind is Kind.CHECKIN:
            return self._checkin(loads(body), len(body))
        return self._scanned(body, kind, unreadable=None)

    def _scanned(
        self, body: bytes, kind: Kind | None, *, unreadable: ProtocolError | None
    ) -> CheckinMessage | Reported:
        """The report in a body of which only the root is read; check-ins must be readable."""
        strings = scan_root_strings(body)
        if _agreed(kind, strings) is Kind.CHECKIN:
            if unreadable is not None:
                raise unreadable
            self._check_size(len(body), self._limits.checkin_data_bytes)
            return self._checkin(loads(body), len(body))
        report = report_from_root(strings)
        if report.status in _WITHOUT_RESULT:
            return Reported(report=report, result=None)
        is_readable = unreadable is None
        if READ_BACK_KEY.encode() in body:
            body, is_readable = self._without_secrets(body)
        result = ReportedResult(
            status=report.status, body=zlib.compress(body, 1), is_readable=is_readable, is_compressed=True
        )
        return Reported(report=report, result=result)

    def _without_secrets(self, body: bytes) -> tuple[bytes, bool]:
        """A large read-back of configurations; one that cannot be read may hold a secret, and is not kept."""
        try:
            return dumps(answer_with_fingerprints(loads(body), self._fingerprint)), True
        except ProtocolError:
            return b"", False

    def _checkin(self, plist: Mapping[str, Any], size: int) -> CheckinMessage:
        if not is_checkin(plist):
            raise Invalid("a report where a check-in belongs", code="schema_mismatch")
        message = parse_checkin_plist(plist)
        if not isinstance(message, DeclarativeManagement):
            self._check_size(size, self._limits.checkin_bytes)
        return message

    def _check_size(self, size: int, limit: int) -> None:
        if size > limit:
            raise TooLarge("a check-in over its limit", code="body_too_large")


def _agreed(kind: Kind | None, plist: Mapping[str, Any]) -> Kind:
    """The kind by the body's own keys; raises Invalid where that is not the one expected."""
    by_body = Kind.CHECKIN if is_checkin(plist) else Kind.COMMAND
    if kind is not None and kind is not by_body:
        raise Invalid(f"a {by_body} message where a {kind} message belongs", code="schema_mismatch")
    return by_body


def _kind_of_media_type(content_type: str) -> Kind | None:
    # By prefix, as a charset may follow; anything else is left to the body.
    lowered = content_type.lower()
    if lowered.startswith(_CHECKIN_MEDIA_TYPE):
        return Kind.CHECKIN
    return Kind.COMMAND if lowered.startswith(_MEDIA_TYPE) else None
