"""S21: an office that enrolls is one address: what proves itself by a token, or is done, takes no place from others."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from mdmserver.config import Limits
from tests.web.api_server import RunningServer
from tests.web.issuing import Applicant, challenge_of, invite, issuing_server, path_of, rsa_key

PLACES = 3


async def status_on_a_new_connection(server: RunningServer, path: str, kept: list[asyncio.StreamWriter]) -> bytes:
    """The status of a GET, empty where the server hung up; the connection is kept open."""
    parts = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    kept.append(writer)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    try:
        return (await reader.readuntil(b"\r\n")).split(b" ")[1]
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


async def test_open_pages_of_one_address_are_not_counted_but_guesses_are(tmp_path: Path) -> None:
    kept: list[asyncio.StreamWriter] = []
    async with issuing_server(tmp_path, limits=Limits(unauthenticated_per_address=PLACES)) as server:
        page = path_of((await invite(server))["url"], server)

        good = [await status_on_a_new_connection(server, page, kept) for _ in range(3 * PLACES)]
        guesses = [await status_on_a_new_connection(server, "/enroll/guess", kept) for _ in range(2 * PLACES)]
        for writer in kept:
            writer.close()

    assert good == [b"200"] * 3 * PLACES
    assert guesses == [b"404"] * PLACES + [b""] * PLACES


async def test_connection_ends_with_the_reply_to_a_scep_message(tmp_path: Path) -> None:
    async with issuing_server(tmp_path) as server:
        applicant = Applicant(server=server, key=rsa_key("device"))
        capabilities = await server.call("GET", "/scep?operation=GetCACaps")
        reply = await applicant.send(applicant.request(await challenge_of(server)))

    assert "Connection" not in capabilities.headers
    assert reply.headers["Connection"] == "close"
