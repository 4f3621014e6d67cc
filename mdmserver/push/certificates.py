"""The push certificate's life: request it, install it, swap it while pushes run, say when it ends.

A renewal keeps the topic. A certificate of another topic is another push service to a device: it would have to enroll
again, so that is refused unless it is meant.
"""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from certs import (
    CertificateError,
    CertificateRefused,
    PushCertificate,
    RSAKey,
    create_encryption_certificate,
    decrypt_mdmcert_file,
    dump_private_key,
    generate_rsa,
    load_private_key,
    load_push_identity,
    push_csr,
    read_identity_file,
    read_push_certificate,
)
from mdmserver.audit.model import Actor, ActorKind
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.errors import Conflict, Invalid, NotFound
from mdmserver.events import Hint, Hints
from mdmserver.offload import Offload
from mdmserver.push.model import PushIdentity, StoredPushCertificate, StoredRequest
from mdmserver.push.ports import PushGateway, PushRequestSigner
from mdmserver.push.sender import PushSender
from mdmserver.push.store import PushStore
from mdmserver.secret import Secret
from mdmserver.transaction import Storage, Transaction

REPLY_LIFETIME = timedelta(days=90)
WARNED_DAYS = (60, 30, 14, 7, 1)
WARNED_DAILY = 7
_BACKGROUND = Actor(kind=ActorKind.BACKGROUND, name="push")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom a request is for; Apple shows it beside the certificate. `country` is two letters."""

    common_name: str
    email: str
    country: str = "US"


class PushCertificates:
    """The certificates in force, one per topic. `load` first: the gateway and the sender are told of each change."""

    def __init__(
        self,
        *,
        storage: Storage,
        push: PushStore,
        audit: AuditStore,
        gateway: PushGateway,
        sender: PushSender,
        signer: PushRequestSigner,
        hints: Hints,
        clock: Clock,
        offload: Offload,
        new_key: Callable[[], RSAKey] = generate_rsa,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex[:8],
    ) -> None:
        self._storage = storage
        self._push = push
        self._audit = audit
        self._gateway = gateway
        self._sender = sender
        self._signer = signer
        self._hints = hints
        self._clock = clock
        self._offload = offload
        self._new_key = new_key
        self._new_id = new_id
        self.all: tuple[StoredPushCertificate, ...] = ()
        self._warned: dict[str, int] = {}

    @property
    def topics(self) -> frozenset[str]:
        """The topics that have a certificate, pushed on at present or halted."""
        return frozenset(certificate.topic for certificate in self.all)

    @property
    def topic(self) -> str | None:
        """The topic for new enrollments: the one that was there first, which most devices have."""
        return self.all[0].topic if self.all else None

    async def load(self) -> None:
        """Take up what storage has, here or by another process: called at start, after changes, and now and then."""

        async def body(tx: Transaction) -> list[tuple[StoredPushCertificate, Secret[bytes]]]:
            return [(each, await self._push.key(tx, each.topic)) for each in await self._push.certificates(tx)]

        found = await self._storage.read(body)
        known = {each.topic: each.fingerprint for each in self.all}
        self.all = tuple(certificate for certificate, _ in found)
        self._gateway.use(
            [
                PushIdentity(topic=each.topic, certificate=each.certificate, key=key, fingerprint=each.fingerprint)
                for each, key in found
            ]
        )
        self._sender.use(self.topics, {each.topic: each.halted_at for each in self.all if each.halted_at is not None})
        for each in self.all:
            if known.get(each.topic) != each.fingerprint:
                self._sender.forgive(each.topic)

    async def install(
        self, encoded: bytes, *, passphrase: Secret[bytes] | None, key: bytes | None, force: bool, actor: Actor
    ) -> StoredPushCertificate:
        """Put a certificate in force, with the key given along or with that of a request of ours.

        Raises Invalid for what is no push certificate, has expired, or lacks its key; Conflict for another topic than
        those in force unless forced.
        """
        at = self._clock()
        requests = await self._storage.read(self._push.requests)
        found, pem, request = await self._offload(_identity, encoded, passphrase, key, requests)
        if found.not_after <= at:
            raise Invalid(f"this certificate expired on {found.not_after.date()}", code="push_certificate_expired")
        certificate = StoredPushCertificate(
            topic=found.topic,
            certificate=found.chain,
            fingerprint=found.fingerprint,
            not_before=found.not_before,
            not_after=found.not_after,
            installed_at=at,
            installed_by=actor.name,
        )

        async def body(tx: Transaction) -> None:
            present = {each.topic for each in await self._push.certificates(tx)}
            if present and found.topic not in present and not force:
                raise Conflict(_other_topic(found.topic, present), code="push_topic_differs")
            await self._push.insert_certificate(tx, certificate, key=pem)
            if request is not None:
                await self._push.request_used(tx, request.id, at=at)
            woken = await self._push.revive_topic(tx, found.topic, at=at)
            await self._audit.append(
                tx, at=at, actor=actor, action="push_certificate.install", subject=found.topic,
                detail={"fingerprint": found.fingerprint, "until": found.not_after.isoformat(), "woken": woken},
            )  # fmt: skip

        await self._storage.run(body)
        await self.load()
        self._sender.forgive(found.topic)
        self._hints.give(Hint.COMMANDS_QUEUED)
        return certificate

    async def request(self, subject: Subject, *, actor: Actor) -> StoredRequest:
        """A new key and its request, kept until the certificate comes. Raises Invalid for a subject Apple refuses."""
        request = await self._offload(self._made, subject, actor)
        await self._keep(request, {"common_name": subject.common_name}, actor)
        return request

    async def request_by_mail(self, subject: Subject, *, api_key: Secret[str], actor: Actor) -> StoredRequest:
        """The same, sent to mdmcert.download, which mails its answer. Raises Invalid or Unavailable when it refuses."""
        request = await self._offload(self._made_for_mail, subject, actor)
        assert request.reply_certificate is not None
        # Kept first: an answer that comes must find its key, also when this server stops meanwhile.
        await self._keep(request, {"common_name": subject.common_name, "through": "mdmcert.download"}, actor)
        await self._signer.sign_request(
            csr_der=request.csr,
            email=subject.email,
            encryption_certificate=request.reply_certificate,
            api_key=api_key,
        )
        return request

    async def requests(self) -> list[StoredRequest]:
        """Requests that wait for their certificate, newest first."""
        return await self._storage.read(self._push.requests)

    async def open_mailed(self, mailed: bytes) -> bytes:
        """The file to upload to Apple, from the one that mdmcert.download mailed. Raises Invalid."""
        reason = "there is no request that waits for a mailed file"
        for request in await self.requests():
            if request.reply_certificate is None or request.reply_key is None:
                continue
            try:
                return await self._offload(_opened, mailed, request)
            except CertificateError as error:
                reason = str(error)
        raise Invalid(f"the file cannot be used: {reason}", code="mailed_file_refused")

    async def resume(self, topic: str, *, actor: Actor = _BACKGROUND) -> None:
        """Push again on a topic that was halted. Raises NotFound."""
        at = self._clock()

        async def body(tx: Transaction) -> None:
            if topic not in {each.topic for each in await self._push.certificates(tx)}:
                raise NotFound(f"there is no push certificate for {topic}", code="push_certificate_not_found")
            await self._push.halt(tx, topic, reason=None, at=at)
            woken = await self._push.revive_topic(tx, topic, at=at)
            await self._audit.append(
                tx, at=at, actor=actor, action="push.resume", subject=topic, detail={"woken": woken}
            )

        await self._storage.run(body)
        self._sender.forgive(topic)
        await self.load()
        self._hints.give(Hint.COMMANDS_QUEUED)

    async def heal(self) -> None:
        """Try the topics that were halted some time ago; where a push is accepted, go on."""
        for topic in await self._sender.probe():
            await self.resume(topic)

    async def warn(self) -> None:
        """Say in the log which certificates end soon or have ended; called many times a day, it speaks once."""
        at = self._clock()
        for each in self.all:
            days = days_left(each.not_after, at)
            if not is_to_warn(days, before=self._warned.get(each.fingerprint)):
                continue
            self._warned[each.fingerprint] = days
            event = "push_certificate_expiring" if each.not_after > at else "push_certificate_expired"
            reason = f"{days} days left, until {each.not_after.date()}: renew it in Apple's portal and install it"
            _log.warning(event, extra={"topic": each.topic, "fingerprint": each.fingerprint, "reason": reason})

    def _made(
        self, subject: Subject, actor: Actor, *, reply: tuple[bytes, Secret[bytes]] | None = None
    ) -> StoredRequest:
        key = self._new_key()
        try:
            csr = push_csr(key, common_name=subject.common_name, country=subject.country, email=subject.email)
        except CertificateError as error:
            raise Invalid(str(error), code="push_request_invalid") from error
        return StoredRequest(
            id=self._new_id(),
            csr=csr,
            key=Secret(dump_private_key(key)),
            reply_certificate=None if reply is None else reply[0],
            reply_key=None if reply is None else reply[1],
            created_at=self._clock(),
            created_by=actor.name,
        )

    def _made_for_mail(self, subject: Subject, actor: Actor) -> StoredRequest:
        key, at = self._new_key(), self._clock()
        certificate = create_encryption_certificate(
            key, serial_number=uuid.uuid4().int >> 1, not_before=at - timedelta(days=1), not_after=at + REPLY_LIFETIME
        )
        return self._made(subject, actor, reply=(certificate, Secret(dump_private_key(key))))

    async def _keep(self, request: StoredRequest, detail: dict[str, str | int | bool | None], actor: Actor) -> None:
        async def body(tx: Transaction) -> None:
            await self._push.insert_request(tx, request)
            await self._audit.append(
                tx, at=request.created_at, actor=actor, action="push_certificate.request", subject=request.id,
                detail=detail,
            )  # fmt: skip

        await self._storage.run(body)


def days_left(not_after: datetime, at: datetime) -> int:
    """Whole days until then, negative when it has passed."""
    return (not_after - at) // timedelta(days=1)


def warned_at(days: int) -> int | None:
    """The nearest of the days at which operators are warned that has come: 60, 30, 14, 7, 1; None before that."""
    return min((each for each in WARNED_DAYS if days <= each), default=None)


def is_to_warn(days: int, *, before: int | None) -> bool:
    """Whether to warn of a certificate with so many days left: at each of those days, and daily in the last week.

    `before` is how many were left at the last warning, None for none: then at once, however late it is.
    """
    stage = warned_at(days)
    if stage is None or days == before:
        return False
    return before is None or days <= WARNED_DAILY or stage != warned_at(before)


def _identity(
    encoded: bytes, passphrase: Secret[bytes] | None, key: bytes | None, requests: list[StoredRequest]
) -> tuple[PushCertificate, Secret[bytes], StoredRequest | None]:
    """What was given, and the request whose key it is if the key was not given along."""
    secret = None if passphrase is None else passphrase.reveal()
    try:
        if key is not None or read_identity_file(encoded, secret).keys:
            certificate, pem = load_push_identity(encoded, passphrase=secret, key=key)
            return certificate, Secret(pem), None
        for request in requests:
            try:
                certificate, pem = load_push_identity(encoded, key=request.key.reveal())
            except CertificateRefused:
                continue
            return certificate, Secret(pem), request
        subject = read_push_certificate(encoded).subject
        raise CertificateRefused(f"the private key of {subject!r} is not here, neither in the file nor as that of a "
                                 "request made here: give it along (--key)")  # fmt: skip
    except CertificateError as error:
        raise Invalid(f"this cannot be installed: {error}", code="push_certificate_refused") from error


def _opened(mailed: bytes, request: StoredRequest) -> bytes:
    assert request.reply_certificate is not None
    assert request.reply_key is not None
    key = load_private_key(request.reply_key.reveal())
    assert isinstance(key, RSAKey)
    return decrypt_mdmcert_file(mailed, encryption_certificate=request.reply_certificate, key=key, csr_der=request.csr)


def _other_topic(topic: str, present: set[str]) -> str:
    return (
        f"this certificate is for the topic {topic}, those in force for {', '.join(sorted(present))}: devices know "
        "their topic from enrolling, so every device would have to enroll again. A renewal must keep the topic: in "
        "Apple's portal choose Renew on the certificate that is in force, with the same Apple ID. To add the topic all "
        "the same, force it"
    )
