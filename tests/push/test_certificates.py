"""The push certificate's life: asked for, installed, swapped while pushes run; and what is refused on the way."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from certs import RSAKey, seal_envelope, upload_file
from mdmserver.errors import Conflict, Invalid, Unavailable
from mdmserver.events import Hint
from mdmserver.push.certificates import Subject
from mdmserver.secret import Secret
from tests.certs.push_parties import NOW, Party, intermediate, root, vendor, vendor_key
from tests.fleet import ADMIN, START, TOPIC
from tests.push.bench import OTHER_TOPIC, Bench, token
from tests.push.certificate_bench import (
    PASSPHRASE,
    CertificateBench,
    as_p12,
    certificate_for,
    certificate_for_request,
    certificates_of,
    encrypted_key,
)
from tests.push.fake_gateway import UNREGISTERED

SUBJECT = Subject(common_name="Example", email="mdm@example.com")
API_KEY = Secret("api key")


@pytest.fixture
def certificates(bench: Bench) -> CertificateBench:
    """The service, without a certificate."""
    return certificates_of(bench)


def topics_in_use(bench: Bench) -> list[str]:
    assert bench.gateway.identities is not None
    return [identity.topic for identity in bench.gateway.identities]


@pytest.mark.parametrize(
    ("encode", "key", "passphrase"),
    [
        (lambda party: party.pem + party.key_pem, None, None),
        (lambda party: party.key_pem + party.pem, None, None),
        (lambda party: party.pem, lambda party: party.key_pem, None),
        (lambda party: party.der, lambda party: party.key_pem, None),
        (lambda party: party.pem, encrypted_key, PASSPHRASE),
        (as_p12, None, PASSPHRASE),
    ],
    ids=["one file", "key first", "key along", "DER", "encrypted key", "PKCS #12"],
)
async def test_a_certificate_with_its_key_is_installed_from_any_file(
    bench: Bench,
    certificates: CertificateBench,
    encode: Callable[[Party], bytes],
    key: Callable[[Party], bytes] | None,
    passphrase: bytes | None,
) -> None:
    party = certificate_for(TOPIC)

    installed = await certificates.install(
        encode(party), key=None if key is None else key(party), passphrase=passphrase
    )

    assert (installed.topic, installed.not_after) == (TOPIC, START + timedelta(days=365))
    (identity,) = bench.gateway.identities or ()
    assert (identity.topic, identity.fingerprint) == (TOPIC, installed.fingerprint)
    assert identity.certificate == party.pem
    assert identity.key.reveal().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert certificates.service.topic == TOPIC


async def test_installing_is_told_to_who_waits_for_work_and_audited(
    bench: Bench, certificates: CertificateBench
) -> None:
    installed = await certificates.install_for(TOPIC)

    (record,) = await bench.audited()
    assert await certificates.hints.wait(Hint.COMMANDS_QUEUED, at_most_seconds=0)
    assert (record.action, record.subject) == ("push_certificate.install", TOPIC)
    assert record.detail["fingerprint"] == installed.fingerprint


async def test_a_certificate_for_a_request_is_installed_with_the_requests_key(
    bench: Bench, certificates: CertificateBench
) -> None:
    other = await certificates.service.request(SUBJECT, actor=ADMIN)
    request = await certificates.service.request(SUBJECT, actor=ADMIN)

    installed = await certificates.install(certificate_for_request(request.csr, TOPIC))

    (identity,) = bench.gateway.identities or ()
    assert installed.topic == TOPIC
    assert identity.key == request.key
    assert [each.id for each in await certificates.service.requests()] == [other.id]


async def test_a_certificate_without_its_key_is_refused_with_a_hint(certificates: CertificateBench) -> None:
    await certificates.service.request(SUBJECT, actor=ADMIN)

    with pytest.raises(Invalid, match="give it along") as refusal:
        await certificates.install(certificate_for(TOPIC).pem)

    assert refusal.value.code == "push_certificate_refused"


@pytest.mark.parametrize(
    ("encoded", "key", "passphrase", "why"),
    [
        (b"", None, None, "no certificate"),
        (b"not a certificate", None, None, "cannot be installed"),
        (b"\x30\x82\xff\xff", None, None, "cannot be installed"),
        (certificate_for(TOPIC).pem, certificate_for(TOPIC, common_name="another").key_pem, None, "does not belong"),
        (as_p12(certificate_for(TOPIC)), None, b"wrong", "passphrase"),
        (certificate_for(None).pem + certificate_for(None).key_pem, None, None, "no topic"),
    ],
    ids=["nothing", "text", "cut off", "another's key", "wrong passphrase", "no topic"],
)
async def test_what_is_no_push_certificate_is_refused(
    bench: Bench, certificates: CertificateBench, encoded: bytes, key: bytes | None, passphrase: bytes | None, why: str
) -> None:
    with pytest.raises(Invalid, match=why):
        await certificates.install(encoded, key=key, passphrase=passphrase)

    assert await bench.certificates() == []
    assert await bench.audited() == []


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(days=3)])
async def test_an_expired_certificate_is_refused(certificates: CertificateBench, ago: timedelta) -> None:
    party = certificate_for(TOPIC, not_after=START - ago)

    with pytest.raises(Invalid, match="expired") as refusal:
        await certificates.install(party.pem + party.key_pem)

    assert refusal.value.code == "push_certificate_expired"


async def test_another_topic_is_refused_and_the_message_says_what_it_would_mean(
    bench: Bench, certificates: CertificateBench
) -> None:
    await certificates.install_for(TOPIC)
    party = certificate_for(OTHER_TOPIC)

    with pytest.raises(Conflict, match="enroll again") as refusal:
        await certificates.install(party.pem + party.key_pem)

    assert refusal.value.code == "push_topic_differs"
    assert topics_in_use(bench) == [TOPIC]
    assert len(await bench.audited()) == 1


async def test_another_topic_that_is_forced_is_added(bench: Bench, certificates: CertificateBench) -> None:
    await certificates.install_for(TOPIC)
    party = certificate_for(OTHER_TOPIC)

    await certificates.install(party.pem + party.key_pem, force=True)

    assert topics_in_use(bench) == [TOPIC, OTHER_TOPIC]
    assert certificates.service.topics == {TOPIC, OTHER_TOPIC}
    # Most devices have the topic that came first; new ones get the same.
    assert certificates.service.topic == TOPIC


async def test_a_topic_that_is_there_already_is_renewed_without_force(
    bench: Bench, certificates: CertificateBench
) -> None:
    await certificates.install_for(TOPIC)
    await certificates.install_for(OTHER_TOPIC)
    party = certificate_for(OTHER_TOPIC, common_name="renewed")

    installed = await certificates.install(party.pem + party.key_pem)

    assert topics_in_use(bench) == [TOPIC, OTHER_TOPIC]
    assert (bench.gateway.identities or ())[1].fingerprint == installed.fingerprint


async def test_a_renewal_is_in_force_at_once_and_the_one_before_is_gone(
    bench: Bench, certificates: CertificateBench
) -> None:
    before = await certificates.install_for(TOPIC)
    uses = bench.gateway.uses

    after = await certificates.install_for(TOPIC, common_name="renewed")

    assert bench.gateway.uses > uses
    assert [each.fingerprint for each in bench.gateway.identities or ()] == [after.fingerprint]
    assert before.fingerprint != after.fingerprint
    assert [each.fingerprint for each in await bench.certificates()] == [after.fingerprint]


async def test_a_push_that_is_in_flight_at_the_swap_is_finished_and_not_repeated(
    bench: Bench, certificates: CertificateBench
) -> None:
    await certificates.install_for(TOPIC)
    await bench.enroll(1)
    await bench.queue(1)
    bench.gateway.hold()
    await bench.sender.work()
    await bench.gateway.arrived(1)

    await certificates.install_for(TOPIC, common_name="renewed")
    bench.gateway.release()
    await bench.sender.finish()
    await bench.work_through(seconds=60)

    assert bench.gateway.tokens == [token(1)]


async def test_a_new_certificate_revives_stopped_tokens(bench: Bench, certificates: CertificateBench) -> None:
    await certificates.install_for(TOPIC)
    await bench.enroll(1, 2)
    await bench.queue(1)
    bench.gateway.answer(UNREGISTERED, times=1)
    await bench.work()

    await certificates.install_for(TOPIC, common_name="renewed")
    await bench.work()

    assert bench.gateway.tokens == [token(1)] * 2
    assert (await bench.standing(1)).stopped_at is None


async def test_what_waited_for_the_first_certificate_is_pushed_at_once(
    bench: Bench, certificates: CertificateBench
) -> None:
    bench.sender.use(frozenset(), {})
    await bench.enroll(1)
    await bench.queue(1)
    assert await bench.work() == 0

    await certificates.install_for(TOPIC)

    assert await bench.work() == 1


async def test_another_process_takes_a_certificate_up(bench: Bench, certificates: CertificateBench) -> None:
    installed = await certificates.install_for(TOPIC)
    other = certificates_of(Bench(bench.storage, bench.vault, bench.clock))

    await other.service.load()

    assert [each.fingerprint for each in other.bench.gateway.identities or ()] == [installed.fingerprint]
    assert other.service.all == certificates.service.all


async def test_without_certificates_there_is_no_topic(bench: Bench, certificates: CertificateBench) -> None:
    await certificates.service.load()

    assert certificates.service.topic is None
    assert certificates.service.topics == frozenset()
    assert topics_in_use(bench) == []


async def test_a_request_holds_a_new_key_each_time_and_is_audited(bench: Bench, certificates: CertificateBench) -> None:
    first = await certificates.service.request(SUBJECT, actor=ADMIN)
    second = await certificates.service.request(SUBJECT, actor=ADMIN)

    assert first.key != second.key
    assert await certificates.service.requests() == [first, second]
    assert [record.action for record in await bench.audited()] == ["push_certificate.request"] * 2


async def test_a_subject_that_no_request_can_hold_is_refused_and_nothing_kept(certificates: CertificateBench) -> None:
    with pytest.raises(Invalid) as refusal:
        await certificates.service.request(Subject(common_name="X", email="nobody"), actor=ADMIN)

    assert refusal.value.code == "push_request_invalid"
    assert await certificates.service.requests() == []


async def test_a_request_by_mail_is_sent_with_the_certificate_to_answer_to(certificates: CertificateBench) -> None:
    request = await certificates.service.request_by_mail(SUBJECT, api_key=API_KEY, actor=ADMIN)

    assert certificates.signer.taken == [(request.csr, SUBJECT.email, request.reply_certificate)]
    assert request.reply_key != request.key


@pytest.mark.parametrize("error", [Invalid("the address is not registered"), Unavailable("no answer")])
async def test_a_request_by_mail_is_kept_even_when_the_service_refuses(
    certificates: CertificateBench, error: Exception
) -> None:
    certificates.signer.error = error

    with pytest.raises(type(error)):
        await certificates.service.request_by_mail(SUBJECT, api_key=API_KEY, actor=ADMIN)

    (kept,) = await certificates.service.requests()
    assert kept.reply_certificate is not None


def mailed_for(csr: bytes, reply_certificate: bytes | None) -> tuple[bytes, bytes]:
    """What the service would mail for a request, and the upload file in it."""
    key = vendor_key()
    assert isinstance(key, RSAKey)
    assert reply_certificate is not None
    upload = upload_file(csr, vendor().pem + intermediate().pem + root().pem, key, at=NOW)
    return seal_envelope(upload, reply_certificate).hex().encode(), upload


async def test_the_mailed_file_is_opened_with_the_request_that_it_answers(certificates: CertificateBench) -> None:
    request = await certificates.service.request_by_mail(SUBJECT, api_key=API_KEY, actor=ADMIN)
    await certificates.service.request_by_mail(SUBJECT, api_key=API_KEY, actor=ADMIN)
    await certificates.service.request(SUBJECT, actor=ADMIN)
    mailed, upload = mailed_for(request.csr, request.reply_certificate)

    assert await certificates.service.open_mailed(mailed) == upload


async def test_a_mailed_file_of_another_request_is_refused(certificates: CertificateBench) -> None:
    request = await certificates.service.request_by_mail(SUBJECT, api_key=API_KEY, actor=ADMIN)
    other = await certificates.service.request(SUBJECT, actor=ADMIN)
    mailed, _ = mailed_for(other.csr, request.reply_certificate)

    with pytest.raises(Invalid, match="another request") as refusal:
        await certificates.service.open_mailed(mailed)

    assert refusal.value.code == "mailed_file_refused"


async def test_a_mailed_file_that_nothing_waits_for_is_refused(certificates: CertificateBench) -> None:
    await certificates.service.request(SUBJECT, actor=ADMIN)

    with pytest.raises(Invalid, match="no request that waits"):
        await certificates.service.open_mailed(b"00")


async def test_a_mailed_file_that_is_garbage_is_refused(certificates: CertificateBench) -> None:
    await certificates.service.request_by_mail(SUBJECT, api_key=API_KEY, actor=ADMIN)

    with pytest.raises(Invalid, match="cannot be used"):
        await certificates.service.open_mailed(b"garbage")
