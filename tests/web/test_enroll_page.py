"""The page behind an invitation's URL: what it shows, what it does not use up, and how it says no."""

import hashlib
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import segno

from certs import PKIStatus
from mdmserver.config import Enrollment
from tests.web.api_server import Answer, RunningServer
from tests.web.issuing import Applicant, download, invite, issuing_server, path_of, rsa_key


@pytest.fixture
async def issuing(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with issuing_server(tmp_path) as server:
        yield server


class _Reading(HTMLParser):
    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]

    def handle_data(self, data: str) -> None:
        self.words += data


async def page_of(server: RunningServer, url: str, suffix: str = "") -> Answer:
    return await server.call("GET", path_of(url, server) + suffix)


async def test_page_says_for_whom_and_how_long_and_leads_to_the_profile(issuing: RunningServer) -> None:
    made = await invite(issuing, user="Ada Lovelace", expires_at=f"{issuing.clock().year + 1}-01-02T03:04:05Z")

    answer = await page_of(issuing, made["url"])

    page = _Reading(answer.body)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    for words in ("Example & Sons", "Ada Lovelace", f"2 January {issuing.clock().year + 1}, 03:04 UTC", "iPad", "Mac"):
        assert words in page.words
    assert page.links == [path_of(made["url"], issuing) + "/profile"]


async def test_page_shows_its_own_address_as_a_code(issuing: RunningServer) -> None:
    url = (await invite(issuing))["url"]

    answer = await page_of(issuing, url)

    (drawn,) = re.findall(r'class="qrline" stroke="#000" d="([^"]*)"', answer.body.decode())
    assert drawn in segno.make_qr(url).svg_inline(border=3)


async def test_page_has_no_script_and_lets_its_own_style_through_alone(issuing: RunningServer) -> None:
    answer = await page_of(issuing, (await invite(issuing))["url"])

    (style,) = re.findall(rb"<style>(.*?)</style>", answer.body, re.DOTALL)
    digest = b64encode(hashlib.sha256(style).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "frame-ancestors 'none'" in policy
    assert "script" not in _Reading(answer.body).tags
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Server"] == "mdmserver"


async def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    wicked = "<script>alert(1)</script>\"'&"
    settings = Enrollment(organization="<img src=x>", display_name="</title><b>")

    async with issuing_server(tmp_path, enrollment=settings) as server:
        answer = await page_of(server, (await invite(server, user=wicked))["url"])

    page = _Reading(answer.body)
    assert wicked in page.words
    assert "<img src=x>" in page.words
    assert not {"script", "img", "b"} & set(page.tags)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_looking_uses_nothing_up(method: str, issuing: RunningServer) -> None:
    made = await invite(issuing)

    answers = [await issuing.call(method, path_of(made["url"], issuing)) for _ in range(20)]

    assert {answer.status for answer in answers} == {200}
    assert all(bool(answer.body) == (method == "GET") for answer in answers)
    shown = (await issuing.get(f"/api/v1/invitations/{made['invitation']['id']}")).json
    assert (shown["uses"], shown["downloads"], shown["is_open"]) == (0, 0, True)


async def test_what_mail_programs_add_to_the_address_does_not_matter(issuing: RunningServer) -> None:
    url = (await invite(issuing))["url"]

    answers = [await page_of(issuing, url, f"{path}?utm_source=a&utm_source=b&x=%ff") for path in ("", "/profile")]

    assert [answer.status for answer in answers] == [200, 200]


async def test_profile_is_a_download_that_is_kept_nowhere(issuing: RunningServer) -> None:
    answer = await page_of(issuing, (await invite(issuing))["url"], "/profile")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/x-apple-aspen-config"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="enrollment.mobileconfig"'
    assert answer.headers["Cache-Control"] == "no-store"


async def test_profile_points_to_this_server(issuing: RunningServer) -> None:
    profile = await download(issuing, await invite(issuing))

    own = issuing.services.own_authorities.issuing.authority
    assert (profile.scep.url, profile.scep.ca_fingerprint) == (f"{issuing.url}/scep", own.sha256_fingerprint)
    assert (profile.mdm.server_url, profile.mdm.check_in_url) == (f"{issuing.url}/mdm", f"{issuing.url}/mdm")


async def test_invitations_that_are_not_open_all_get_the_same_page(issuing: RunningServer) -> None:
    revoked, used, expired = [await invite(issuing) for _ in range(3)]
    await issuing.delete(f"/api/v1/invitations/{revoked['invitation']['id']}")
    applicant = Applicant(server=issuing, key=rsa_key("device"))
    reply = await applicant.apply((await download(issuing, used)).scep.challenge)
    assert reply.status is PKIStatus.SUCCESS
    open_until = issuing.clock()
    issuing.clock.advance(days=8)

    bodies = set()
    for url in (revoked["url"], used["url"], expired["url"], f"{issuing.url}/enroll/{'x' * 32}"):
        for suffix in ("", "/profile"):
            answer = await page_of(issuing, url, suffix)
            assert (answer.status, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
            bodies.add(answer.body)

    assert open_until < issuing.clock()
    assert len(bodies) == 1
    assert "Ask for a new invitation" in _Reading(bodies.pop()).words


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/enroll/", 404),
        ("GET", "/enroll/a/b/c", 404),
        ("POST", "/enroll/a", 405),
        ("HEAD", "/enroll/a/profile", 405),
        ("GET", "/enroll/%ff%fe", 404),
        ("GET", "/enroll/%00", 404),
        ("GET", "/enroll/" + "a" * 100_000, 404),
        ("GET", "/enroll/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/enroll/../../../etc/passwd", 404),
        ("GET", "/enroll/%2e%2e/profile", 404),
    ],
)
async def test_other_paths_and_methods_are_refused(
    method: str, path: str, status: int, issuing: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await issuing.call(method, path)

    assert answer.status == status
    assert b"passwd" not in answer.body
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_without_a_ca_the_page_works_and_the_profile_says_later(tmp_path: Path) -> None:
    async with issuing_server(tmp_path, with_ca=False) as server:
        url = (await invite(server))["url"]
        page, profile = await page_of(server, url), await page_of(server, url, "/profile")

    assert (page.status, profile.status) == (200, 503)
    assert int(profile.headers["Retry-After"]) > 0
    assert b"Try again" in profile.body
