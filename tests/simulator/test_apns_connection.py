"""The stand-in's half of HTTP/2 with clients that break the protocol, and with those that use its corners."""

import struct
from collections.abc import Sequence

import pytest
from h2.errors import ErrorCodes

from mdmserver.simulator.apns import APNsStandIn
from mdmserver.simulator.apns_answers import Silence, refusal
from mdmserver.simulator.apns_frames import (
    PREFACE,
    ConnectionFault,
    ErrorCode,
    Flag,
    FrameReader,
    FrameType,
    content_of,
    frame,
)
from tests.simulator.apns_sending import sending_to

HEADERS = frame(FrameType.HEADERS, Flag.END_HEADERS, 1, b"\x83\x84")
RESET = frame(FrameType.RST_STREAM, Flag.NONE, 1, bytes(4))


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ([frame(FrameType.HEADERS, Flag.END_HEADERS, 2, b"\x83")], ErrorCodes.PROTOCOL_ERROR),
        ([HEADERS, RESET, HEADERS], ErrorCodes.STREAM_CLOSED),
        ([frame(FrameType.HEADERS, Flag.END_HEADERS, 1, b"\xff\xff\xff\xff\xff")], ErrorCodes.COMPRESSION_ERROR),
        ([frame(FrameType.HEADERS, Flag.NONE, 1, b"\x83"), frame(FrameType.PING, 0, 0, bytes(8))],
         ErrorCodes.PROTOCOL_ERROR),
        ([frame(FrameType.HEADERS, Flag.NONE, 1), *[frame(FrameType.CONTINUATION, 0, 1, bytes(16_000))] * 5],
         ErrorCodes.ENHANCE_YOUR_CALM),
        ([frame(FrameType.CONTINUATION, Flag.END_HEADERS, 1, b"\x83")], ErrorCodes.PROTOCOL_ERROR),
        ([frame(FrameType.DATA, Flag.NONE, 7, b"x")], ErrorCodes.PROTOCOL_ERROR),
        ([frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.PADDED, 1, b"\x09x")], ErrorCodes.PROTOCOL_ERROR),
        ([frame(FrameType.PUSH_PROMISE, Flag.END_HEADERS, 1, bytes(4))], ErrorCodes.PROTOCOL_ERROR),
        ([frame(FrameType.SETTINGS, Flag.NONE, 0, bytes(5))], ErrorCodes.FRAME_SIZE_ERROR),
        ([frame(FrameType.SETTINGS, Flag.NONE, 0, struct.pack(">HI", 4, 2**31))], ErrorCodes.FLOW_CONTROL_ERROR),
        ([frame(FrameType.WINDOW_UPDATE, Flag.NONE, 0, bytes(4))], ErrorCodes.PROTOCOL_ERROR),
        ([frame(FrameType.WINDOW_UPDATE, Flag.NONE, 0, bytes(3))], ErrorCodes.FRAME_SIZE_ERROR),
        ([frame(FrameType.WINDOW_UPDATE, Flag.NONE, 0, b"\x7f\xff\xff\xff")], ErrorCodes.FLOW_CONTROL_ERROR),
        ([b"\x00\x40\x01\x00\x00\x00\x00\x00\x01"], ErrorCodes.FRAME_SIZE_ERROR),
    ],
)  # fmt: skip
async def test_a_client_that_breaks_the_protocol_is_told_how_and_cut_off(
    apns: APNsStandIn, sent: Sequence[bytes], code: ErrorCodes
) -> None:
    async with sending_to(apns) as sender:
        for each in sent:
            sender.write(each)
        await sender.until_closed()

    assert sender.goaway is not None
    assert sender.goaway.error_code == code


def test_a_wrong_preface_is_no_http_2() -> None:
    with pytest.raises(ConnectionFault):
        list(FrameReader().take(b"GET / HTTP/1.1\r\n"))


async def test_frames_that_nobody_knows_and_priorities_are_ignored_and_pings_answered(apns: APNsStandIn) -> None:
    async with sending_to(apns) as sender:
        sender.write(frame(FrameType.PRIORITY, Flag.NONE, 1, bytes(5)))
        sender.write(b"\x00\x00\x01\xfa\x00\x00\x00\x00\x00x")
        sender.h2.ping(b"12345678")
        sender.flush()
        await sender.until(lambda: sender.pongs == [b"12345678"])

        assert await sender.push() == (200, None)


async def test_a_client_that_never_widens_its_window_is_sent_no_more_than_that(apns: APNsStandIn) -> None:
    apns.behaviour.treat_next(refusal("BadDeviceToken"), 3000)

    async with sending_to(apns) as sender:
        sender.acknowledges_bodies = False
        for _ in range(15):
            wave = [sender.send() for _ in range(200)]
            await sender.until_answered(wave)
        received = sum(map(len, sender.bodies.values()))

        assert 65_535 - 27 <= received <= 65_535
        assert len(sender.ended) < 3000

        sender.h2.increment_flow_control_window(65_535)
        sender.flush()
        await sender.until(lambda: len(sender.ended) == 3000)

    assert sum(map(len, sender.bodies.values())) == 3000 * len(b'{"reason":"BadDeviceToken"}')


async def test_a_push_that_the_client_gives_up_makes_room_for_another(apns: APNsStandIn) -> None:
    apns.behaviour.treat_next(Silence())

    async with sending_to(apns) as sender:
        apns.limit_streams(1)
        await sender.until(lambda: sender.max_streams == 1)
        stream = sender.send()
        await apns.until(lambda: apns.counts.silences == 1)
        sender.h2.reset_stream(stream)
        sender.flush()

        assert await sender.push() == (200, None)


def test_frames_are_found_however_they_are_cut() -> None:
    sent = PREFACE + frame(FrameType.DATA, Flag.END_STREAM, 1, b"abc") + frame(FrameType.PING, Flag.NONE, 0, bytes(8))
    reader = FrameReader()

    found = [each for number in range(len(sent)) for each in reader.take(sent[number : number + 1])]

    assert found == list(FrameReader().take(sent)) == [(0, 1, 1, b"abc"), (6, 0, 0, bytes(8))]


def test_padding_and_priority_are_taken_off() -> None:
    assert content_of(b"\x02abc\x00\x00", Flag.PADDED) == b"abc"
    assert content_of(b"12345abc", Flag.PRIORITY) == b"abc"
    assert content_of(b"\x0012345abc", Flag.PADDED | Flag.PRIORITY) == b"abc"
    with pytest.raises(ConnectionFault) as caught:
        content_of(b"", Flag.PADDED)
    assert caught.value.code is ErrorCode.PROTOCOL_ERROR
