"""The server's TLS identity as the signer of profiles: devices then show them as verified."""

import logging
from pathlib import Path

from certs import CertificateError, load_device_certificate, load_pem_certificates, load_private_key
from mdmserver.config import TLS
from mdmserver.enrollment.profile import ProfileSigner
from mdmserver.web.tls import Stamps, stamps_of

_log = logging.getLogger(__name__)


class TLSProfileSigner:
    """Gives the signer in the configured files, read again when they change; files that cannot be used change nothing.

    None where no files are configured or they are of the server's own CA, which then signs itself.
    """

    def __init__(self, files: TLS) -> None:
        self._files = None if files.own_ca or not (files.certificate and files.key) else files
        self._read: tuple[Stamps, ProfileSigner | None] = ([], None)

    def __call__(self) -> ProfileSigner | None:
        """The signer of now. Called from several threads."""
        if self._files is None:
            return None
        stamps = stamps_of(self._files)
        seen, signer = self._read
        if stamps != seen:
            try:
                signer = _signer_in(self._files)
            except (OSError, ValueError, CertificateError) as error:
                _log.warning("TLS files cannot sign profiles", exc_info=error)
            self._read = (stamps, signer)
        return signer


def _signer_in(files: TLS) -> ProfileSigner:
    certificate, *chain = load_pem_certificates(Path(files.certificate).read_bytes())
    key = load_private_key(Path(files.key).read_bytes())
    if load_device_certificate(certificate).public_key != key.public_key():
        raise ValueError("the key is not the one of the first certificate")
    return ProfileSigner(certificate=certificate, key=key, chain=tuple(chain))
