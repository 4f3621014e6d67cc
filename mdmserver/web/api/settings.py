"""What should be on one device and how that stands, over the API."""

from mdmserver.access.model import Scope
from mdmserver.web.api.app_targets import TargetView, target_view
from mdmserver.web.api.push_standing import Topics
from mdmserver.web.routes import AnyRoute, Call, Nothing, Outgoing, Route, Surface


class DeviceSettings(Outgoing, frozen=True):
    """A device's settings, with why each is where it is; an app that is not meant for it says so."""

    id: str
    tags: list[str]
    groups: list[str]
    items: list[TargetView]


async def show_settings(call: Call[Nothing, Nothing]) -> DeviceSettings:
    """What should be on a device."""
    services = call.services
    enrollment = await services.devices.show(call.path["reference"])
    details = await services.app_progress.settings_of(enrollment.row)
    topics = Topics.of(services.push_certificates.all)
    tags, groups = await services.assignments.labels_of(enrollment.row)
    return DeviceSettings(
        id=str(enrollment.id),
        tags=sorted(tags),
        groups=sorted(groups),
        items=[target_view(each, topics) for each in details],
    )


ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path="/api/v1/enrollments/{reference}/settings", scope=Scope.DEVICES_READ, surface=Surface.API,
        summary="Show what should be on a device, and how that stands", handler=show_settings,
        query=Nothing, body=Nothing, response=DeviceSettings,
    ),
]  # fmt: skip
