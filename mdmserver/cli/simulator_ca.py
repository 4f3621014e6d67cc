"""A CA for simulated devices, in the state directory. A device CA like any other: not for production."""

import secrets
from datetime import datetime, timedelta
from pathlib import Path

from certs import create_authority, dump_private_key, generate_ec
from certs.pem import encode_certificate
from mdmserver.cli.state import write_private

SIMULATOR_CA_NAME = "simulator"
CERTIFICATE_FILE = "ca.pem"
KEY_FILE = "ca.key"
_VALID = timedelta(days=3650)
_EARLIER = timedelta(days=1)  # for clocks that are behind


def make_simulator_ca(folder: Path, *, now: datetime) -> None:
    """Write ca.pem and ca.key (mode 0600) unless both are there."""
    if (folder / CERTIFICATE_FILE).exists() and (folder / KEY_FILE).exists():
        return
    key = generate_ec()
    der = create_authority(
        common_name="mdmserver simulator CA",
        key=key,
        not_before=now - _EARLIER,
        not_after=now + _VALID,
        serial_number=secrets.randbits(126) + 1,
    )
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, content in ((KEY_FILE, dump_private_key(key)), (CERTIFICATE_FILE, encode_certificate(der))):
        (folder / name).unlink(missing_ok=True)  # half of an interrupted run
        write_private(folder / name, content)
