"""What is fuzzed: every function that reads bytes of others, what it may raise, and what must hold when it does not."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from certs import (
    CertificateError,
    decode_get_message,
    format_certificate_header,
    load_device_certificate,
    load_pem_certificates,
    parse_certificate_header,
    parse_csr,
    parse_request,
    parse_signed_data,
    verify_device_signature,
)
from mdmserver.commands.request import CommandRequest, compose
from mdmserver.config import load_config
from mdmserver.errors import Invalid, MDMError
from mdmserver.paging import decode_cursor
from mdmserver.protocol import (
    EnrollmentID,
    ProtocolError,
    encode_checkin,
    loads,
    parse_checkin,
    parse_command,
    parse_declarative_endpoint,
    parse_external,
    parse_report,
    report_from_root,
    scan_root_strings,
)
from mdmserver.web.api.plist_json import from_json, masked, to_json
from mdmserver.web.api.sending import NewCommand
from mdmserver.web.endpoint import decode_json
from mdmserver.web.errors import known
from tests.fuzz import scep_seeds, seeds

Errors = tuple[type[Exception], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`run` must end in nothing but `raises`, for any bytes; `seeds` are bytes that it reads.

    What the server does in a thread, or before it serves, is not `on_the_loop` and may take longer.
    """

    run: Callable[[bytes], object]
    raises: Errors
    seeds: Callable[[], list[bytes]]
    on_the_loop: bool = True

    def check(self, data: bytes) -> None:
        """Lets through whatever must not happen."""
        with suppress(*self.raises):
            self.run(data)


def plist(data: bytes) -> None:
    """A plist that is read agrees with the scan of its root, and has a JSON form that shows no secret."""
    value = loads(data)
    scanned = scan_root_strings(data, keys=value.keys())
    assert all(value[key] == text for key, text in scanned.items())
    msgspec.json.encode(to_json(masked(value)))


def root_strings(data: bytes) -> None:
    strings = scan_root_strings(data)
    assert all(len(text) <= 4096 for text in strings.values())
    report_from_root(strings)


def checkin(data: bytes) -> None:
    """A message that is read is the same when it is written and read again."""
    message = parse_checkin(data)
    assert parse_checkin(encode_checkin(message)) == message
    assert EnrollmentID.from_key(message.enrollment_id.key) == message.enrollment_id


def report(data: bytes) -> None:
    whole = parse_report(data)
    assert len(whole.error_chain) <= 100


def command(data: bytes) -> None:
    """The bytes that a device gets are the ones that were given."""
    parsed = parse_command(data)
    assert parsed.body == data
    assert 0 < len(parsed.uuid) <= 255
    assert 0 < len(parsed.request_type) <= 255


def device_signature(data: bytes) -> None:
    """The header as it is, or, for bytes that begin with a NUL, the base64 of the rest."""
    header = seeds.base64_of(data[1:]) if data[:1] == b"\0" else data.decode("latin-1")
    verify_device_signature(header, seeds.BODY, seeds.certificates())


def signed_data(data: bytes) -> None:
    assert len(parse_signed_data(data).certificates) <= 8


def certificate_header(data: bytes) -> None:
    der = parse_certificate_header(data.decode("latin-1"))
    assert parse_certificate_header(format_certificate_header(der, style="rfc9440")) == der


def device_certificate(data: bytes) -> None:
    assert load_device_certificate(data).der == data


def device_trust(data: bytes) -> None:
    seeds.certificates().get(data)


def csr(data: bytes) -> None:
    assert parse_csr(data).public_key is not None


def scep(data: bytes) -> None:
    parse_request(data, [scep_seeds.authority()])


def scep_get(data: bytes) -> None:
    decode_get_message(data.decode("latin-1"))


def pem_certificates(data: bytes) -> None:
    for der in load_pem_certificates(data):
        load_device_certificate(der)


def api_json(data: bytes) -> None:
    """What a caller of the API sent becomes values or an error that the API knows how to tell."""
    _told(lambda: _payload(decode_json(data, NewCommand)))


def api_command(data: bytes) -> None:
    """The same, and the plist that is made of it."""

    def composed() -> None:
        new = decode_json(data, NewCommand)
        request = CommandRequest(
            plist=new.plist, payload=_payload(new), expires_at=new.expires_at, priority=new.priority
        )
        compose(request, new_uuid=lambda: "UUID", at=seeds.NOW)

    _told(composed)


def _payload(new: NewCommand) -> dict[str, Any] | None:
    return None if new.command is None else {key: from_json(value) for key, value in new.command.items()}


def _told(call: Callable[[], object]) -> None:
    try:
        call()
    except Exception as error:
        if known(error) is None:
            raise


def config(data: bytes) -> None:
    path = _scratch() / "config.toml"
    path.write_bytes(data)
    load_config(path, {})


def references(data: bytes) -> None:
    """Ids, cursors and endpoints, as they stand in URLs and messages."""
    text = data.decode("utf-8", "surrogateescape")
    for enrollment_id in parse_external(text):
        assert text in (str(enrollment_id), enrollment_id.key)
    with suppress(ProtocolError):
        assert str(parse_declarative_endpoint(text)) == text
    with suppress(Invalid):
        decode_cursor(text)


@cache
def _scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="mdmserver-fuzz-"))


TARGETS = {
    "plist": Target(run=plist, raises=(ProtocolError,), seeds=seeds.messages),
    "root_strings": Target(run=root_strings, raises=(ProtocolError,), seeds=seeds.messages),
    "checkin": Target(run=checkin, raises=(ProtocolError,), seeds=seeds.messages),
    "report": Target(run=report, raises=(ProtocolError,), seeds=seeds.messages),
    "command": Target(run=command, raises=(ProtocolError,), seeds=seeds.messages),
    "device_signature": Target(run=device_signature, raises=(CertificateError,), seeds=seeds.signature_headers),
    "signed_data": Target(run=signed_data, raises=(CertificateError,), seeds=seeds.signatures),
    "certificate_header": Target(run=certificate_header, raises=(CertificateError,), seeds=seeds.certificate_headers),
    "device_certificate": Target(run=device_certificate, raises=(CertificateError,), seeds=seeds.device_certificates),
    "device_trust": Target(run=device_trust, raises=(CertificateError,), seeds=seeds.device_certificates),
    "csr": Target(run=csr, raises=(CertificateError,), seeds=scep_seeds.csrs),
    "scep": Target(run=scep, raises=(CertificateError,), seeds=scep_seeds.messages),
    "scep_get": Target(run=scep_get, raises=(CertificateError,), seeds=scep_seeds.get_messages),
    "pem_certificates": Target(run=pem_certificates, raises=(CertificateError,), seeds=seeds.pem_files),
    "api_json": Target(run=api_json, raises=(), seeds=seeds.api_bodies),
    "api_command": Target(run=api_command, raises=(), seeds=seeds.api_bodies, on_the_loop=False),
    "config": Target(run=config, raises=(MDMError,), seeds=seeds.configurations, on_the_loop=False),
    "references": Target(run=references, raises=(), seeds=seeds.references),
}
