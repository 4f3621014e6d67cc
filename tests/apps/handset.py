"""A device inside the test: it carries out the commands of apps and answers as Apple's devices do, or as it is told to.

It speaks over the reading edge of the server (`MessageReader`), so that what is stored is what would be stored.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from mdmserver.config import Config
from mdmserver.devices.identity import PresentedIdentity
from mdmserver.protocol import (
    CommandUUID,
    EnrollmentID,
    ErrorItem,
    Status,
    encode_report,
    loads,
    parse_command_payload,
)
from mdmserver.web.device.message import MessageReader, Reported
from mdmserver.web.services import Services
from profiles import read_signed_profile
from tests.fleet import allowed, authenticate, certificate, device_id, token_update

PINGID = "com.pingidentity.pingid.prod"
UNKNOWN_COMMAND = ErrorItem(code=12021, domain="MCMDMErrorDomain", us_english_description="not a valid request type")
NOT_MANAGED = {"ErrorCode": 12029, "ErrorDomain": "MCMDMErrorDomain", "USEnglishDescription": "The app is not managed."}
_POOL = ThreadPoolExecutor(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A command as the device read it."""

    uuid: str
    request_type: str
    payload: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Handset:
    """A device and what is on it: managed apps with their configuration (None: none), profiles by identifier.

    `status` is what it says of its apps, `said_once` what it says of an app once. `errors` are answered instead of
    carrying out a request type, `extra` is added to its answers. A report that did not reach the server is sent again
    first, unless `loses_reports`.
    """

    services: Services
    number: int
    product_name: str | None = "iPhone15,2"
    id: EnrollmentID = field(default_factory=lambda: device_id(1))
    identity: PresentedIdentity
    identifier: str = PINGID
    apps: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)
    profiles: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    status: str = "Managed"
    said_once: dict[str, str] = field(default_factory=dict)
    is_locked: bool = False
    is_online: bool = True
    errors: dict[str, ErrorItem] = field(default_factory=dict)
    extra: dict[str, dict[str, Any]] = field(default_factory=dict)
    forgets_settings: bool = False
    loses_reports: bool = False
    heard: list[Heard] = field(default_factory=list)
    unsent: bytes | None = None

    async def enroll(self) -> None:
        """Authenticate and TokenUpdate."""
        message = authenticate(self.id)
        told = replace(message, product_name=self.product_name, model=None)
        await self.services.checkin.answer(told, self.identity)
        await self.services.checkin.answer(token_update(self.id), self.identity)

    async def enroll_again(self) -> None:
        """Begin a new life, as after an erase: another certificate, and nothing on the device."""
        self.apps.clear()
        self.profiles.clear()
        version = 2 + sum(each.request_type == "(new life)" for each in self.heard)
        self.identity = allowed(certificate(self.number, version))
        self.heard.append(Heard(uuid="", request_type="(new life)", payload={}))
        await self.enroll()

    @property
    def configuration(self) -> Mapping[str, Any] | None:
        """What PingID finds as its managed configuration."""
        return self.apps.get(self.identifier)

    @property
    def request_types(self) -> list[str]:
        """The commands it heard, in order."""
        return [each.request_type for each in self.heard]

    def forget(self) -> None:
        """Hear from now on."""
        self.heard.clear()

    async def connect(self, *, most: int = 40) -> int:
        """Say Idle and carry out what is handed out, until there is nothing; how many commands and repeated reports."""
        unsent = None if self.loses_reports else self.unsent
        delivery = await self.report(Status.IDLE) if unsent is None else await self.send(unsent)
        number = 0 if unsent is None else 1
        while delivery is not None:
            number += 1
            assert number <= most, self.request_types
            delivery = await self.answer(delivery)
        return number

    async def take(self) -> Heard | None:
        """Say Idle, and keep the command without answering it."""
        return await self.report(Status.IDLE)

    async def answer(self, heard: Heard) -> Heard | None:
        """Carry a command out and answer it; the next one."""
        if self.is_locked:
            return await self.report(Status.NOT_NOW, heard.uuid)
        error = self.errors.get(heard.request_type)
        if error is not None:
            extra = self.extra.get(heard.request_type, {})
            return await self.report(Status.ERROR, heard.uuid, extra, error)
        response = self._carried_out(heard.request_type, heard.payload)
        response |= self.extra.get(heard.request_type, {})
        return await self.report(Status.ACKNOWLEDGED, heard.uuid, response)

    async def report(
        self, status: Status, uuid: str | None = None, response: dict[str, Any] | None = None, *errors: ErrorItem
    ) -> Heard | None:
        """Send a report through the reading edge; the next command."""
        body = encode_report(
            enrollment_id=self.id,
            status=status,
            command_uuid=None if uuid is None else CommandUUID(uuid),
            response=response,
            error_chain=errors,
        )
        self.unsent = None if status is Status.IDLE else body
        return await self.send(body)

    async def send(self, body: bytes) -> Heard | None:
        """Send these bytes; the next command."""
        reader = MessageReader(Config().limits, _POOL, self.services.fingerprint)
        message = await reader.read(body, None)
        assert isinstance(message, Reported)
        next_body = await self.services.exchange.report(message.report, self.identity, message.result)
        self.unsent = None
        if next_body is None:
            return None
        command_uuid, payload = parse_command_payload(next_body)
        heard = Heard(uuid=command_uuid, request_type=payload["RequestType"], payload=payload)
        self.heard.append(heard)
        return heard

    def _carried_out(self, request_type: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        match request_type:
            case "InstallApplication" | "InstallEnterpriseApplication":
                return self._install(payload)
            case "RemoveApplication":
                self.apps.pop(payload["Identifier"], None)
            case "ManagedApplicationList":
                return {"ManagedApplicationList": self._listed(payload)}
            case "ManagedApplicationConfiguration":
                return {"ApplicationConfigurations": self._configurations(payload)}
            case "Settings":
                return {"Settings": [self._set(item) for item in payload["Settings"]]}
            case "InstallProfile":
                profile = loads(read_signed_profile(payload["Payload"])[0])
                self.profiles[profile["PayloadIdentifier"]] = profile
            case "RemoveProfile":
                self.profiles.pop(payload["Identifier"], None)
            case "ProfileList":
                keys = ("PayloadIdentifier", "PayloadUUID")
                return {"ProfileList": [{key: each[key] for key in keys} for each in self.profiles.values()]}
        return {}

    def _install(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        if "RejectionReason" not in self.extra.get("InstallApplication", {}):
            self.apps[self.identifier] = payload.get("Configuration", self.apps.get(self.identifier))
        return {"Identifier": self.identifier, "State": "Installing"}

    def _listed(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        asked = payload.get("Identifiers")
        found = {name: {"Status": self.status, "ManagementFlags": 1} for name in self.apps}
        found |= {name: {"Status": status, "ManagementFlags": 1} for name, status in self.said_once.items()}
        self.said_once.clear()
        return {name: entry for name, entry in found.items() if asked is None or name in asked}

    def _configurations(self, payload: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [
            {"Identifier": name, "Configuration": configuration}
            for name, configuration in self.apps.items()
            if name in payload["Identifiers"] and configuration is not None
        ]

    def _set(self, item: Mapping[str, Any]) -> dict[str, Any]:
        name = item["Identifier"]
        answer = {"Item": item["Item"], "Identifier": name}
        if name not in self.apps:
            return answer | {"Status": "Error", "ErrorChain": [NOT_MANAGED]}
        if not (self.forgets_settings and "Configuration" in item):
            self.apps[name] = item.get("Configuration")
        return answer | {"Status": "Acknowledged"}
