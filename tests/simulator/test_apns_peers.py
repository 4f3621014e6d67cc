"""The stand-in for APNs against HTTP/2 clients that are not ours: curl, and nghttp, both on nghttp2."""

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from mdmserver.simulator.apns import APNsStandIn, open_stand_in
from mdmserver.simulator.apns_answers import Hangup, Reset, refusal
from mdmserver.simulator.apns_behaviour import Behaviour
from mdmserver.simulator.apns_credentials import APNsFiles
from tests.simulator.apns_sending import OTHER_TOKEN, PAYLOAD, TOKEN, TOPIC

NEEDED = ("-H", f"apns-topic: {TOPIC}", "-H", "apns-push-type: mdm")

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
needs_nghttp = pytest.mark.skipif(shutil.which("nghttp") is None, reason="nghttp is not installed")


async def run(*command: str | Path) -> tuple[int | None, str]:
    """Exit code and everything printed."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    return process.returncode, out.decode()


async def curl(apns: APNsStandIn, path: str, *options: str, has_certificate: bool = True) -> tuple[int, dict[str, Any]]:
    """Status and JSON of an answer; 0 where there was none."""
    certificate = ("--cert", apns.files.push_certificate) if has_certificate else ()
    command = ("curl", "--http2", "-sS", "--max-time", "20", "--cacert", apns.files.ca, *certificate)
    code, out = await run(
        *command, *options, "-w", "\n%{http_version} %{http_code}", f"https://localhost:{apns.port}{path}"
    )
    body, _, last = out.rpartition("\n")
    version, status = last.split()
    assert code or version == "2"
    return int(status), json.loads(body) if body and not code else {}


async def nghttp(apns: APNsStandIn, folder: Path, *options: str, paths: tuple[str, ...]) -> str:
    """What nghttp -v says of pushes that are sent together on one connection."""
    (folder / "payload").write_bytes(PAYLOAD)
    certificate = apns.files.push_certificate
    return (
        await run(
            "nghttp", "-v", "--no-dep", f"--cert={certificate}", f"--key={certificate}", "-d", folder / "payload",
            *NEEDED, *options, *(f"https://localhost:{apns.port}{path}" for path in paths),
        )
    )[1]  # fmt: skip


@needs_curl
async def test_curl_pushes(apns: APNsStandIn) -> None:
    answer = await curl(apns, f"/3/device/{TOKEN}", *NEEDED, "-H", "apns-expiration: 0", "-d", PAYLOAD.decode())

    assert answer == (200, {})
    assert [(push.token, push.magic, push.expiration) for push in apns.deliveries] == [(TOKEN, "MAGIC", 0)]


@needs_curl
@pytest.mark.parametrize(
    ("path", "options", "status", "reason"),
    [
        (f"/3/device/{TOKEN}", ("-d", "{}"), 400, "InvalidPushType"),
        (f"/3/device/{TOKEN}", ("-H", "apns-push-type: mdm", "-d", "{}"), 400, "MissingTopic"),
        (f"/3/device/{TOKEN}", (*NEEDED, "-X", "POST"), 400, "PayloadEmpty"),
        (f"/3/device/{TOKEN}x", (*NEEDED, "-d", "{}"), 400, "BadDeviceToken"),
        (f"/3/device/{TOKEN}", NEEDED, 405, "MethodNotAllowed"),
        (f"/2/device/{TOKEN}", (*NEEDED, "-d", "{}"), 404, "BadPath"),
        (f"/3/device/{TOKEN}", (*NEEDED, "-d", "x" * 5000), 413, "PayloadTooLarge"),
        (f"/3/device/{TOKEN}", (*NEEDED, "-d", "x" * 100_000), 413, "PayloadTooLarge"),
    ],
)
async def test_curl_is_told_what_is_wrong(
    apns: APNsStandIn, path: str, options: tuple[str, ...], status: int, reason: str
) -> None:
    assert await curl(apns, path, *options) == (status, {"reason": reason})


@needs_curl
async def test_curl_is_told_that_a_token_is_no_more(apns: APNsStandIn) -> None:
    apns.behaviour.unregistered = 1

    status, said = await curl(apns, f"/3/device/{TOKEN}", *NEEDED, "-d", PAYLOAD.decode())

    assert (status, said["reason"]) == (410, "Unregistered")
    assert said["timestamp"] > 1_600_000_000_000


@needs_curl
async def test_curl_without_a_certificate_gets_no_answer(apns: APNsStandIn) -> None:
    assert (await curl(apns, f"/3/device/{TOKEN}", *NEEDED, "-d", "{}", has_certificate=False))[0] == 0


@needs_nghttp
async def test_nghttp_pushes_many_at_once(apns: APNsStandIn, tmp_path: Path) -> None:
    said = await nghttp(apns, tmp_path, "--multiply=50", paths=(f"/3/device/{TOKEN}", f"/3/device/{OTHER_TOKEN}"))

    assert said.count(":status: 200") == 100
    assert apns.counts.tokens == {TOKEN: 50, OTHER_TOKEN: 50}
    assert apns.counts.connections == 1


@needs_nghttp
async def test_nghttp_reads_refusals_and_successes_side_by_side(apns: APNsStandIn, tmp_path: Path) -> None:
    apns.behaviour.treat(OTHER_TOKEN, refusal("Unregistered"))

    said = await nghttp(apns, tmp_path, "--multiply=20", paths=(f"/3/device/{TOKEN}", f"/3/device/{OTHER_TOKEN}"))

    assert (said.count(":status: 200"), said.count(":status: 410")) == (20, 20)
    assert said.count('{"reason":"Unregistered"}') == 20


@needs_nghttp
async def test_nghttp_sends_headers_in_pieces_and_padded(apns: APNsStandIn, tmp_path: Path) -> None:
    said = await nghttp(apns, tmp_path, "--continuation", "--padding=100", paths=(f"/3/device/{TOKEN}",))

    assert "continuation-test-6" in said  # 18 KB of headers, which is more than one frame holds
    assert said.count(":status: 200") == 1


@needs_nghttp
async def test_nghttp_with_a_narrow_window_gets_its_answers_in_parts(apns: APNsStandIn, tmp_path: Path) -> None:
    apns.behaviour.refused = 1

    # 2^6-1 bytes for the connection and each stream, of which each answer takes 27.
    said = await nghttp(apns, tmp_path, "--multiply=20", "-w6", "-W6", paths=(f"/3/device/{TOKEN}",))

    assert said.count(":status: 400") == 20
    assert apns.counts.refused == {"BadDeviceToken": 20}


@needs_nghttp
async def test_nghttp_heeds_one_stream_at_a_time(apns_files: APNsFiles, tmp_path: Path) -> None:
    async with open_stand_in(apns_files, Behaviour(max_streams=1)) as apns:
        said = await nghttp(apns, tmp_path, paths=(f"/3/device/{TOKEN}",))

    assert "[SETTINGS_MAX_CONCURRENT_STREAMS(0x03):1]" in said
    assert said.count(":status: 200") == 1


@needs_nghttp
async def test_nghttp_is_told_by_goaway_which_pushes_were_looked_at(apns_files: APNsFiles, tmp_path: Path) -> None:
    async with open_stand_in(apns_files, Behaviour(goaway_every=3, delay_seconds=0.05)) as apns:
        said = await nghttp(apns, tmp_path, "--multiply=8", paths=(f"/3/device/{TOKEN}",))

    (goaway,) = re.findall(r"recv GOAWAY frame.*\n\s+\((.*)\)", said)
    answered = re.findall(r"stream_id=(\d+)\) :status: 200", said)
    assert f"last_stream_id={max(map(int, answered))}, error_code=NO_ERROR(0x00)" in goaway
    assert '{"reason":"Shutdown"}' in goaway
    assert len(answered) == apns.counts.accepted == 3


@needs_nghttp
async def test_nghttp_is_told_of_a_hangup_and_of_resets(apns: APNsStandIn, tmp_path: Path) -> None:
    apns.behaviour.treat_next(Reset())
    apns.behaviour.treat_next(Hangup())

    said = await nghttp(apns, tmp_path, "--multiply=5", paths=(f"/3/device/{TOKEN}",))

    assert len(re.findall(r"recv RST_STREAM frame.*\n\s+\(error_code=INTERNAL_ERROR", said)) == 1
    assert len(re.findall(r"recv GOAWAY frame.*\n\s+\(last_stream_id=\d+, error_code=INTERNAL_ERROR", said)) == 1
    assert ":status:" not in said
