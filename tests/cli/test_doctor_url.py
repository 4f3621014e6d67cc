"""`mdmserver doctor --url`: a good way in has no fault, and every fault of a proxy is found and named."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from mdmserver.cli.check_proof import DeviceEndpoint, StrangerSigner, check_proof
from mdmserver.cli.check_public import PublicName, check_plain_http, check_public
from mdmserver.cli.findings import Finding, Verdict
from mdmserver.cli.probe import open_site
from mdmserver.config import Config, Identity, Listen, load_config
from mdmserver.web.app import build_application
from mdmserver.web.listener import ListenerKind
from mdmserver.web.server import serve
from mdmserver.web.services import Services
from tests.cli.conftest import Mdmserver
from tests.cli.reverse_proxy import CERTIFICATE_HEADER, Faults, proxy_to, serving
from tests.source_tree import ROOT

NOW = datetime.now(UTC)
PROXIES = (ROOT / "docs" / "proxies.md").read_text()
ENDPOINT = DeviceEndpoint(path="/mdm", proxy_header=CERTIFICATE_HEADER, believes_signatures=True)


@pytest.fixture(scope="module")
def signer() -> StrangerSigner:
    return StrangerSigner(now=NOW)


@pytest.fixture(params=[("signature", "header"), ("header", "signature")], ids=["signature first", "header first"])
def config(request: pytest.FixtureRequest) -> Config:
    """A server that believes signatures, and certificate headers of a proxy on this machine."""
    return Config(
        listen=Listen(http="127.0.0.1:0", operations="127.0.0.1:0"),
        identity=Identity(http=request.param, trusted_proxies=("127.0.0.1",)),
    )


@pytest.fixture
async def upstream(services: Services, config: Config) -> AsyncIterator[dict[ListenerKind, str]]:
    """The URLs of a server's listeners."""
    async with serve(config, services, build_application=build_application) as listening:
        yield {kind: f"http://{host}:{port}" for kind, (host, port) in listening.addresses.items()}


async def behind(upstream: str, faults: Faults, config: Config) -> dict[str, Finding]:
    async with proxy_to(upstream, faults) as url:
        name = PublicName(url=url, config=config, ca_file=None)
        return {finding.check: finding async for finding in check_public(name, now=NOW)}


async def test_a_good_proxy_has_no_fault(upstream: dict[ListenerKind, str], config: Config) -> None:
    found = await behind(upstream[ListenerKind.HTTP], Faults(), config)

    assert {check: finding.verdict for check, finding in found.items()} == {
        "name": "ok", "tls": "warning", "server": "ok", "PUT": "ok", "large bodies": "ok", "bodies": "ok",
        "Mdm-Signature": "ok", "X-Client-Certificate": "ok", "X_Client_Certificate": "ok", "scep": "ok",
        "operations": "ok",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("faults", "check", "verdict", "text"),
    [
        (Faults(passes_certificate_header=True), "X-Client-Certificate", "failure", "passed on and believed"),
        (Faults(passes_underscores=True), "X_Client_Certificate", "warning", "remove it too"),
        (Faults(drops="Mdm-Signature"), "Mdm-Signature", "failure", "does not reach the server"),
        (Faults(longest_field=1024), "Mdm-Signature", "failure", "not this server's answer"),
        (Faults(longest_field=2048), "Mdm-Signature", "failure", "of 3000 characters does not arrive"),
        (Faults(longest_field=5000), "Mdm-Signature", "warning", "of 6500 characters"),
        (Faults(change_body=bytes.strip), "bodies", "failure", "changed on the way"),
        (Faults(change_body=lambda body: body.replace(b"\r\n", b"\n")), "bodies", "failure", "changed on the way"),
        (Faults(largest_body=1024 * 1024), "large bodies", "failure", "413"),
        (Faults(redirects_puts=True), "PUT", "failure", "301 Moved Permanently to https://www.example.com/mdm"),
        (Faults(refuses=frozenset({"PUT"})), "PUT", "failure", "let PUT and POST through"),
        (Faults(own_error_pages=True), "PUT", "failure", "not this server's answer to devices"),
        (Faults(demands_password=True), "PUT", "failure", "may unenroll"),
        (Faults(without_scep=True), "scep", "failure", "404"),
    ],
)
async def test_a_faulty_proxy_is_found_out(
    upstream: dict[ListenerKind, str], config: Config, faults: Faults, check: str, verdict: str, text: str
) -> None:
    found = await behind(upstream[ListenerKind.HTTP], faults, config)

    assert (found[check].verdict, text in found[check].text) == (verdict, True), found


async def test_operations_behind_the_public_name_fail(upstream: dict[ListenerKind, str], config: Config) -> None:
    faults = Faults(shows_operations_of=upstream[ListenerKind.OPERATIONS])

    found = await behind(upstream[ListenerKind.HTTP], faults, config)

    assert found["operations"].verdict is Verdict.FAILURE


async def test_a_server_that_believes_only_its_proxy_is_checked_for_that(services: Services) -> None:
    config = Config(
        listen=Listen(http="127.0.0.1:0", operations=""),
        identity=Identity(http=("header+signature",), trusted_proxies=("127.0.0.1",)),
    )
    async with serve(config, services, build_application=build_application) as listening:
        host, port = listening.addresses[ListenerKind.HTTP]
        good = await behind(f"http://{host}:{port}", Faults(), config)
        bad = await behind(f"http://{host}:{port}", Faults(passes_certificate_header=True), config)

    assert good["Mdm-Signature"].verdict is Verdict.WARNING
    assert (good[CERTIFICATE_HEADER].verdict, bad[CERTIFICATE_HEADER].verdict) == ("ok", "failure")


async def test_what_is_no_mdmserver_ends_the_checks(signer: StrangerSigner) -> None:
    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async with serving(hello) as url:
        name = PublicName(url=url, config=Config(), ca_file=None)
        found = [finding async for finding in check_public(name, now=NOW)]
        async with open_site(url) as site:
            proof = [finding async for finding in check_proof(site, ENDPOINT, signer)]

    assert (found[-1].check, found[-1].verdict) == ("server", "failure")
    assert [finding.verdict for finding in proof] == ["failure"]


async def test_a_name_that_does_not_resolve_fails_alone() -> None:
    name = PublicName(url="https://mdm.invalid", config=Config(), ca_file=None)

    found = [finding async for finding in check_public(name, now=NOW)]

    assert [(finding.check, finding.verdict) for finding in found] == [("name", "failure")]


@pytest.mark.parametrize(
    ("status", "verdict"), [(301, "warning"), (302, "warning"), (308, "ok"), (403, "warning"), (None, "ok")]
)
async def test_a_redirect_from_http_must_keep_the_method(status: int | None, verdict: str) -> None:
    async def redirect(request: web.Request) -> web.Response:
        assert status is not None
        return web.Response(status=status, headers={"Location": "https://mdm.example.com/mdm"})

    async with serving(redirect) as url, open_site(url) as site:
        found = await check_plain_http(site, url if status else "http://127.0.0.1:1", "/mdm")

    assert found.verdict == verdict


async def test_the_command_ends_with_1_when_a_check_fails(
    mdmserver: Mdmserver, upstream: dict[ListenerKind, str], tmp_path: Path
) -> None:
    url = upstream[ListenerKind.HTTP]  # without a proxy in front, and this machine is believed to be one

    result = await asyncio.to_thread(mdmserver, "doctor", "--state", str(tmp_path / "none"), "--url", url, "--json")

    verdicts = {finding["check"]: finding["verdict"] for finding in json.loads(result.stdout)}
    assert result.exit_code == 1
    assert verdicts["X-Client-Certificate"] == "failure"
    assert verdicts["Mdm-Signature"] == "ok"


@pytest.mark.parametrize("url", ["mdm.example.com", "https://mdm.example.com/mdm", "ftp://x"])
def test_what_is_no_public_name_is_a_usage_error(mdmserver: Mdmserver, url: str) -> None:
    assert mdmserver("doctor", "--url", url).exit_code == 2


@pytest.mark.parametrize("block", re.findall(r"^```toml\n(.*?)^```$", PROXIES, flags=re.MULTILINE | re.DOTALL))
def test_configurations_of_the_proxies_page_load(tmp_path: Path, block: str) -> None:
    (tmp_path / "config.toml").write_text(block)

    identity = load_config(tmp_path / "config.toml", {}).identity

    assert identity.trusted_proxies == ("127.0.0.1",)
