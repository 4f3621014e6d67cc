"""Ending enrollments over the API: told to leave, retired on our side, or forgotten."""

from mdmserver.access.model import Scope
from mdmserver.web.api.enrollments import EnrollmentView, enrollment_view
from mdmserver.web.routes import AnyRoute, Call, Nothing, Route, Surface


async def unenroll(call: Call[Nothing, Nothing]) -> EnrollmentView:
    """The device is told to remove its enrollment at its next message."""
    row = await call.services.devices.resolve(call.path["reference"])
    enrollment = await call.services.leaving.unenroll(row, actor=call.actor)
    return enrollment_view(await call.services.devices.show(enrollment.id.key), call.services)


async def retire(call: Call[Nothing, Nothing]) -> EnrollmentView:
    """The enrollment ends here, and its certificates are refused; the device is not told."""
    row = await call.services.devices.resolve(call.path["reference"])
    enrollment = await call.services.leaving.retire(row, actor=call.actor)
    return enrollment_view(await call.services.devices.show(enrollment.id.key), call.services)


async def delete(call: Call[Nothing, Nothing]) -> EnrollmentView:
    """The enrollment as it was before it was ended and forgotten."""
    row = await call.services.devices.resolve(call.path["reference"])
    return enrollment_view(await call.services.leaving.delete(row, actor=call.actor), call.services)


_ONE = "/api/v1/enrollments/{reference}"

ROUTES: list[AnyRoute] = [
    Route(
        method="POST", path=f"{_ONE}/unenroll", scope=Scope.DEVICES_WRITE, surface=Surface.API,
        summary="Tell a device to remove its enrollment", handler=unenroll,
        query=Nothing, body=Nothing, response=EnrollmentView,
    ),
    Route(
        method="POST", path=f"{_ONE}/retire", scope=Scope.DEVICES_WRITE, surface=Surface.API,
        summary="End an enrollment without telling the device", handler=retire,
        query=Nothing, body=Nothing, response=EnrollmentView,
    ),
    Route(
        method="DELETE", path=_ONE, scope=Scope.DEVICES_WRITE, surface=Surface.API,
        summary="End an enrollment and forget what is known of it", handler=delete,
        query=Nothing, body=Nothing, response=EnrollmentView,
    ),
]  # fmt: skip
