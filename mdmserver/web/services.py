"""What the handlers of every listener work with; `bootstrap` makes it, nothing here decides anything."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from certs import CertificateCache
from mdmserver.access.service import AccessService
from mdmserver.apps.progress import AppProgress
from mdmserver.apps.service import AppService
from mdmserver.assignments.service import AssignmentService
from mdmserver.audit.service import AuditService
from mdmserver.checkin.exchange import Exchange
from mdmserver.checkin.service import CheckinService
from mdmserver.clock import Clock, utc_now
from mdmserver.commands.results import ResultProcessor
from mdmserver.commands.service import CommandService
from mdmserver.devices.identity import Reenrollment
from mdmserver.devices.presence import Presence
from mdmserver.devices.service import DeviceService
from mdmserver.enrollment.leaving import Leaving
from mdmserver.enrollment.service import EnrollmentService
from mdmserver.events import Hints
from mdmserver.issuance.authorities import Authorities
from mdmserver.issuance.crls import PublishedCRLs
from mdmserver.issuance.invitations import InvitationService
from mdmserver.issuance.scep import SCEPService
from mdmserver.issuance.server_certificate import ServerCertificates
from mdmserver.push.certificates import PushCertificates
from mdmserver.push.service import PushService
from mdmserver.transaction import Storage
from mdmserver.web.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The services of one process, and what they share.

    `authorities` says for the name of each device CA what its new certificates may do for a device that is enrolled.
    """

    access: AccessService
    audit: AuditService
    devices: DeviceService
    commands: CommandService
    checkin: CheckinService
    exchange: Exchange
    results: ResultProcessor
    presence: Presence
    hints: Hints
    certificates: CertificateCache
    authorities: Mapping[str, Reenrollment]
    own_authorities: Authorities
    crls: PublishedCRLs
    server_certificates: ServerCertificates
    invitations: InvitationService
    scep: SCEPService
    enrollment: EnrollmentService
    leaving: Leaving
    push: PushService
    push_certificates: PushCertificates
    assignments: AssignmentService
    apps: AppService
    app_progress: AppProgress
    fingerprint: Callable[[bytes], str]
    """Names a secret value without telling it."""
    storage: Storage
    clock: Clock = field(default=utc_now)
    metrics: Metrics = field(default_factory=Metrics)
