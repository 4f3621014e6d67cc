"""The device's or a user's half of a simulated device: its commands, their results, and what it still has to send."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from mdmserver.protocol import (
    CommandUUID,
    EnrollmentID,
    EnrollmentType,
    ProtocolError,
    Status,
    encode_report,
    loads,
    parse_command_payload,
)
from mdmserver.simulator.answers import answer
from mdmserver.simulator.apps import Apps, Manners
from mdmserver.simulator.condition import Condition
from mdmserver.simulator.errors import CommandUnreadable
from mdmserver.simulator.facts import DeviceFacts, Platform, draw_uuid
from mdmserver.simulator.installed import Installed
from mdmserver.simulator.management import Management
from mdmserver.simulator.task import FORMAT_ERROR, Answer, Task

_USER_ENROLLMENTS = frozenset({EnrollmentType.USER_ENROLLMENT_DEVICE, EnrollmentType.USER_ENROLLMENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What there is to send about a command; `request_type` is empty where it could not be read."""

    uuid: CommandUUID
    request_type: str
    status: Status
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """A command whose result waits until the device has a new certificate by this enrollment profile."""

    uuid: CommandUUID
    request_type: str
    management: Management


class Channel:
    """`unsent` is the result that the server has not taken yet, `executed` what was carried out and how it ended."""

    def __init__(
        self,
        *,
        enrollment_id: EnrollmentID,
        facts: DeviceFacts,
        certificate_der: bytes,
        has_many_applications: bool,
        manners: Manners,
        random: Random,
    ) -> None:
        self.enrollment_id = enrollment_id
        self.push_token = random.randbytes(32)
        self.push_magic = draw_uuid(random)
        self.idle = encode_report(enrollment_id=enrollment_id, status=Status.IDLE)
        self.installed = Installed(apps=Apps(manners=manners))
        self.unsent: Result | None = None
        self.executed: dict[CommandUUID, Status] = {}
        self.executions: Counter[CommandUUID] = Counter()
        self.certificate_der = certificate_der
        self.management: Management | None = None
        self._facts = facts
        self._has_many_applications = has_many_applications
        self._random = random

    def execute(self, body: bytes, condition: Condition) -> Result | Renewal:
        """Carry out the command in a server's answer and keep its result as `unsent`. Raises CommandUnreadable.

        A renewal is left to the caller, who ends it with `finish`.
        """
        uuid, command = _command_in(body)
        request_type = str(command.get("RequestType", ""))
        said = self._answer(command, request_type, condition)
        if said.renewal is not None:
            return Renewal(uuid=uuid, request_type=request_type, management=said.renewal)
        return self.finish(uuid, request_type, said)

    def finish(self, uuid: CommandUUID, request_type: str, said: Answer) -> Result:
        """Keep this answer to a command as `unsent`."""
        if said.status is not Status.NOT_NOW:
            self.executed[uuid] = said.status
            self.executions[uuid] += 1
        report = self._report(uuid, request_type, said)
        self.unsent = Result(uuid=uuid, request_type=request_type, status=said.status, body=report)
        return self.unsent

    def _answer(self, command: Mapping[str, Any], request_type: str, condition: Condition) -> Answer:
        if not command:
            return FORMAT_ERROR
        is_user_channel = self.enrollment_id.is_user_channel
        if condition.puts_off(
            request_type, platform=self._facts.platform, is_user_channel=is_user_channel, random=self._random
        ):
            return Answer(status=Status.NOT_NOW)
        return answer(
            Task(
                command=command,
                facts=self._facts,
                certificate_der=self.certificate_der,
                installed=self.installed,
                management=self.management,
                is_user_channel=is_user_channel,
                is_user_enrollment=self.enrollment_id.type in _USER_ENROLLMENTS,
                has_many_applications=self._has_many_applications,
                random=self._random,
            )
        )

    def _report(self, uuid: CommandUUID, request_type: str, said: Answer) -> bytes:
        response = dict(said.response)
        if self._facts.platform is Platform.MAC and request_type:
            response["RequestType"] = request_type
        if self.enrollment_id.is_user_channel:
            response["NotOnConsole"] = False
        return encode_report(
            enrollment_id=self.enrollment_id,
            status=said.status,
            command_uuid=uuid,
            error_chain=said.error_chain,
            response=response,
        )


def _command_in(body: bytes) -> tuple[CommandUUID, Mapping[str, Any]]:
    """The command; an empty dictionary where only its CommandUUID can be read."""
    try:
        return parse_command_payload(body)
    except ProtocolError as malformed:
        uuid = _uuid_in(body)
        if uuid is None:
            raise CommandUnreadable(f"a command that cannot be named: {malformed}") from malformed
        return uuid, {}


def _uuid_in(body: bytes) -> CommandUUID | None:
    try:
        uuid = loads(body).get("CommandUUID")
    except ProtocolError:
        return None
    return CommandUUID(uuid) if isinstance(uuid, str) and uuid else None
