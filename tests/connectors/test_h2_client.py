"""The client's HTTP/2 by itself: read by h2 as it should be, and unharmed by servers that break the rules."""

import random
import struct
from datetime import timedelta

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, SettingsAcknowledged, StreamEnded
from hpack import Decoder, Encoder

from mdmserver.connectors import h2_client, h2_frames
from mdmserver.connectors.apns_request import HeaderWriter, PushRequest
from mdmserver.connectors.h2_client import Answered, Event, GoneAway, H2Client, Reset
from mdmserver.connectors.h2_frames import FrameReader, ProtocolFault, frame
from tests.connectors.conftest import NOW, TOPIC, notification

END_HEADERS, END_STREAM = 0x4, 0x1
STATUS_200 = b"\x88"
STATUS_400 = b"\x8c"


def settings(**values: int) -> bytes:
    names = {"header_table_size": 1, "max_streams": 3, "window": 4}
    return h2_frames.settings({names[name]: value for name, value in values.items()})


def ready(greeting: bytes = settings(max_streams=100)) -> H2Client:
    """A client whose server has greeted it, and that has a push out on stream 1."""
    client = H2Client()
    assert list(client.receive(greeting)) == []
    assert client.has_room(2)
    assert client.request(b"\x83", b"{}") == 1
    client.outgoing.clear()
    return client


def headers(stream: int, block: bytes = STATUS_200, *, ends: bool = True) -> bytes:
    return frame(h2_frames.HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream, block)


def received(client: H2Client, *frames: bytes) -> list[Event]:
    return list(client.receive(b"".join(frames)))


def test_h2_reads_what_is_written() -> None:
    server = H2Connection(H2Configuration(client_side=False))
    server.initiate_connection()
    client = H2Client()
    received(client, server.data_to_send())
    writer = HeaderWriter(authority="api.push.example", topic=TOPIC)

    for number in (1, 2):
        request = PushRequest(TOPIC, notification(number))
        client.request(writer.block(request), request.body)
    events = server.receive_data(bytes(client.outgoing))

    assert any(isinstance(event, SettingsAcknowledged) for event in events)
    assert sum(isinstance(event, StreamEnded) for event in events) == 2
    assert [event.data for event in events if isinstance(event, DataReceived)] == [
        b'{"mdm":"magic-1"}',
        b'{"mdm":"magic-2"}',
    ]
    arrived = [dict(event.headers or ()) for event in events if isinstance(event, RequestReceived)]
    assert [each[b"apns-id"][-1:] for each in arrived] == [b"1", b"2"]
    assert arrived[0][b"apns-expiration"] == b"%d" % (NOW + timedelta(days=7)).timestamp()


@pytest.mark.parametrize("length", [0, 1, 126, 127, 128, 254, 255, 256, 2000])
def test_strings_of_any_length_are_read_by_hpack(length: int) -> None:
    block = HeaderWriter(authority="a" * length, topic="t" * length).block(PushRequest(TOPIC, notification()))

    fields = {bytes(name): bytes(value) for name, value in Decoder().decode(block, raw=True)}
    assert (fields[b":authority"], fields[b"apns-topic"]) == (b"a" * length, b"t" * length)


def test_answers_are_read_however_they_are_cut() -> None:
    encoder = Encoder()
    block = encoder.encode([(":status", "400"), ("apns-id", "an-id"), ("x-filler", "y" * 300)])
    pieces = [block[:10], block[10:11], block[11:]]
    answer = (
        frame(h2_frames.HEADERS, 0x8 | 0x20, 1, b"\x03" + bytes(5) + pieces[0] + bytes(3))
        + frame(h2_frames.CONTINUATION, 0, 1, pieces[1])
        + frame(h2_frames.CONTINUATION, END_HEADERS, 1, pieces[2])
        + frame(0xFA, 0, 7, b"an unknown kind")
        + frame(h2_frames.DATA, 0x8, 1, b"\x02" + b'{"reason"' + bytes(2))
        + frame(h2_frames.DATA, END_STREAM, 1, b':"BadTopic"}')
    )

    for size in (1, 2, 9, 10, 64, len(answer)):
        client = ready()
        events: list[Event] = []
        for start in range(0, len(answer), size):
            events += client.receive(answer[start : start + size])
        assert events == [Answered(stream=1, status=400, apns_id="an-id", body=b'{"reason":"BadTopic"}')]
        assert client.open_streams == 0


def test_an_answer_may_have_an_interim_one_and_trailers() -> None:
    events = received(
        ready(),
        headers(1, b"\x08\x03103", ends=False),
        headers(1, STATUS_400, ends=False),
        frame(h2_frames.DATA, 0, 1, b"{}"),
        headers(1, b"\x00\x01x\x01y"),
    )

    assert events == [Answered(stream=1, status=400, apns_id=None, body=b"{}")]


def test_header_tables_stay_right_when_an_answer_comes_for_a_stream_that_is_no_more() -> None:
    encoder, client = Encoder(), ready()
    client.request(b"\x83", b"{}")
    client.reset(1)

    late = headers(1, encoder.encode([(":status", "200"), ("apns-id", "first")]))
    timely = headers(3, encoder.encode([(":status", "200"), ("apns-id", "first")]))

    assert received(client, late, timely) == [Answered(stream=3, status=200, apns_id="first", body=b"")]


def test_no_stream_is_opened_before_the_server_said_how_many() -> None:
    client = H2Client()

    assert not client.has_room(1)
    received(client, settings(max_streams=1))
    assert client.has_room(1)
    client.request(b"\x83", b"{}")
    assert not client.has_room(1)


def test_a_body_waits_for_windows() -> None:
    client = H2Client()
    received(client, settings(window=10))
    assert client.has_room(10)
    assert not client.has_room(11)

    received(client, settings(window=1_000_000))
    for _ in range(16):
        client.request(b"\x83", bytes(4096 - 1))
    assert client.has_room(15)
    assert not client.has_room(16)
    received(client, frame(h2_frames.WINDOW_UPDATE, 0, 0, (1).to_bytes(4)))
    assert client.has_room(16)


def test_received_bodies_are_acknowledged_padding_included() -> None:
    client = ready()
    padded = frame(h2_frames.DATA, 0x8, 1, b"\xff" + bytes(255))
    received(client, headers(1, STATUS_400, ends=False))

    for _ in range(524_288 // 256):
        received(client, padded)

    # The last: 512 KiB of padding alone, none of which is kept.
    assert bytes(client.outgoing) == frame(h2_frames.WINDOW_UPDATE, 0, 0, (524_288).to_bytes(4))


def test_a_smaller_header_table_is_acknowledged_in_the_next_block() -> None:
    client = ready(settings(header_table_size=0))

    client.request(b"\x83", b"{}")

    assert frame(h2_frames.HEADERS, END_HEADERS, 3, b"\x83") in client.outgoing
    client = H2Client()
    received(client, settings(header_table_size=0))
    client.request(b"\x83", b"{}")
    assert frame(h2_frames.HEADERS, END_HEADERS, 1, b"\x20\x83") in client.outgoing


def test_pings_and_settings_are_answered() -> None:
    client = ready()

    received(client, frame(h2_frames.PING, 0, 0, b"abcdefgh"), frame(h2_frames.PING, 1, 0, b"mdmserve"), settings())

    assert bytes(client.outgoing) == frame(h2_frames.PING, 1, 0, b"abcdefgh") + frame(h2_frames.SETTINGS, 1, 0)


def test_a_goaway_ends_the_streams_it_does_not_name() -> None:
    client = ready()
    client.request(b"\x83", b"{}")

    events = received(client, frame(h2_frames.GOAWAY, 0, 0, struct.pack(">LL", 1, 0) + b"bye"))

    assert events == [GoneAway(last_stream=1, error="NO_ERROR", debug=b"bye")]
    assert client.open_streams == 1
    assert not client.has_room(1)


def test_errors_have_their_names_and_others_their_number() -> None:
    assert received(ready(), frame(h2_frames.RST_STREAM, 0, 1, (0xB).to_bytes(4))) == [
        Reset(stream=1, error="ENHANCE_YOUR_CALM")
    ]
    assert h2_client.error_name(0x1234) == "error 0x1234"


def test_the_last_stream_number_ends_the_connection() -> None:
    client = ready()
    client._next_stream = h2_frames.HIGHEST_STREAM

    assert client.request(b"\x83", b"{}") == h2_frames.HIGHEST_STREAM
    assert client.is_leaving


@pytest.mark.parametrize(
    ("what", "frames"),
    [
        ("a frame above 16 KiB", b"\x00\x40\x01\x00\x00\x00\x00\x00\x01"),
        ("a PING of seven bytes", frame(h2_frames.PING, 0, 0, bytes(7))),
        ("a RST_STREAM of five bytes", frame(h2_frames.RST_STREAM, 0, 1, bytes(5))),
        ("a WINDOW_UPDATE of three bytes", frame(h2_frames.WINDOW_UPDATE, 0, 0, bytes(3))),
        ("SETTINGS of seven bytes", frame(h2_frames.SETTINGS, 0, 0, bytes(7))),
        ("a short GOAWAY", frame(h2_frames.GOAWAY, 0, 0, bytes(7))),
        ("a PING on a stream", frame(h2_frames.PING, 0, 1, bytes(8))),
        ("SETTINGS on a stream", frame(h2_frames.SETTINGS, 0, 1)),
        ("DATA on no stream", frame(h2_frames.DATA, 0, 0, b"x")),
        ("HEADERS on no stream", headers(0)),
        ("HEADERS on a stream of the server", headers(2)),
        ("HEADERS on a stream never opened", headers(3)),
        ("RST_STREAM of a stream never opened", frame(h2_frames.RST_STREAM, 0, 5, bytes(4))),
        ("DATA before HEADERS", frame(h2_frames.DATA, 0, 1, b"x")),
        ("all padding", frame(h2_frames.DATA, 0x8, 1, b"\xff" + bytes(10))),
        ("padding without its length", frame(h2_frames.HEADERS, 0x8 | END_HEADERS, 1)),
        ("a promise", frame(h2_frames.PUSH_PROMISE, END_HEADERS, 1, bytes(5))),
        ("a continuation of nothing", frame(h2_frames.CONTINUATION, END_HEADERS, 1, b"x")),
        ("headers interrupted", frame(h2_frames.HEADERS, 0, 1, STATUS_200) + frame(h2_frames.PING, 0, 0, bytes(8))),
        (
            "headers continued elsewhere",
            frame(h2_frames.HEADERS, 0, 1, STATUS_200) + frame(h2_frames.CONTINUATION, END_HEADERS, 3),
        ),
        (
            "endless empty continuations",
            frame(h2_frames.HEADERS, 0, 1) + frame(h2_frames.CONTINUATION, 0, 1) * 100,
        ),
        (
            "endless full continuations",
            frame(h2_frames.HEADERS, 0, 1) + frame(h2_frames.CONTINUATION, 0, 1, bytes(16_384)) * 3,
        ),
        ("a header block of nonsense", headers(1, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")),
        ("an index beyond the table", headers(1, b"\xfe")),
        ("no status", headers(1, b"\x00\x01x\x01y")),
        ("a status of letters", headers(1, b"\x08\x03abc")),
        ("only an interim answer", headers(1, b"\x08\x03103")),
        ("a window that does not grow", frame(h2_frames.WINDOW_UPDATE, 0, 0, bytes(4))),
        ("a window too large", frame(h2_frames.WINDOW_UPDATE, 0, 0, h2_frames.HIGHEST_STREAM.to_bytes(4))),
        ("a window of the streams too large", settings(window=2**31)),
        ("pings without end", frame(h2_frames.PING, 0, 0, bytes(8)) * 10_001),
        ("settings without end", settings() * 10_001),
    ],
)
def test_a_server_that_breaks_the_rules_ends_the_connection(what: str, frames: bytes) -> None:
    client = ready()

    with pytest.raises(ProtocolFault):
        received(client, frames)


def test_a_header_bomb_ends_the_connection() -> None:
    # One field of 4,000 bytes into the table, and then its index two hundred times: 800 KB out of 4.
    bomb = b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4_000 + b"\xbe" * 200

    with pytest.raises(ProtocolFault):
        received(ready(), headers(1, bomb))


def test_what_came_before_a_fault_counts() -> None:
    client = ready()
    arriving = client.receive(headers(1) + frame(h2_frames.PUSH_PROMISE, 0, 1, bytes(5)))

    assert isinstance(next(arriving), Answered)
    with pytest.raises(ProtocolFault):
        next(arriving)


def test_an_answer_without_end_is_given_up_and_the_connection_kept() -> None:
    client = ready()

    events = received(client, headers(1, STATUS_400, ends=False), frame(h2_frames.DATA, 0, 1, bytes(16_384)) * 2)

    assert events == [Reset(stream=1, error="the answer is too long")]
    assert client.has_room(1)


def test_the_reader_holds_no_more_than_a_frame() -> None:
    reader = FrameReader()

    for _ in range(100):
        list(reader.feed(frame(h2_frames.DATA, 0, 1, bytes(16_384))[:-1] + b"x"))
    list(reader.feed(frame(h2_frames.DATA, 0, 1, bytes(16_384))[:-1]))

    assert len(reader._rest) == 16_384 + 9 - 1


@pytest.mark.parametrize("seed", range(20))
def test_noise_and_damaged_answers_raise_nothing_else(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(300):
        client = ready()
        whole = bytearray()
        for _ in range(chance.randrange(1, 8)):
            kind, flags = chance.randrange(11), chance.choice((0, 1, 4, 5, 0x8, 0xC, 0x20, 0x24, 0x2D))
            size = chance.choice((0, 1, 4, 5, 6, 8, 9, 40))
            whole += frame(kind, flags, chance.choice((0, 1, 1, 1, 2, 3)), chance.randbytes(size))
        if chance.random() < 0.3:
            whole[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        try:
            received(client, bytes(whole))
        except ProtocolFault:
            continue
