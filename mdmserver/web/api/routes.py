"""The API's rows of the route table."""

from mdmserver.web.api import (
    audit,
    authorities,
    commands,
    enrollments,
    invitations,
    keys,
    leaving,
    push,
    push_certificates,
    reenrollments,
    results,
    sending,
    status,
)
from mdmserver.web.routes import AnyRoute

ROUTES: list[AnyRoute] = [
    *status.ROUTES,
    *enrollments.ROUTES,
    *reenrollments.ROUTES,
    *leaving.ROUTES,
    *invitations.ROUTES,
    *authorities.ROUTES,
    *push_certificates.ROUTES,
    *push.ROUTES,
    *sending.ROUTES,
    *commands.ROUTES,
    *results.ROUTES,
    *keys.ROUTES,
    *audit.ROUTES,
]
