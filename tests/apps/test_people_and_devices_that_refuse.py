"""What people and devices refuse: in plain words, asked again, and never taken for done."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from mdmserver.apps.explain import Progress
from mdmserver.apps.model import PINGID_TOKEN
from mdmserver.assignments.model import TargetState
from mdmserver.commands.model import ReportedResult
from mdmserver.protocol import CommandReport, CommandUUID, ErrorItem, Status
from tests.apps.handset import PINGID, UNKNOWN_COMMAND, Handset
from tests.apps.office import APP, CONFIGURATION, Office
from tests.fleet import ADMIN, Fleet, device_id

BUSY = ErrorItem(code=12006, domain="MCMDMErrorDomain", us_english_description="The device is busy.")


@pytest.fixture
async def phone(office: Office) -> Handset:
    """An iPhone for which PingID and token-1 are meant; nothing was sent yet."""
    phone = await office.phone()
    await office.configure("token-1")
    await office.assign()
    return phone


@pytest.fixture
async def verified(office: Office, phone: Handset) -> Handset:
    """The same, read back."""
    await office.quiet()
    phone.forget()
    return phone


async def test_an_error_is_tried_again_later_and_later(office: Office, verified: Handset) -> None:
    verified.errors["Settings"] = BUSY
    await office.configure("token-2")
    began = office.clock()
    tries: list[timedelta] = []
    while len(tries) < 6:
        if await office.quiet():
            tries.append(office.clock() - began)
        target = await office.target(verified)
        assert (target.state, target.reason) == (TargetState.FAILED, "The device is busy.")
        assert target.next_at is not None
        office.clock.now = target.next_at

    waits = [later - earlier for earlier, later in pairwise(tries)]
    assert [wait / timedelta(hours=1) for wait in waits] == [0.25, 1, 4, 24, 24]
    verified.errors.clear()
    await office.quiet()
    assert (await office.target(verified)).state is TargetState.VERIFIED
    assert (await office.target(verified)).attempts == 0


async def test_an_item_that_failed_inside_an_acknowledged_answer_is_a_failure(
    office: Office, verified: Handset
) -> None:
    item = {
        "Item": "ApplicationConfiguration", "Identifier": PINGID, "Status": "Error",
        "ErrorChain": [{"ErrorCode": 1, "USEnglishDescription": "Not allowed."}],
    }  # fmt: skip
    verified.extra["Settings"] = {"Settings": [item]}
    await office.configure("token-2")

    await office.quiet()

    assert (await office.target(verified)).state is TargetState.FAILED
    assert "Not allowed." in await office.why(verified)
    assert await office.counts() == {Progress.FAILED: 1}


async def test_again_does_not_wait_for_the_next_try(office: Office, verified: Handset) -> None:
    verified.errors["Settings"] = BUSY
    await office.configure("token-2")
    await office.quiet()
    verified.errors.clear()
    assert await office.quiet() == 0

    await office.services.apps.again("pingid", actor=ADMIN)
    await office.quiet()

    assert (await office.target(verified)).state is TargetState.VERIFIED


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("UserRejected", "the person declined the installation"),
        ("ManagementRejected", "the person declined that the app is managed"),
        ("Failed", "the installation failed"),
    ],
)
async def test_what_a_person_declined_is_said_in_plain_words_and_asked_again_after_a_day(
    office: Office, phone: Handset, said: str, words: str
) -> None:
    phone.extra["ManagedApplicationList"] = {"ManagedApplicationList": {PINGID: {"Status": said}}}
    await office.quiet()
    phone.forget()

    assert (await office.target(phone, APP)).state is TargetState.FAILED
    assert words in await office.why(phone, APP)
    assert (await office.target(phone)).state is not TargetState.VERIFIED
    assert await office.later(hours=23) == 0

    phone.extra.clear()
    await office.later(hours=1)

    assert phone.request_types[0] == "InstallApplication"
    assert (await office.target(phone)).state is TargetState.VERIFIED


@pytest.mark.parametrize("status", [Status.ACKNOWLEDGED, Status.ERROR])
async def test_a_rejected_installation_is_read_in_whichever_status_it_comes(
    office: Office, phone: Handset, status: Status
) -> None:
    phone.extra["InstallApplication"] = {"RejectionReason": "AppStoreDisabled"}
    if status is Status.ERROR:
        phone.errors["InstallApplication"] = replace(BUSY, code=12024)

    await office.quiet()

    assert (await office.target(phone, APP)).state is TargetState.FAILED
    assert "the App Store is switched off" in await office.why(phone, APP)
    assert await office.later(hours=23) == 0
    assert phone.request_types == ["InstallApplication"]


async def test_an_app_that_is_there_already_is_taken_over_although_its_installation_was_an_error(
    office: Office, phone: Handset
) -> None:
    phone.errors["InstallApplication"] = replace(BUSY, code=12025)
    phone.extra["InstallApplication"] = {"RejectionReason": "AppAlreadyInstalled"}
    phone.apps[PINGID] = None

    await office.quiet()

    assert (await office.target(phone, APP)).state is TargetState.VERIFIED
    assert phone.configuration == {PINGID_TOKEN: "token-1"}
    assert (await office.target(phone)).state is TargetState.VERIFIED


async def test_an_app_that_stays_the_persons_own_is_unmanaged_and_gets_no_token(office: Office, phone: Handset) -> None:
    phone.errors["InstallApplication"] = replace(BUSY, code=12025)
    phone.extra["InstallApplication"] = {"RejectionReason": "AppAlreadyInstalled"}

    await office.quiet()

    assert (await office.target(phone, APP)).state is TargetState.APP_UNMANAGED
    assert (await office.target(phone)).state is TargetState.APP_UNMANAGED
    assert "installed it themselves" in await office.why(phone, APP)
    assert "Settings" not in phone.request_types


async def test_an_installation_that_takes_its_time_is_looked_for_less_and_less_often(
    office: Office, phone: Handset
) -> None:
    phone.status = "Prompting"
    await office.quiet()
    looks = [office.clock()]
    while len(looks) < 8:
        target = await office.target(phone, APP)
        assert target.state is TargetState.ACKNOWLEDGED
        assert target.reason == "the person is being asked whether to install it"
        assert target.next_at is not None
        office.clock.now = target.next_at
        assert await office.quiet() == 1
        looks.append(office.clock())

    waits = [later - earlier for earlier, later in pairwise(looks)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (timedelta(seconds=20), timedelta(days=1))
    assert phone.request_types.count("InstallApplication") == 1
    phone.status = "Managed"
    await office.later(days=1)
    assert (await office.target(phone)).state is TargetState.VERIFIED


async def test_an_update_of_the_app_or_a_declined_one_takes_nothing_away(office: Office, verified: Handset) -> None:
    for status in ("Updating", "PromptingForUpdate", "UpdateRejected"):
        verified.status = status
        await office.later(days=7, seconds=1)

        assert (await office.target(verified, APP)).state is TargetState.VERIFIED
        assert (await office.target(verified)).state is TargetState.VERIFIED
    assert "declined an update" in await office.why(verified, APP)
    assert not {"InstallApplication", "Settings"} & set(verified.request_types)


async def test_a_look_that_failed_is_no_loss_of_the_app(office: Office, verified: Handset) -> None:
    verified.errors["ManagedApplicationList"] = BUSY

    await office.later(days=7)

    app = await office.target(verified, APP)
    assert (app.state, app.reason) == (TargetState.VERIFIED, "The device is busy.")
    assert (await office.target(verified)).state is TargetState.VERIFIED
    assert "InstallApplication" not in verified.request_types


async def test_a_device_that_cannot_list_its_apps_still_gets_its_configuration(office: Office, phone: Handset) -> None:
    phone.errors["ManagedApplicationList"] = UNKNOWN_COMMAND

    await office.quiet()

    assert (await office.target(phone, APP)).state is TargetState.NOT_VERIFIABLE
    assert (await office.target(phone)).state is TargetState.VERIFIED
    assert phone.request_types.count("InstallApplication") == 1
    await office.later(days=8)
    assert phone.request_types.count("InstallApplication") == 1


async def test_an_app_that_comes_and_is_gone_again_is_not_asked_for_at_every_look(
    office: Office, phone: Handset
) -> None:
    phone.extra["ManagedApplicationList"] = {"ManagedApplicationList": {}}
    await office.quiet()
    for _ in range(60):
        await office.later(hours=1)

    assert (await office.target(phone, APP)).state in (TargetState.APP_MISSING, TargetState.ACKNOWLEDGED)
    assert 3 <= phone.request_types.count("InstallApplication") <= 6


async def test_states_that_a_device_says_once_are_kept_from_anybodys_list(office: Office, phone: Handset) -> None:
    phone.status = "Prompting"
    await office.quiet()
    phone.apps.clear()
    phone.said_once[PINGID] = "UserRejected"
    await Fleet(office.services).enqueue("MINE", phone.id, request_type="ManagedApplicationList")

    await office.quiet()

    target = await office.target(phone, APP)
    assert (target.state, target.observed) == (TargetState.FAILED, "UserRejected")
    assert target.next_at == office.clock() + timedelta(days=1)


async def test_they_are_kept_while_a_look_of_our_own_is_under_way_too(office: Office, phone: Handset) -> None:
    phone.status = "Prompting"
    await office.work()
    await Fleet(office.services).enqueue("MINE", phone.id, request_type="ManagedApplicationList")
    install = await phone.take()
    assert install is not None
    mine = await phone.answer(install)
    assert mine is not None
    await office.work()  # Our own list is queued behind it.
    phone.apps.clear()
    phone.said_once[PINGID] = "UserRejected"

    own = await phone.answer(mine)
    assert own is not None
    assert own.request_type == "ManagedApplicationList"
    await office.services.results.work_through()
    await phone.answer(own)
    await office.quiet()

    target = await office.target(phone, APP)
    assert (target.state, target.reason) == (TargetState.FAILED, "the person declined the installation")


async def test_a_list_from_before_says_nothing_of_what_came_since(office: Office, phone: Handset) -> None:
    await office.quiet()
    await Fleet(office.services).enqueue("MINE", phone.id, request_type="ManagedApplicationList")
    await phone.connect()
    office.clock.advance(seconds=1)
    await phone.enroll_again()

    await office.services.results.work_through()

    assert (await office.target(phone, APP)).state is TargetState.INTENDED


async def test_a_cancelled_command_is_noticed_and_tried_again(office: Office, verified: Handset) -> None:
    await office.configure("token-2")
    await office.work()
    [uuid] = [uuid for uuid, item in (await Fleet(office.services).items(verified.id)).items() if not item.finished_at]
    await office.services.commands.cancel(CommandUUID(uuid), None, actor=ADMIN)

    assert await office.world.composed.reconciler.find_stalled() == 1
    await office.quiet()

    assert "its command was cancelled" in await office.why(verified)
    assert await office.world.composed.reconciler.find_stalled() == 0
    await office.later(minutes=15)
    assert (await office.target(verified)).state is TargetState.VERIFIED


async def test_an_illegible_answer_is_noticed_and_asked_for_again(office: Office, verified: Handset) -> None:
    await office.later(days=7, seconds=-1)
    office.clock.advance(seconds=1)
    await office.work()
    heard = await verified.take()
    while heard is not None and heard.request_type != "ManagedApplicationConfiguration":
        heard = await verified.answer(heard)
    assert heard is not None
    report = CommandReport(enrollment_id=verified.id, status=Status.ACKNOWLEDGED, command_uuid=CommandUUID(heard.uuid))
    illegible = ReportedResult(status=Status.ACKNOWLEDGED, body=b"<plist", is_readable=False)
    assert await office.services.exchange.report(report, verified.identity, illegible) is None
    await office.services.results.work_through()

    assert await office.world.composed.reconciler.find_stalled() == 1
    await office.work()

    assert (await office.target(verified)).reason == "the device's answer could not be read"
    await office.later(minutes=15)
    assert (await office.target(verified)).verified_at == office.clock()


async def test_in_a_user_enrollment_management_is_not_taken_over_and_the_token_arrives(office: Office) -> None:
    own = await office.persons_own(3)
    await office.configure("token-1")
    await office.assign()

    await office.quiet()

    install = own.heard[0].payload
    assert install["RequestType"] == "InstallApplication"
    assert not {"ChangeManagementState", "ManagementFlags"} & install.keys()
    assert (await office.target(own)).state is TargetState.VERIFIED


async def test_a_device_that_lies_about_its_app_affects_itself_alone(office: Office, phone: Handset) -> None:
    honest = await office.phone(2)
    phone.identifier = "com.example.thief"

    await office.quiet()
    await office.configure("token-2")
    await office.quiet()

    assert phone.apps == {"com.example.thief": {PINGID_TOKEN: "token-2"}}
    assert honest.apps == {PINGID: {PINGID_TOKEN: "token-2"}}
    heard = [name for each in honest.heard for name in each.payload.get("Identifiers", ())]
    assert set(heard) == {PINGID}
    assert (await office.services.apps.show("pingid")).app.bundle_id == PINGID


@pytest.mark.parametrize("identifier", ["", "x" * 300, 7, "com.example.ü", "a b"])
async def test_an_identifier_that_can_be_none_is_not_believed(
    office: Office, phone: Handset, identifier: object
) -> None:
    phone.extra["InstallApplication"] = {"Identifier": identifier}

    await office.quiet()

    assert (await office.target(phone, APP)).identifier is None
    assert (await office.target(phone)).state is TargetState.VERIFIED


async def test_a_device_that_has_not_said_what_it_is_gets_it_once_it_has(office: Office) -> None:
    unknown = await office.phone(5, None)
    await office.configure("token-1")
    await office.assign()
    assert await office.quiet() == 0
    assert await office.settings(unknown) == {}
    row = await office.services.devices.resolve(device_id(5).key)
    [detail] = await office.services.app_progress.settings_of(row)
    assert detail.explanation.code == "platform_unknown"
    await Fleet(office.services).enqueue("ASK", unknown.id, request_type="DeviceInformation")
    unknown.extra["DeviceInformation"] = {"QueryResponses": {"ProductName": "iPad13,4"}}

    await office.quiet()
    await office.later(minutes=15)

    assert (await office.target(unknown)).state is TargetState.VERIFIED


async def test_a_watch_or_a_tv_is_told_apart_from_a_phone(office: Office, phone: Handset) -> None:
    tv = await office.phone(6, "AppleTV14,1")

    await office.quiet()

    assert tv.heard == []
    row = await office.services.devices.resolve(tv.id.key)
    [detail] = await office.services.app_progress.settings_of(row)
    assert detail.explanation.code == "other_platform"
    assert CONFIGURATION in await office.settings(phone)


async def test_an_expired_command_is_noticed_and_tried_again(office: Office, verified: Handset) -> None:
    await office.configure("token-2")
    await office.work()
    expire = "UPDATE queue_item SET expires_at = 1 WHERE finished_at IS NULL"
    await office.world.storage.run(lambda tx: tx.execute(expire))
    assert await office.services.commands.expire_due() == 1

    assert await office.world.composed.reconciler.find_stalled() == 1
    await office.work()

    assert (await office.target(verified)).reason == "its command was expired"
    await office.later(minutes=15)
    assert (await office.target(verified)).state is TargetState.VERIFIED
