"""`mdmserver push-certificate …`: the certificate that Apple's push service knows this server by."""

import sys
from pathlib import Path
from typing import Any

import click

from certs import CertificateError, CertificateRefused, read_identity_file
from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.output import Output
from mdmserver.cli.own_push_certificates import OwnPushCertificates, PushIdentityFiles, with_push_certificates
from mdmserver.cli.push_request import request
from mdmserver.cli.state import state_option
from mdmserver.push.certificates import warned_at
from mdmserver.secret import Secret

_FILE = click.Path(dir_okay=False, path_type=Path)
_PEM = b"-----BEGIN "
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON, for programs.")


@click.group("push-certificate")
def push_certificate() -> None:
    """Look after the push certificate, without which no device is woken; while the server runs or not.

    \b
    The way to one:
      1. request   make a key and a request, signed by an MDM vendor
      2. upload it at https://identity.apple.com/pushcert, download the certificate
      3. install   put the certificate in force; a running server takes it at once
    It lasts a year. Then the same again, but choose Renew there, not Create, with the same Apple ID: only a renewal
    keeps the topic, and with another topic every device would have to enroll again.
    """


push_certificate.add_command(request)


@push_certificate.command()
@state_option
@_JSON
def show(state: Path, as_json: bool) -> None:
    """Show the push certificates in force, and requests that wait for theirs."""

    async def both(own: OwnPushCertificates) -> dict[str, list[dict[str, Any]]]:
        return {"certificates": await own.certificates(), "requests": await own.requests()}

    out, found = Output(as_json=as_json), with_push_certificates(state, "push-certificate show", both)
    if as_json:
        out.json(found)
        return
    certificates, requests = found["certificates"], found["requests"]
    out.table(
        ("TOPIC", "VALID UNTIL", "DAYS LEFT", "INSTALLED", "BY", "HALTED", "SHA-256"),
        [
            (
                each["topic"], each["not_after"], each["days_left"], out.when(each["installed_at"]),
                each["installed_by"], out.when(each["halted_at"]), each["fingerprint"],
            )
            for each in certificates
        ],
    )  # fmt: skip
    for each in certificates:
        _say_state(out, each)
    for each in requests:
        waits = "for the mail of mdmcert.download, then " if each["awaits_mail"] else ""
        out.say(f"request {each['id']} of {out.when(each['created_at'])} waits {waits}for its certificate")
    if not certificates:
        out.say("there is no push certificate: devices are not woken. Next: mdmserver push-certificate request")


@push_certificate.command()
@click.argument("file", type=_FILE)
@state_option
@click.option("--key", type=_FILE, help="PEM of its key, if it is neither in FILE nor that of a request made here.")
@click.option(
    "--passphrase-file", metavar="FILE|-", help="The passphrase of a .p12 or of an encrypted key: first line of a "
    "file, or of standard input. Without it a person is asked."
)  # fmt: skip
@click.option("--force", is_flag=True, help="Also with another topic than those in force.")
@_JSON
def install(file: Path, state: Path, key: Path | None, passphrase_file: str | None, force: bool, as_json: bool) -> None:
    """Put a push certificate in force: what Apple's portal gave (PEM), or a .p12 from another MDM server."""
    out = Output(as_json=as_json)
    encoded, key_pem = _read(file), None if key is None else _read(key)
    if key_pem is not None and _PEM not in key_pem:
        raise Failure(f"{key} is no PEM file: convert it with `openssl pkey -inform DER`", exit_code=Exit.USAGE)
    files = PushIdentityFiles(
        encoded=encoded,
        key=None if key_pem is None else Secret(key_pem),
        passphrase=_passphrase(passphrase_file, [part for part in (encoded, key_pem) if part is not None]),
    )
    made = with_push_certificates(state, "push-certificate install", lambda own: own.install(files, force=force))
    if as_json:
        out.json(made)
        return
    out.facts({"topic": made["topic"], "valid until": made["not_after"], "SHA-256": made["fingerprint"]})
    out.say("in force: devices on this topic are woken from now on; `mdmctl push status` says how it goes")
    out.say(f"renew it within {made['days_left']} days: in Apple's portal Renew, not Create, with the same Apple ID")


def _say_state(out: Output, certificate: dict[str, Any]) -> None:
    topic, days = certificate["topic"], certificate["days_left"]
    if days < 0:
        out.say(f"{topic} has expired: devices are not woken. Renew it in Apple's portal, then install it")
    elif warned_at(days) is not None:
        out.say(f"{topic} expires in {days} days: renew it in Apple's portal, then install it")
    if certificate["halted_at"] is not None:
        out.say(f"pushing on {topic} is halted: {certificate['halted_reason']}")
        out.say(f"when that is mended: mdmctl push resume {topic}")


def _passphrase(source: str | None, encoded: list[bytes]) -> Secret[bytes] | None:
    if source is not None:
        text = sys.stdin.readline() if source == "-" else _read(Path(source)).decode("utf-8", "replace")
        return _given(text.splitlines()[0] if text else "", source)
    if not any(map(_is_locked, encoded)):
        return None
    if not sys.stdin.isatty():
        raise click.UsageError("it is encrypted, and nobody is there to ask for the passphrase: --passphrase-file")
    return _given(click.prompt("Passphrase", hide_input=True, err=True), "what was typed")


def _given(text: str, source: str) -> Secret[bytes]:
    if not text:
        raise Failure(f"there is no passphrase in {source}", exit_code=Exit.USAGE)
    return Secret(text.encode())


def _is_locked(encoded: bytes) -> bool:
    try:
        read_identity_file(encoded)
    except CertificateRefused:
        return True
    except CertificateError:
        return False  # installing it says what is wrong
    return False


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}", exit_code=Exit.USAGE) from error
