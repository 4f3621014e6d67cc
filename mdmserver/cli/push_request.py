"""`mdmserver push-certificate request`: from nothing to the file that Apple's portal takes.

Apple certifies only what an MDM vendor has signed. A vendor's own key signs here and goes nowhere else.
"""

import base64
import sys
from pathlib import Path
from typing import Any

import click

from certs import CertificateError, RSAKey, load_private_key, upload_file
from mdmserver.cli.exits import Exit, Failure
from mdmserver.cli.output import Output
from mdmserver.cli.own_push_certificates import with_push_certificates
from mdmserver.cli.state import state_option
from mdmserver.clock import utc_now
from mdmserver.push.certificates import Subject
from mdmserver.secret import Secret

PORTAL = "https://identity.apple.com/pushcert"
_FILE = click.Path(dir_okay=False, path_type=Path)
_CSR, _UPLOAD = Path("push-request.csr"), Path("push-upload.txt")
_PURPOSE = "push-certificate request"


@click.command()
@state_option
@click.option("--common-name", metavar="NAME", help="Whose certificate it will be; Apple's portal shows it.")
@click.option("--email", metavar="ADDRESS", help="Address in the request; mdmcert.download mails to it.")
@click.option("--country", metavar="XX", default="US", show_default=True, help="Two letters.")
@click.option("--vendor-certificate", type=_FILE, metavar="CHAIN.pem", help="You are an MDM vendor: your certificate "
              "from Apple, with Apple's WWDR CA and root.")  # fmt: skip
@click.option("--vendor-key", type=_FILE, metavar="KEY.pem", help="Its RSA key, not encrypted. It stays here.")
@click.option("--mdmcert", is_flag=True, help="Have mdmcert.download sign: free, by the people of MicroMDM. It mails "
              "to a company address that was registered there first.")  # fmt: skip
@click.option("--api-key-file", metavar="FILE|-", help="With --mdmcert: the API key that mdmcert.download gave "
              "you; ask its administrators for one.")  # fmt: skip
@click.option("--decrypt", type=_FILE, metavar="FILE", help="Open what mdmcert.download mailed "
              "(mdm_signed_request….p7).")  # fmt: skip
@click.option("--out", "path", type=_FILE, help=f"Where to write (default: {_CSR}, or {_UPLOAD}).")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON, for programs.")
def request(
    state: Path, common_name: str | None, email: str | None, country: str, vendor_certificate: Path | None,
    vendor_key: Path | None, mdmcert: bool, api_key_file: str | None, decrypt: Path | None, path: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Ask for a push certificate: make its key, which stays sealed in the database, and a request for Apple.

    \b
    One of:
      with --vendor-certificate and --vendor-key, writes the signed file for Apple's portal;
      with --mdmcert, has mdmcert.download sign and mail it; later open that with --decrypt FILE;
      with neither, writes the request for an MDM vendor of yours to sign.
    """
    out = Output(as_json=as_json)
    if (vendor_certificate is None) != (vendor_key is None):
        raise click.UsageError("--vendor-certificate and --vendor-key go together")
    if sum([vendor_key is not None, mdmcert, decrypt is not None]) > 1:
        raise click.UsageError("a vendor's key, --mdmcert, --decrypt: which?")
    if api_key_file is not None and not mdmcert:
        raise click.UsageError("--api-key-file goes with --mdmcert")
    if mdmcert and api_key_file is None:
        raise click.UsageError("--mdmcert needs --api-key-file: mdmcert.download gives out API keys for free")
    if decrypt is not None:
        _decrypt(out, state, decrypt, _free(path or _UPLOAD))
        return
    if not common_name or not email:
        raise click.UsageError("say --common-name and --email")
    subject = Subject(common_name=common_name, email=email, country=country)
    if api_key_file is not None:
        _by_mail(out, state, subject, Secret(_api_key(api_key_file)))
    elif vendor_certificate is not None and vendor_key is not None:
        _as_vendor(out, state, subject, (vendor_certificate, vendor_key), _free(path or _UPLOAD))
    else:
        _for_a_vendor(out, state, subject, _free(path or _CSR))


def _for_a_vendor(out: Output, state: Path, subject: Subject, path: Path) -> None:
    made = _made(state, subject, None)
    _write(path, made["csr"].encode())
    _end(out, made, path, f"next: have an MDM vendor sign {path}, upload what comes back at {PORTAL},",
         "then: mdmserver push-certificate install FILE-FROM-APPLE")  # fmt: skip


def _as_vendor(out: Output, state: Path, subject: Subject, vendor: tuple[Path, Path], path: Path) -> None:
    chain, key = _read(vendor[0]), _rsa_key(vendor[1])
    made = _made(state, subject, None)
    try:
        upload = upload_file(_der(made["csr"]), chain, key, at=utc_now())
    except CertificateError as error:
        raise Failure(f"{vendor[0]} and {vendor[1]} cannot sign it: {error}", exit_code=Exit.USAGE) from error
    _write(path, upload)
    _end(out, made, path, *_uploading(path))


def _by_mail(out: Output, state: Path, subject: Subject, api_key: Secret[str]) -> None:
    made = _made(state, subject, api_key)
    _end(out, made, None, f"mdmcert.download mails a file to {subject.email}",
         "next: mdmserver push-certificate request --decrypt FILE")  # fmt: skip


def _decrypt(out: Output, state: Path, mailed: Path, path: Path) -> None:
    content = _read(mailed)
    upload = with_push_certificates(state, _PURPOSE, lambda own: own.open_mailed(content))
    _write(path, upload)
    _end(out, {}, path, *_uploading(path))


def _uploading(path: Path) -> tuple[str, ...]:
    return (
        f"next: upload {path} at {PORTAL}. If there is a certificate already, choose Renew on it, not Create, with",
        "the same Apple ID: only then the topic stays, and devices need not enroll again. Note which Apple ID it was.",
        "then: mdmserver push-certificate install FILE-FROM-APPLE",
    )


def _made(state: Path, subject: Subject, api_key: Secret[str] | None) -> dict[str, Any]:
    return with_push_certificates(state, _PURPOSE, lambda own: own.request(subject, api_key=api_key))


def _end(out: Output, made: dict[str, Any], path: Path | None, *lines: str) -> None:
    if out.as_json:
        out.json({**made, "file": None if path is None else str(path)})
    else:
        out.facts({"request": made.get("id"), "file": path})
    for line in lines:
        out.say(line)


def _der(pem: str) -> bytes:
    return base64.b64decode("".join(pem.strip().splitlines()[1:-1]))


def _rsa_key(path: Path) -> RSAKey:
    try:
        key = load_private_key(_read(path))
    except (CertificateError, ValueError, TypeError) as error:
        raise Failure(f"{path} is no private key that can be read: {error}", exit_code=Exit.USAGE) from error
    if not isinstance(key, RSAKey):
        raise Failure(f"{path} is no RSA key", exit_code=Exit.USAGE)
    return key


def _api_key(source: str) -> str:
    text = sys.stdin.readline() if source == "-" else _read(Path(source)).decode("utf-8", "replace")
    if not text.strip():
        raise Failure(f"there is no API key in {source}", exit_code=Exit.USAGE)
    return text.strip()


def _free(path: Path) -> Path:
    if path.exists():
        raise Failure(f"{path} exists: say another --out", exit_code=Exit.USAGE)
    return path


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}", exit_code=Exit.USAGE) from error


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from error
