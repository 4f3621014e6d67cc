"""Push certificates and the requests that wait for one, in SQL."""

from datetime import datetime

from mdmserver.push.model import StoredPushCertificate, StoredRequest
from mdmserver.secret import Secret
from mdmserver.storage.times import loaded, stored
from mdmserver.storage.vault import Place, Vault
from mdmserver.transaction import Transaction


class PushCertificateRows:
    """The part of the push store that deals in certificates."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def insert_certificate(
        self, tx: Transaction, certificate: StoredPushCertificate, *, key: Secret[bytes]
    ) -> None:
        """Keep a certificate, its key (PEM) sealed, as its topic's present one; the one before is replaced."""
        await tx.execute(
            "UPDATE push_certificate SET replaced_at = ? WHERE topic = ? AND replaced_at IS NULL",
            stored(certificate.installed_at),
            certificate.topic,
        )
        await tx.execute(
            "INSERT INTO push_certificate (topic, certificate, key_sealed, fingerprint, not_before, not_after, "
            "installed_at, installed_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            certificate.topic,
            certificate.certificate,
            self._vault.seal(key.reveal(), _place(certificate.fingerprint)),
            certificate.fingerprint,
            stored(certificate.not_before),
            stored(certificate.not_after),
            stored(certificate.installed_at),
            certificate.installed_by,
        )

    async def certificates(self, tx: Transaction) -> list[StoredPushCertificate]:
        """The present one of each topic, in the order in which the topics first came."""
        rows = await tx.fetch_all(
            "SELECT topic, certificate, fingerprint, not_before, not_after, installed_at, installed_by, halted_at, "
            "halted_reason FROM push_certificate c WHERE replaced_at IS NULL "
            "ORDER BY (SELECT min(first.id) FROM push_certificate first WHERE first.topic = c.topic)"
        )
        return [
            StoredPushCertificate(
                topic=row[0],
                certificate=bytes(row[1]),
                fingerprint=row[2],
                not_before=loaded(row[3]),
                not_after=loaded(row[4]),
                installed_at=loaded(row[5]),
                installed_by=row[6],
                halted_at=loaded(row[7]),
                halted_reason=row[8],
            )
            for row in rows
        ]

    async def topics_in_force(self, tx: Transaction) -> frozenset[str]:
        """The topics that have a certificate and are not halted."""
        rows = await tx.fetch_all("SELECT topic FROM push_certificate WHERE replaced_at IS NULL AND halted_at IS NULL")
        return frozenset(row[0] for row in rows)

    async def key(self, tx: Transaction, topic: str) -> Secret[bytes]:
        """The private key of the topic's present certificate, PEM."""
        row = await tx.fetch_one(
            "SELECT fingerprint, key_sealed FROM push_certificate WHERE topic = ? AND replaced_at IS NULL", topic
        )
        assert row is not None
        return Secret(self._vault.open(bytes(row[1]), _place(row[0])))

    async def halt(self, tx: Transaction, topic: str, *, reason: str | None, at: datetime) -> None:
        """Push no more on this topic, because of this; None: push again."""
        await tx.execute(
            "UPDATE push_certificate SET halted_at = ?, halted_reason = ? WHERE topic = ? AND replaced_at IS NULL",
            None if reason is None else stored(at),
            reason,
            topic,
        )

    async def insert_request(self, tx: Transaction, request: StoredRequest) -> None:
        """Keep a request with its keys, sealed."""
        reply_key = request.reply_key
        await tx.execute(
            "INSERT INTO push_certificate_request (id, csr, key_sealed, reply_certificate, reply_key_sealed, "
            "created_at, created_by) VALUES (?, ?, ?, ?, ?, ?, ?)",
            request.id,
            request.csr,
            self._vault.seal(request.key.reveal(), _request_place(request.id, "key")),
            request.reply_certificate,
            None
            if reply_key is None
            else self._vault.seal(reply_key.reveal(), _request_place(request.id, "reply_key")),
            stored(request.created_at),
            request.created_by,
        )

    async def requests(self, tx: Transaction) -> list[StoredRequest]:
        """Requests that wait for their certificate, newest first."""
        rows = await tx.fetch_all(
            "SELECT id, csr, key_sealed, reply_certificate, reply_key_sealed, created_at, created_by "
            "FROM push_certificate_request WHERE used_at IS NULL ORDER BY created_at DESC, id"
        )
        return [
            StoredRequest(
                id=row[0],
                csr=bytes(row[1]),
                key=Secret(self._vault.open(bytes(row[2]), _request_place(row[0], "key"))),
                reply_certificate=None if row[3] is None else bytes(row[3]),
                reply_key=None
                if row[4] is None
                else Secret(self._vault.open(bytes(row[4]), _request_place(row[0], "reply_key"))),
                created_at=loaded(row[5]),
                created_by=row[6],
            )
            for row in rows
        ]

    async def request_used(self, tx: Transaction, id: str, *, at: datetime) -> None:
        """Its certificate was installed."""
        await tx.execute("UPDATE push_certificate_request SET used_at = ? WHERE id = ?", stored(at), id)


def _place(fingerprint: str) -> Place:
    return Place("push_certificate", fingerprint, "key")


def _request_place(id: str, column: str) -> Place:
    return Place("push_certificate_request", id, column)
