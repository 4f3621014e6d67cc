"""TLS towards APNs with a client certificate that is never a file, and what a failed connection was about."""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from mdmserver.push.model import PushIdentity

_ABOUT_OUR_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")


def client_context(identity: PushIdentity, *, ca_file: str) -> ssl.SSLContext:
    """TLS 1.2 or later, HTTP/2, the server's name checked. Raises OSError (ssl.SSLError is one) for a certificate, key
    or CA file that cannot be used."""
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    with _as_file(identity.key.reveal() + b"\n" + identity.certificate) as path:
        # An encrypted key without a password here would ask the terminal for one, and wait.
        context.load_cert_chain(path, password="")
    return context


def reason_of(error: BaseException | None) -> str:
    """Why there is no connection, in words for a person; nothing in it is secret."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"APNs' certificate is not accepted: {error.verify_message}"
        case ssl.SSLError() if _is_about_our_certificate(error):
            return f"certificate refused ({(error.reason or '').replace('_', ' ').lower()})"
        case ssl.SSLError():
            return f"TLS failed ({(error.reason or 'no reason').replace('_', ' ').lower()})"
        case TimeoutError():
            return "timed out"
        case OSError():
            return error.strerror or type(error).__name__
        case None:
            return "closed by the server"
        case _:
            return type(error).__name__


def _is_about_our_certificate(error: ssl.SSLError) -> bool:
    reason = error.reason or ""
    return "ALERT" in reason and any(words in reason for words in _ABOUT_OUR_CERTIFICATE)


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """OpenSSL's Python face reads files only: one in memory where there are such, else one that lives for a moment."""
    if hasattr(os, "memfd_create"):
        descriptor, path, on_disk = os.memfd_create("push certificate"), "", False
        path = f"/proc/self/fd/{descriptor}"
    else:
        descriptor, path = tempfile.mkstemp()
        on_disk = True
    try:
        os.write(descriptor, content)
        yield path
    finally:
        os.close(descriptor)
        if on_disk:
            os.unlink(path)
