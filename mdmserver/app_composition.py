"""Puts apps and assignments together; the rest of the server is `composition`."""

import uuid
from dataclasses import dataclass

from mdmserver.apps.answers import TargetAnswers
from mdmserver.apps.delivery import Deliveries, Signer
from mdmserver.apps.model import Fingerprint
from mdmserver.apps.progress import AppProgress
from mdmserver.apps.reconcile import Reconciler
from mdmserver.apps.service import AppService
from mdmserver.apps.store import AppStore
from mdmserver.assignments.service import AssignmentService
from mdmserver.assignments.store import AssignmentStore
from mdmserver.audit.store import AuditStore
from mdmserver.clock import Clock
from mdmserver.commands.store import CommandStore
from mdmserver.devices.service import DeviceService
from mdmserver.devices.store import DeviceStore
from mdmserver.events import Hints
from mdmserver.transaction import Storage
from profiles import Identifiers


@dataclass(frozen=True, slots=True, kw_only=True)
class AppGround:
    """What apps stand on."""

    storage: Storage
    apps: AppStore
    assignments: AssignmentStore
    commands: CommandStore
    devices: DeviceStore
    audit: AuditStore
    hints: Hints
    clock: Clock
    fingerprint: Fingerprint
    identifiers: Identifiers
    organization: str
    sign: Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class AppParts:
    """What the rest of the server needs of apps."""

    service: AppService
    progress: AppProgress
    reconciler: Reconciler
    answers: TargetAnswers
    deliveries: Deliveries


def compose_apps(ground: AppGround) -> AppParts:
    """Apps over these stores."""
    deliveries = Deliveries(
        apps=ground.apps,
        assignments=ground.assignments,
        commands=ground.commands,
        identifiers=ground.identifiers,
        organization=ground.organization,
        sign=ground.sign,
    )
    return AppParts(
        service=AppService(
            storage=ground.storage,
            apps=ground.apps,
            assignments=ground.assignments,
            audit=ground.audit,
            deliveries=deliveries,
            fingerprint=ground.fingerprint,
            hints=ground.hints,
            clock=ground.clock,
        ),
        progress=AppProgress(
            storage=ground.storage,
            apps=ground.apps,
            assignments=ground.assignments,
            commands=ground.commands,
            devices=ground.devices,
            clock=ground.clock,
        ),
        reconciler=Reconciler(
            storage=ground.storage,
            assignments=ground.assignments,
            apps=ground.apps,
            commands=ground.commands,
            deliveries=deliveries,
            hints=ground.hints,
            clock=ground.clock,
            new_uuid=lambda: str(uuid.uuid4()).upper(),
        ),
        answers=TargetAnswers(
            apps=ground.apps,
            assignments=ground.assignments,
            commands=ground.commands,
            deliveries=deliveries,
            fingerprint=ground.fingerprint,
        ),
        deliveries=deliveries,
    )


def compose_assignments(ground: AppGround, names: DeviceService) -> AssignmentService:
    """Tags and groups; `names` finds devices by what people call them."""
    return AssignmentService(
        storage=ground.storage,
        assignments=ground.assignments,
        devices=ground.devices,
        names=names,
        audit=ground.audit,
        hints=ground.hints,
        clock=ground.clock,
    )
