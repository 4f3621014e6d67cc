"""What one side of an HTTP/2 connection may send when: windows of the connection and its streams (RFC 9113 §5.2)."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from mdmserver.simulator.apns_frames import LONGEST_FRAME, ConnectionFault, ErrorCode, Flag, FrameType, frame

WIDEST_WINDOW = 2**31 - 1
FIRST_WINDOW = 65_535

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(slots=True, eq=False)
class Stream:
    """A request that is not answered to its end; `is_complete`: the client has sent all of it."""

    number: int
    window: int
    headers: Headers
    body: bytearray = field(default_factory=bytearray)
    is_complete: bool = False


class Outflow:
    """Bodies on their way out, in order; what finds no room in a window waits for the client to widen it."""

    def __init__(self) -> None:
        self.first_window = FIRST_WINDOW
        self._window = FIRST_WINDOW
        self._waiting: deque[tuple[Stream, bytes]] = deque()

    def put(self, stream: Stream, body: bytes) -> None:
        """Send this body, and with it the end of the stream."""
        self._waiting.append((stream, body))

    def widen(self, stream: Stream | None, by: int) -> None:
        """The client takes so much more; None is the whole connection. Raises ConnectionFault."""
        if stream is None:
            self._window = _sum(self._window, by)
        else:
            stream.window = _sum(stream.window, by)

    def begin_with(self, window: int, streams: list[Stream]) -> None:
        """The client's SETTINGS give streams another window, those that are open too. Raises ConnectionFault."""
        if window > WIDEST_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, f"a window of {window}")
        for stream in streams:
            stream.window = _sum(stream.window, window - self.first_window)
        self.first_window = window

    def forget(self, stream: Stream) -> None:
        """The client does not want this stream any more."""
        self._waiting = deque(waiting for waiting in self._waiting if waiting[0] is not stream)

    def ready(self) -> tuple[list[bytes], list[Stream]]:
        """The frames that may go out now, and the streams that end with them."""
        frames: list[bytes] = []
        ended: list[Stream] = []
        blocked: deque[tuple[Stream, bytes]] = deque()
        while self._waiting and self._window > 0:
            stream, body = self._waiting.popleft()
            room = min(stream.window, self._window, LONGEST_FRAME)
            if room <= 0:
                blocked.append((stream, body))
                continue
            part, rest = body[:room], body[room:]
            stream.window -= len(part)
            self._window -= len(part)
            frames.append(frame(FrameType.DATA, Flag.NONE if rest else Flag.END_STREAM, stream.number, part))
            if rest:
                self._waiting.appendleft((stream, rest))
            else:
                ended.append(stream)
        blocked.extend(self._waiting)
        self._waiting = blocked
        return frames, ended


def _sum(window: int, by: int) -> int:
    if window + by > WIDEST_WINDOW:
        raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a window wider than 2^31-1")
    return window + by
