"""What devices tell of themselves in command results, applied to their records. Registered in `bootstrap`."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from mdmserver.commands.model import StoredResult
from mdmserver.commands.results import Change, ResultHandler
from mdmserver.commands.store import CommandStore
from mdmserver.devices.model import DeviceFacts, Enrollment, EventKind
from mdmserver.devices.store import DeviceStore
from mdmserver.protocol import Status, loads
from mdmserver.transaction import Transaction

_LONGEST_FACT = 4096
_FACTS = {
    "serial_number": "SerialNumber",
    "device_name": "DeviceName",
    "model": "Model",
    "model_name": "ModelName",
    "product_name": "ProductName",
    "os_version": "OSVersion",
    "build_version": "BuildVersion",
    "imei": "IMEI",
    "meid": "MEID",
}


def result_handlers(devices: DeviceStore, commands: CommandStore) -> dict[str, ResultHandler]:
    """Handlers by request type."""

    def device_information(result: StoredResult) -> Change | None:
        if result.status is not Status.ACKNOWLEDGED:
            return None
        answers = loads(result.body).get("QueryResponses")
        if not isinstance(answers, dict):
            return None
        return partial(devices.update_facts, row=result.enrollment, facts=_facts_in(answers))

    def configured(result: StoredResult) -> Change | None:
        if result.status is not Status.ACKNOWLEDGED:
            return None

        async def change(tx: Transaction) -> None:
            enrollment = await devices.enrollment(tx, result.enrollment)
            if enrollment is None or not enrollment.awaiting_configuration:
                return
            await devices.set_awaiting_configuration(tx, result.enrollment, awaiting=False)
            await devices.add_event(
                tx, result.enrollment, EventKind.CONFIGURED, detail="", life=enrollment.life, at=result.received_at
            )

        return change

    def erased(result: StoredResult) -> Change | None:
        if result.status is not Status.ACKNOWLEDGED:
            return None

        async def change(tx: Transaction) -> None:
            enrollment = await devices.enrollment(tx, result.enrollment)
            if enrollment is None or not _is_of_this_life(enrollment, result) or enrollment.id.is_user_channel:
                return
            at = result.received_at
            await commands.clear_queue(tx, enrollment.row, users=True, reason="the device was erased", at=at)
            await devices.mark_erased(tx, enrollment.row, at=at)
            await devices.add_event(
                tx, enrollment.row, EventKind.ERASE_ACKNOWLEDGED, detail="", life=enrollment.life, at=at
            )

        return change

    return {
        "EraseDevice": erased,
        "DeviceInformation": device_information,
        "DeviceConfigured": configured,
        "UserConfigured": configured,
    }


def _is_of_this_life(enrollment: Enrollment, result: StoredResult) -> bool:
    # An erased device may have enrolled again before its answer was worked through.
    enrolled_at = enrollment.enrolled_at
    return enrollment.enabled and enrolled_at is not None and enrolled_at <= result.received_at


def _facts_in(answers: Mapping[str, Any]) -> DeviceFacts:
    said = {name: answers.get(key) for name, key in _FACTS.items()}
    return DeviceFacts(**{name: value for name, value in said.items() if _is_fact(value)})


def _is_fact(value: Any) -> bool:
    # As long as a check-in may say it: a result may hold 16 MiB in one string.
    return isinstance(value, str) and len(value) <= _LONGEST_FACT
