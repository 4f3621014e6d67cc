"""Puts push together; the rest of the server is `composition`."""

from dataclasses import dataclass

from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.config import APNs
from mdmserver.devices.store import DeviceStore
from mdmserver.events import Hints
from mdmserver.offload import Offload
from mdmserver.push.certificates import PushCertificates
from mdmserver.push.pace import Served
from mdmserver.push.ports import PushGateway, PushRequestSigner
from mdmserver.push.sender import PushSender
from mdmserver.push.service import PushService
from mdmserver.push.store import PushStore
from mdmserver.transaction import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class PushGround:
    """What push stands on."""

    storage: Storage
    push: PushStore
    devices: DeviceStore
    audit: AuditStore
    gateway: PushGateway
    signer: PushRequestSigner
    hints: Hints
    clock: Clock
    offload: Offload
    settings: APNs


@dataclass(frozen=True, slots=True, kw_only=True)
class PushParts:
    """What the rest of the server needs of push. `served` is told of every connect, for the pace."""

    served: Served
    sender: PushSender
    certificates: PushCertificates
    service: PushService


def compose_push(ground: PushGround) -> PushParts:
    """Push over these stores and this way to APNs."""
    served = Served()
    sender = PushSender(
        storage=ground.storage,
        push=ground.push,
        audit=ground.audit,
        gateway=ground.gateway,
        clock=ground.clock,
        served=served,
        concurrency=ground.settings.concurrency,
        most_per_second=ground.settings.pushes_per_second,
    )
    certificates = PushCertificates(
        storage=ground.storage,
        push=ground.push,
        audit=ground.audit,
        gateway=ground.gateway,
        sender=sender,
        signer=ground.signer,
        hints=ground.hints,
        clock=ground.clock,
        offload=ground.offload,
    )
    service = PushService(
        storage=ground.storage,
        push=ground.push,
        devices=ground.devices,
        audit=ground.audit,
        sender=sender,
        clock=ground.clock,
        topics=lambda: certificates.topics,
    )
    return PushParts(served=served, sender=sender, certificates=certificates, service=service)
