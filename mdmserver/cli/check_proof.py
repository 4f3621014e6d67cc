"""Checks that what proves a device's identity comes through to the server whole, and what proves nothing does not.

No device's certificate is needed. The server checks a signature before it asks who signed: a stranger's signature that
holds is answered 403, one that does not hold 400, and a request without any proof 403. Answers of the server itself to
devices are empty, which tells them from those of a proxy.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from certs import DeviceSigner, create_signer_certificate, generate_rsa
from mdmserver.cli.findings import Finding, failure, ok, warning
from mdmserver.cli.probe import Answer, NoAnswer, Site

# Whatever a proxy might tidy up: line ends, blanks, a byte order mark, what is not ASCII, what is not text.
_BODY = (
    b'\xef\xbb\xbf<?xml version="1.0"?>\r\n<plist>\t \xc3\xa4\xe2\x82\xac &amp;\n\n</plist>\x00\xff \r\n'
    + 9000 * b"mdm "
)
_OTHER_BODY = b"another body"
_LARGE_BYTES = 2 * 1024 * 1024
_CONTENT_TYPE = "application/x-apple-aspen-mdm"
_SIGNATURE = "Mdm-Signature"
_USUAL_CHARACTERS, _LONG_CHARACTERS = 3000, 6500
_FORGED = "forged by mdmserver doctor"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEndpoint:
    """Where devices speak, and which header a proxy would name their certificate in."""

    path: str
    proxy_header: str
    believes_signatures: bool


class StrangerSigner:
    """Signs like a device, with a certificate that nobody trusts."""

    def __init__(self, *, now: datetime) -> None:
        self._key = generate_rsa()
        self._certificates = [
            create_signer_certificate(
                self._key, not_before=now - timedelta(days=1), not_after=now + timedelta(days=1), common_name=f"{n}"
            )
            for n in range(8)
        ]

    def sign(self, body: bytes, *, at_least: int = 0) -> str:
        """A signature of this many characters or more, made longer by certificates that come along."""
        for number in range(1, len(self._certificates)):
            own, *chain = self._certificates[:number]
            signature = DeviceSigner(own, self._key, chain=chain).sign(body)
            if len(signature) >= at_least:
                return signature
        raise ValueError(f"no signature is made {at_least} characters long")


async def check_proof(site: Site, endpoint: DeviceEndpoint, signer: StrangerSigner) -> AsyncIterator[Finding]:
    """PUT, signatures, bodies and the certificate header, as far as each makes sense after the one before."""
    probe = _Probe(site, endpoint, signer)
    bare = await probe.put()
    yield (reached := _reached(bare, endpoint))
    if reached.verdict != "ok":
        return
    yield await _large_body(probe)
    if endpoint.believes_signatures:
        async for finding in _signatures(probe):
            yield finding
    else:
        yield warning("Mdm-Signature", "not tried: the configuration believes no signatures")
    async for finding in _certificate_header(probe):
        yield finding


class _Probe:
    def __init__(self, site: Site, endpoint: DeviceEndpoint, signer: StrangerSigner) -> None:
        self._site = site
        self.endpoint = endpoint
        self.signer = signer

    async def put(self, headers: Mapping[str, str] = {}, body: bytes = _BODY) -> Answer | NoAnswer:
        """A device's request with these headers beside its own."""
        named = {"Content-Type": _CONTENT_TYPE, **headers}
        try:
            return await self._site.ask("PUT", self.endpoint.path, headers=named, body=body)
        except NoAnswer as error:
            return error

    async def signed(self, headers: Mapping[str, str] = {}, *, holds: bool, characters: int = 0) -> Answer | NoAnswer:
        """The same with a signature over its body, or over another."""
        signature = self.signer.sign(_BODY if holds else _OTHER_BODY, at_least=characters)
        return await self.put({_SIGNATURE: signature, **headers})

    async def is_whole(self, characters: int = 0) -> bool:
        """Whether signatures of this length, and the body, arrive as they were sent."""
        wrong, right = [await self.signed(holds=holds, characters=characters) for holds in (False, True)]
        return _is_bare(wrong, 400) and _is_bare(right, 403)


def _reached(answer: Answer | NoAnswer, endpoint: DeviceEndpoint) -> Finding:
    check, path = "PUT", endpoint.path
    if isinstance(answer, NoAnswer):
        return failure(check, f"{path}: {answer}")
    if answer.is_redirect:
        return failure(check, f"{path} is redirected ({answer}); a device's PUT does not survive that")
    if answer.is_bare(403):
        return ok(check, f"{path} reaches the server, which refuses it for want of a proof, as it should")
    if answer.is_bare(400):
        return failure(check, f"{path} is refused (400) without a proof: the proxy sends a certificate header also "
                       "where there is no certificate, or the header's name is not identity.proxy_header")  # fmt: skip
    if answer.status == 401:
        return failure(check, f"{path} is answered 401, on which a device may unenroll: no passwords before devices")
    if answer.status in (405, 501):
        return failure(check, f"{path} is answered {answer}: let PUT and POST through")
    return failure(check, f"{path} is answered {answer}, which is not this server's answer to devices")


async def _large_body(probe: _Probe) -> Finding:
    answer = await probe.put(body=_LARGE_BYTES * b"x")
    check, size = "large bodies", f"{_LARGE_BYTES // 1024 // 1024} MiB"
    if _is_bare(answer, 403):
        return ok(check, f"{size} are let through")
    if isinstance(answer, Answer) and answer.status == 413:
        return failure(check, f"{size} are refused ({answer}): results have up to limits.result_bytes (16 MiB)")
    return warning(check, f"{size}: {answer}")


async def _signatures(probe: _Probe) -> AsyncIterator[Finding]:
    wrong, right = await probe.signed(holds=False), await probe.signed(holds=True)
    if _is_bare(wrong, 403):
        yield failure(_SIGNATURE, "does not reach the server, or it is not to believe it there (identity.http, .https)")
        return
    if not _is_bare(wrong, 400):
        yield failure(_SIGNATURE, f"a request with one is answered {wrong}, which is not this server's answer")
        return
    if not _is_bare(right, 403):
        yield failure("bodies", f"are changed on the way: a signature that holds is answered {right}")
        return
    yield ok("bodies", "arrive byte for byte")
    if not await probe.is_whole(_USUAL_CHARACTERS):
        yield failure(_SIGNATURE, f"of {_USUAL_CHARACTERS} characters does not arrive: allow header lines of 16 kB")
    elif not await probe.is_whole(_LONG_CHARACTERS):
        yield warning(_SIGNATURE, f"of {_LONG_CHARACTERS} characters, as devices with long certificate chains send, "
                      "does not arrive: allow header lines of 16 kB")  # fmt: skip
    else:
        yield ok(_SIGNATURE, f"of {_LONG_CHARACTERS} characters arrives whole")


async def _certificate_header(probe: _Probe) -> AsyncIterator[Finding]:
    """A forged header is answered 400 only by a server that saw it and took it for its proxy's."""
    name = probe.endpoint.proxy_header
    twin = name.replace("-", "_")
    if await _is_seen(probe, name):
        yield failure(name, "a client's own is passed on and believed: whoever has a copy of a device's certificate "
                      "(it is no secret) can speak for the device. The proxy must set or remove it always")  # fmt: skip
    else:
        yield ok(name, "a client's own is not passed on, or not believed")
    if twin != name:
        if await _is_seen(probe, twin):
            yield warning(twin, f"is passed on like {name}; this server refuses it, others may not: remove it too")
        else:
            yield ok(twin, "a client's own is not passed on, or not believed")


async def _is_seen(probe: _Probe, header: str) -> bool:
    # Which proof is looked at first depends on the configuration: so with a signature and without.
    answers = [await probe.put({header: _FORGED}), await probe.signed({header: _FORGED}, holds=True)]
    return any(_is_bare(answer, 400) for answer in answers)


def _is_bare(answer: Answer | NoAnswer, status: int) -> bool:
    return isinstance(answer, Answer) and answer.is_bare(status)
