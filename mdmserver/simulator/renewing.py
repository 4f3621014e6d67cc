"""The SCEP part of a renewal on a device, and the mishaps that may be wanted in one."""

from enum import StrEnum
from random import Random

from mdmserver.protocol import ErrorItem
from mdmserver.simulator.applicant import Applicant
from mdmserver.simulator.channel import Renewal
from mdmserver.simulator.errors import CertificateDenied, EnrollmentRefused, OutOfReach, ServerUnreachable
from mdmserver.simulator.identity import Identity
from mdmserver.simulator.task import Answer, installation_failed
from mdmserver.simulator.transport import Transport


class Mishap(StrEnum):
    """What goes wrong in one renewal, in the order in which it could; silence ends with the device's next connect."""

    SILENT_AT_ONCE = "silent before SCEP"
    SCEP_FAILS = "SCEP fails"
    SILENT_WITH_CERTIFICATE = "silent with a certificate that it never uses"
    SILENT_BEFORE_CHECK_IN = "silent before its check-in"
    SILENT_BEFORE_RESULT = "silent before its result"
    RESULT_FORGOTTEN = "result forgotten"


async def new_identity(
    applicant: Applicant | None,
    transport: Transport,
    renewal: Renewal,
    *,
    random: Random,
    mishap: Mishap | None,
    loses_reply: bool,
) -> Identity | Answer:
    """The identity by the new profile, or the Error that the device reports instead. Raises OutOfReach on purpose."""
    if mishap is Mishap.SILENT_AT_ONCE:
        raise OutOfReach
    try:
        if applicant is None or mishap is Mishap.SCEP_FAILS:
            raise CertificateDenied("the SCEP server returned an invalid response")
        identity = await applicant.certify(transport, renewal.management, random=random, loses_reply=loses_reply)
    except (EnrollmentRefused, ServerUnreachable) as fault:
        return installation_failed(ErrorItem(code=22013, domain="MCSCEPErrorDomain", localized_description=str(fault)))
    if mishap is Mishap.SILENT_WITH_CERTIFICATE:
        raise OutOfReach
    return identity
