"""What should be on one device: from all assignments and configurations. Pure, and the same answer every time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mdmserver.apps.model import App, Assignment, Configuration, Effect
from mdmserver.assignments.model import AppRow, Device, Platform, RevisionRow, SettingKind, Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All that is meant for anyone."""

    apps: Sequence[App]
    assignments: Sequence[Assignment]
    configurations: Sequence[Configuration]


def desired(device: Device, catalogue: Catalogue) -> list[Wanted]:
    """The settings that this device should have. Nothing for one that has not said what it is."""
    if device.platform is None:
        return []
    wanted = []
    for app in catalogue.apps:
        if effect_on(device, app.row, catalogue.assignments) is Effect.INSTALL:
            wanted += _of_app(device, app, configuration_for(device, app.row, catalogue.configurations))
    return wanted


def effect_on(device: Device, app: AppRow, assignments: Iterable[Assignment]) -> Effect | None:
    """What the most particular assignment says; None where none takes the device in. Removal wins among equals."""
    meant = [each for each in assignments if each.app == app and each.scope.takes_in(device)]
    best = max(meant, key=lambda each: (each.scope.rank, each.effect is Effect.REMOVE), default=None)
    return None if best is None else best.effect


def configuration_for(device: Device, app: AppRow, configurations: Iterable[Configuration]) -> RevisionRow | None:
    """The revision in force of the most particular configuration; among equals the one made first."""
    meant = [
        each for each in configurations if each.app == app and each.revision is not None and each.scope.takes_in(device)
    ]
    best = max(meant, key=lambda each: (each.scope.rank, -each.row), default=None)
    return None if best is None else best.revision


def _of_app(device: Device, app: App, revision: RevisionRow | None) -> list[Wanted]:
    wanted = []
    if device.platform in app.platforms:
        wanted.append(Wanted(kind=SettingKind.APP, app=app.row))
    if revision is None:
        return wanted
    if device.platform is Platform.MACOS and app.preference_domain is not None:
        wanted.append(Wanted(kind=SettingKind.PROFILE, app=app.row, revision=revision))
    elif device.platform in app.platforms:
        wanted.append(Wanted(kind=SettingKind.CONFIGURATION, app=app.row, revision=revision))
    return wanted
