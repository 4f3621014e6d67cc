"""Who does what is done on the server itself, as the audit trail names them."""

import getpass
import os

from mdmserver.audit.model import Actor, ActorKind


def cli_actor() -> Actor:
    """The user of this process."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for this uid
        name = f"uid {os.getuid()}"
    return Actor(kind=ActorKind.CLI, name=name)
