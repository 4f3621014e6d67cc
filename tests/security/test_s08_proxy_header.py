"""S8: a proxy's certificate header is believed only from listed proxies; duplicates and `_`/`-` twins are refused."""

from pathlib import Path

import pytest

from certs import format_certificate_header
from mdmserver.config import Config, Identity, Listen
from mdmserver.errors import Invalid
from mdmserver.web.peers import TrustedProxies
from tests.web.device.serving import IDLE, PKI, Serving, head, serving

LISTED = Identity(http=("header",), trusted_proxies=("10.0.0.0/8", "127.0.0.0/8"))
UNLISTED = Identity(http=("header",), trusted_proxies=("10.0.0.0/8",))


async def status_of(server: Serving, *headers: str) -> int:
    request = head(*headers, f"Content-Length: {len(IDLE)}", "Connection: close") + IDLE
    answer = await server.raw(request)
    assert answer.endswith(b"\r\n\r\n")
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("style", ["rfc9440", "escaped_pem"])
async def test_both_forms_are_read_from_a_listed_proxy(pki: PKI, style: str) -> None:
    value = format_certificate_header(pki.device.der, style=style)

    async with serving(pki, identity=LISTED) as server:
        assert await status_of(server, f"X-Client-Certificate: {value}") == 200


async def test_an_unlisted_peer_proves_nothing_with_the_header(pki: PKI) -> None:
    value = format_certificate_header(pki.device.der, style="rfc9440")

    async with serving(pki, identity=UNLISTED) as server:
        assert await status_of(server, f"X-Client-Certificate: {value}") == 403
    assert not server.services.reports


async def test_the_header_is_off_by_default(pki: PKI) -> None:
    assert Config().identity.trusted_proxies == ()
    assert all("header" not in proof for proof in Config().identity.http + Config().identity.https)


@pytest.mark.parametrize(
    "twin", ["X-Client-Certificate", "X_Client_Certificate", "x-client_certificate", "X-Client-certificate"]
)
async def test_duplicates_and_twins_are_refused(pki: PKI, twin: str) -> None:
    own = format_certificate_header(pki.device.der, style="rfc9440")
    other = format_certificate_header(pki.other_device.der, style="rfc9440")

    async with serving(pki, identity=LISTED) as server:
        assert await status_of(server, f"X-Client-Certificate: {own}", f"{twin}: {other}") == 400
        assert await status_of(server, f"{twin}: {other}", f"X-Client-Certificate: {own}") == 400
    assert not server.services.reports


async def test_a_twin_alone_is_refused(pki: PKI) -> None:
    value = format_certificate_header(pki.device.der, style="rfc9440")

    async with serving(pki, identity=LISTED) as server:
        assert await status_of(server, f"X_Client_Certificate: {value}") == 400


async def test_two_signatures_are_refused(pki: PKI) -> None:
    signature = f"Mdm-Signature: {pki.device.signature(IDLE)}"

    async with serving(pki) as server:
        assert await status_of(server, signature, signature) == 400


@pytest.mark.parametrize("value", ["", ":", "::", ":AAAA:", "nonsense", "%00", "-----BEGIN", ":" + "A" * 16_000 + ":"])
async def test_a_malformed_header_of_a_listed_proxy_is_refused(pki: PKI, value: str) -> None:
    async with serving(pki, identity=LISTED) as server:
        assert await status_of(server, f"X-Client-Certificate: {value}") in (400, 403)
    assert not server.services.reports


async def test_a_peer_on_a_unix_socket_is_a_listed_proxy(pki: PKI, tmp_path: Path) -> None:
    path = tmp_path / "mdm.sock"
    value = format_certificate_header(pki.device.der, style="rfc9440")
    only_header = Identity(http=("header",))

    async with serving(pki, identity=only_header, listen=Listen(http=f"unix:{path}", operations="")) as server:
        assert await status_of(server, f"X-Client-Certificate: {value}") == 200


@pytest.mark.parametrize(
    ("peer", "is_included"),
    [
        (("127.0.0.1", 1), True),
        (("::ffff:127.0.0.1", 1, 0, 0), True),
        (("128.0.0.1", 1), False),
        (("fd00::1", 1, 0, 0), True),
        (("fe80::1%eth0", 1, 0, 2), False),
        (("not an address", 1), False),
        ("", True),
        (None, False),
    ],
)
def test_peers_are_compared_as_addresses(peer: object, is_included: bool) -> None:
    proxies = TrustedProxies(["127.0.0.0/8", "fd00::/16"])

    assert proxies.include(peer) is is_included


def test_a_network_that_is_none_is_refused_at_start() -> None:
    with pytest.raises(Invalid, match="trusted_proxies"):
        TrustedProxies(["127.0.0.1/33"])
