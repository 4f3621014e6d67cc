"""A command as a simulated device looks at it, and the answer it gives. Which answer is `answers`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from mdmserver.protocol import ErrorItem, Status
from mdmserver.simulator.facts import DeviceFacts
from mdmserver.simulator.installed import Installed
from mdmserver.simulator.management import Management


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The status, what is particular to the command, and the errors with the one on top first."""

    status: Status = Status.ACKNOWLEDGED
    response: Mapping[str, Any] = field(default_factory=dict)
    error_chain: tuple[ErrorItem, ...] = ()
    renewal: Management | None = None
    """The device's own enrollment profile again: this is the answer once the device has its new certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A command as the device looks at it: its dictionary, and what it may look at and change."""

    command: Mapping[str, Any]
    facts: DeviceFacts
    certificate_der: bytes
    installed: Installed
    management: Management | None
    is_user_channel: bool
    is_user_enrollment: bool
    has_many_applications: bool
    random: Random

    @property
    def request_type(self) -> str:
        """The command's RequestType."""
        return str(self.command.get("RequestType", ""))


FORMAT_ERROR = Answer(status=Status.COMMAND_FORMAT_ERROR)
DONE = Answer()

_REFUSED = ("MCInstallationErrorDomain", 4001, "Profile Installation Failed")


def installation_failed(cause: ErrorItem) -> Answer:
    """The Error with which every profile that cannot be installed is answered."""
    return error(*_REFUSED, cause)


def error(domain: str, code: int, text: str, *underlying: ErrorItem) -> Answer:
    """An Error whose chain begins with this."""
    top = ErrorItem(code=code, domain=domain, localized_description=text, us_english_description=text)
    return Answer(status=Status.ERROR, error_chain=(top, *underlying))


def rejected(domain: str, code: int, text: str, response: Mapping[str, Any]) -> Answer:
    """The same with something particular to the command beside it."""
    return replace(error(domain, code, text), response=response)
