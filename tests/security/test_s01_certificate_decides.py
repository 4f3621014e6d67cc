"""S1: the certificate decides which enrollment a request belongs to; the ids in the body only confirm it."""

import pytest

from mdmserver.commands.model import ItemState
from mdmserver.errors import IdentityRefused
from mdmserver.protocol import (
    CheckinMessage,
    CheckOut,
    CommandUUID,
    DeclarativeManagement,
    EnrollmentID,
    GetBootstrapToken,
    GetToken,
    MessageType,
    ReturnToService,
    SetBootstrapToken,
    Status,
    UserAuthenticate,
    parse_declarative_endpoint,
)
from mdmserver.transaction import Row, Transaction
from mdmserver.web.services import Services
from tests.fleet import TOPIC, Fleet, authenticate, certificate, device_id, token_update, user_id

STRANGER = 9
# (whose certificate, which version of it, whose id): none of these belong together.
WRONG = [
    (2, 1, 1),
    (1, 1, 2),
    (STRANGER, 1, 1),
    (1, 1, STRANGER),
    (STRANGER, 1, STRANGER),
    (3, 1, 1),
    (1, 1, 3),
    (3, 1, 3),
]
TABLES = ("enrollment", "identity", "enrollment_event", "queue_item", "result", "audit_record")
DEVICE_ONLY = {MessageType.AUTHENTICATE, MessageType.RETURN_TO_SERVICE}


def message(kind: MessageType, id: EnrollmentID) -> CheckinMessage:
    match kind:
        case MessageType.AUTHENTICATE:
            return authenticate(id)
        case MessageType.TOKEN_UPDATE:
            return token_update(id)
        case MessageType.CHECK_OUT:
            return CheckOut(enrollment_id=id, topic=TOPIC)
        case MessageType.USER_AUTHENTICATE:
            return UserAuthenticate(enrollment_id=id)
        case MessageType.SET_BOOTSTRAP_TOKEN:
            return SetBootstrapToken(enrollment_id=id, bootstrap_token=b"theirs")
        case MessageType.GET_BOOTSTRAP_TOKEN:
            return GetBootstrapToken(enrollment_id=id)
        case MessageType.DECLARATIVE_MANAGEMENT:
            return DeclarativeManagement(enrollment_id=id, endpoint=parse_declarative_endpoint("tokens"))
        case MessageType.GET_TOKEN:
            return GetToken(enrollment_id=id, token_service_type="com.apple.maid")
        case MessageType.RETURN_TO_SERVICE:
            return ReturnToService(enrollment_id=id)


async def everything(services: Services) -> list[list[Row]]:
    async def body(tx: Transaction) -> list[list[Row]]:
        return [await tx.fetch_all(f"SELECT * FROM {table} ORDER BY 1") for table in TABLES]

    return await services.storage.read(body)


@pytest.fixture
async def two(fleet: Fleet) -> Fleet:
    """Two devices that are enrolled, with users and commands, and a third that has left."""
    for number in (1, 2):
        device = await fleet.enroll(number)
        user = await fleet.log_in(number)
        await fleet.enqueue("C1", device, user)
    await fleet.check_out(await fleet.enroll(3), certificate(3))
    return fleet


@pytest.mark.parametrize("kind", MessageType)
async def test_every_wrong_pair_is_refused_for_every_check_in_and_changes_nothing(
    two: Fleet, kind: MessageType
) -> None:
    before = await everything(two.services)

    for whose, version, number in WRONG:
        if kind is MessageType.AUTHENTICATE and whose == STRANGER:
            continue  # a certificate never seen may begin an enrollment: that is S2
        for id in [device_id(number)] + ([] if kind in DEVICE_ONLY else [user_id(number)]):
            with pytest.raises(IdentityRefused):
                await two.services.checkin.answer(message(kind, id), certificate(whose, version))

    assert await everything(two.services) == before


@pytest.mark.parametrize("status", Status)
async def test_every_wrong_pair_is_refused_for_every_report_and_changes_nothing(two: Fleet, status: Status) -> None:
    before = await everything(two.services)
    uuid = None if status is Status.IDLE else "C1"

    for whose, version, number in WRONG:
        for id in (device_id(number), user_id(number)):
            with pytest.raises(IdentityRefused):
                await two.report(id, status, uuid, presented=certificate(whose, version))

    assert await everything(two.services) == before


async def test_a_wrong_pair_cannot_end_a_command_with_oversized_results(two: Fleet) -> None:
    for _ in range(4):
        with pytest.raises(IdentityRefused):
            await two.services.exchange.refuse_oversized(device_id(1), CommandUUID("C1"), certificate(2))

    assert await two.states(device_id(1)) == {"C1": ItemState.QUEUED}


async def test_the_right_pairs_are_let_in(two: Fleet) -> None:
    for number in (1, 2):
        for id in (device_id(number), user_id(number)):
            assert await two.idle(id) == "C1"
