"""S5: what is not configured is not believed, a missing proof fails closed, and two proofs can both be required."""

from pathlib import Path

import aiohttp
import pytest

from certs import format_certificate_header
from mdmserver.config import Identity, Listen
from mdmserver.web.listener import ListenerKind
from tests.web.device.serving import COMMAND_TYPE, IDLE, PKI, DeviceIdentity, Serving, serving, tls_files

PROXIED = Identity(http=("header",), trusted_proxies=("127.0.0.1",))
BOTH = Identity(http=("header+signature",), trusted_proxies=("127.0.0.1",))


def passed_on(device: DeviceIdentity) -> dict[str, str]:
    return {"X-Client-Certificate": format_certificate_header(device.der, style="rfc9440")}


async def put(server: Serving, headers: dict[str, str], body: bytes = IDLE) -> tuple[int, bytes]:
    headers = {"Content-Type": COMMAND_TYPE, **headers}
    async with server.session.put(server.url(), data=body, headers=headers) as response:
        return response.status, await response.read()


async def test_a_request_without_any_proof_is_refused(pki: PKI) -> None:
    async with serving(pki) as server:
        assert await put(server, {}) == (403, b"")
    assert not server.services.reports


async def test_a_signature_by_another_ca_is_refused(pki: PKI) -> None:
    async with serving(pki) as server:
        assert await server.put(IDLE, device=pki.stranger) == (403, b"")
    assert not server.services.reports


async def test_a_signature_over_another_body_is_refused(pki: PKI) -> None:
    async with serving(pki) as server:
        signature = {"Mdm-Signature": pki.device.signature(IDLE)}

        assert await put(server, signature, IDLE.replace(b"Idle", b"Nope")) == (400, b"")
    assert not server.services.reports


@pytest.mark.parametrize("value", ["", "!", "AAAA", "=" * 100, "é", "A" * 17_000 + "=="])
async def test_a_malformed_signature_is_refused(pki: PKI, value: str) -> None:
    async with serving(pki) as server:
        status, body = await put(server, {"Mdm-Signature": value})

    assert (status, body) == (400, b"")
    assert not server.services.reports


async def test_a_signature_is_not_believed_where_only_the_proxy_header_is_configured(pki: PKI) -> None:
    async with serving(pki, identity=PROXIED) as server:
        assert await put(server, {"Mdm-Signature": pki.device.signature(IDLE)}) == (403, b"")


async def test_the_proxy_header_is_not_believed_where_only_the_signature_is_configured(pki: PKI) -> None:
    async with serving(pki, identity=Identity(trusted_proxies=("127.0.0.1",))) as server:
        assert await put(server, passed_on(pki.device)) == (403, b"")


async def test_the_proxy_header_alone_is_enough_where_it_is_configured(pki: PKI) -> None:
    async with serving(pki, identity=PROXIED) as server:
        assert await put(server, passed_on(pki.device)) == (200, b"")

    [(_, presented, _)] = server.services.reports
    assert (presented.certificate, presented.by_signature) == (pki.device.der, False)


async def test_the_next_proof_counts_only_where_the_first_is_absent(pki: PKI) -> None:
    either = Identity(http=("header", "signature"), trusted_proxies=("127.0.0.1",))

    async with serving(pki, identity=either) as server:
        assert await put(server, {"Mdm-Signature": pki.device.signature(IDLE)}) == (200, b"")
        signed_too = {**passed_on(pki.stranger), "Mdm-Signature": pki.device.signature(IDLE)}
        assert await put(server, signed_too) == (403, b"")


@pytest.mark.parametrize("missing", ["header", "signature"])
async def test_where_both_are_required_one_is_not_enough(pki: PKI, missing: str) -> None:
    proofs = {"header": passed_on(pki.device), "signature": {"Mdm-Signature": pki.device.signature(IDLE)}}
    del proofs[missing]

    async with serving(pki, identity=BOTH) as server:
        assert await put(server, next(iter(proofs.values()))) == (403, b"")
    assert not server.services.reports


async def test_both_proofs_must_be_of_one_certificate(pki: PKI) -> None:
    async with serving(pki, identity=BOTH) as server:
        signature = {"Mdm-Signature": pki.device.signature(IDLE)}

        assert await put(server, {**passed_on(pki.other_device), **signature}) == (403, b"")
        assert await put(server, {**passed_on(pki.device), **signature}) == (200, b"")
    assert len(server.services.reports) == 1


async def test_the_certificate_of_the_tls_connection_is_the_proof_on_its_listener(pki: PKI, tmp_path: Path) -> None:
    files = tls_files(pki, tmp_path)
    listen = Listen(http="", operations="", mtls="127.0.0.1:0", https="127.0.0.1:0")

    async with serving(pki, listen=listen, tls=files.tls, device_ca=files.device_ca) as server:
        client = files.client(pki.device)
        for kind, status in ((ListenerKind.MTLS, 200), (ListenerKind.HTTPS, 403)):
            async with server.session.put(server.url(kind=kind), data=IDLE, ssl=client) as response:
                assert (response.status, await response.read()) == (status, b"")
    [(_, presented, _)] = server.services.reports
    assert (presented.certificate, presented.by_signature) == (pki.device.der, False)


@pytest.mark.parametrize("who", ["stranger", "nobody"])
async def test_the_mtls_listener_lets_nobody_in_without_a_certificate_of_ours(
    pki: PKI, tmp_path: Path, who: str
) -> None:
    files = tls_files(pki, tmp_path)
    listen = Listen(http="", operations="", mtls="127.0.0.1:0")

    async with serving(pki, listen=listen, tls=files.tls, device_ca=files.device_ca) as server:
        client = files.client(pki.stranger if who == "stranger" else None)
        with pytest.raises(aiohttp.ClientError):
            async with server.session.put(server.url(kind=ListenerKind.MTLS), data=IDLE, ssl=client):
                pass
    assert not server.services.reports


async def test_an_expired_certificate_gets_through_tls_and_is_judged_by_the_services(pki: PKI, tmp_path: Path) -> None:
    files = tls_files(pki, tmp_path)
    listen = Listen(http="", operations="", mtls="127.0.0.1:0")

    async with serving(pki, listen=listen, tls=files.tls, device_ca=files.device_ca) as server:
        url, client = server.url(kind=ListenerKind.MTLS), files.client(pki.expired)
        async with server.session.put(url, data=IDLE, ssl=client) as response:
            assert response.status == 200
    [(_, presented, _)] = server.services.reports
    assert (presented.is_expired, presented.by_signature) == (True, False)


async def test_mtls_and_signature_can_both_be_required(pki: PKI, tmp_path: Path) -> None:
    files = tls_files(pki, tmp_path)
    listen = Listen(http="", operations="", mtls="127.0.0.1:0")
    both = Identity(mtls=("mtls+signature",))

    async with serving(pki, listen=listen, tls=files.tls, device_ca=files.device_ca, identity=both) as server:
        url, client = server.url(kind=ListenerKind.MTLS), files.client(pki.device)
        statuses = []
        for headers in ({}, pki.other_device.headers(IDLE), pki.device.headers(IDLE)):
            async with server.session.put(url, data=IDLE, ssl=client, headers=headers) as response:
                statuses.append(response.status)

    assert statuses == [403, 403, 200]
