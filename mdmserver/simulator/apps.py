"""The apps on a channel of a simulated device: what becomes of them by management and by the person who holds it.

An app that is to be installed goes its way (asked for, installing …) a step further with every list that tells of it.
Five states are told once and then forgotten; of an app that the person removed, management goes on. The commands are
`managing_apps`.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any

MANAGED_CONFIGURATION = "com.apple.configuration.managed"
"""The key of its own defaults under which an app reads its managed configuration."""
REMOVED_WITH_MANAGEMENT = 1
"""The ManagementFlag of an app that goes when management does."""


class AppState(StrEnum):
    """The states of managed apps that simulated devices come to, as they tell them."""

    PROMPTING = "Prompting"
    INSTALLING = "Installing"
    MANAGED = "Managed"
    MANAGED_BUT_UNINSTALLED = "ManagedButUninstalled"
    PROMPTING_FOR_MANAGEMENT = "PromptingForManagement"
    USER_INSTALLED_APP = "UserInstalledApp"
    USER_REJECTED = "UserRejected"
    MANAGEMENT_REJECTED = "ManagementRejected"
    FAILED = "Failed"

    @property
    def is_told_once(self) -> bool:
        """Whether the device forgets it when it has told it."""
        return self in _TOLD_ONCE

    @property
    def is_question(self) -> bool:
        """Whether the person has yet to answer."""
        return self in (AppState.PROMPTING, AppState.PROMPTING_FOR_MANAGEMENT)


_TOLD_ONCE = frozenset(
    {AppState.USER_INSTALLED_APP, AppState.USER_REJECTED, AppState.MANAGEMENT_REJECTED, AppState.FAILED}
)


class Rejection(StrEnum):
    """Why a device does not begin to install an app: RejectionReason."""

    APP_ALREADY_INSTALLED = "AppAlreadyInstalled"
    APP_ALREADY_QUEUED = "AppAlreadyQueued"
    APP_STORE_DISABLED = "AppStoreDisabled"
    COULD_NOT_VERIFY_APP_ID = "CouldNotVerifyAppID"
    MANAGEMENT_CHANGE_NOT_SUPPORTED = "ManagementChangeNotSupported"
    NOT_AN_APP = "NotAnApp"
    NOT_SUPPORTED = "NotSupported"
    PURCHASE_METHOD_NOT_SUPPORTED = "PurchaseMethodNotSupported"
    OTHER = "Other"


class AlreadyPrompting(Exception):
    """The person has not answered yet, and is not asked a second time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """`rejections` is the share of questions that the person answers with no. So many lists as `looks` find an app
    still being installed."""

    rejections: float = 0
    looks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What InstallApplication says of an app besides its name."""

    asks_person: bool
    takes_over: bool
    flags: int = 0
    configuration: Mapping[str, Any] | None = None
    attributes: Mapping[str, Any] | None = None


@dataclass(slots=True, kw_only=True)
class ManagedApp:
    """An app under management. Of `way` the first is its state, the last where it stays."""

    way: deque[AppState]
    flags: int = 0
    attributes: Mapping[str, Any] | None = None
    feedback: Mapping[str, Any] | None = None

    @property
    def state(self) -> AppState:
        """How it stands now."""
        return self.way[0]


@dataclass(slots=True, kw_only=True)
class Apps:
    """`managed` by identifier, `of_person` what the person installed, `configurations` what apps were given.

    In tests `rejections` are how the next installations are rejected, and `answers` what the person says next; after
    these chance decides by the manners.
    """

    manners: Manners = Manners()
    managed: dict[str, ManagedApp] = field(default_factory=dict)
    of_person: set[str] = field(default_factory=set)
    configurations: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    rejections: deque[Rejection] = field(default_factory=deque)
    answers: deque[bool] = field(default_factory=deque)

    # What management does.

    def install(self, identifier: str, order: Order, random: Random) -> AppState | Rejection:
        """Begin to install the app, or to take it over from the person. Raises AlreadyPrompting."""
        if self.rejections:
            return self.rejections.popleft()
        app = self.managed.get(identifier)
        if app is not None and app.state.is_question:
            raise AlreadyPrompting
        if app is not None and app.state is AppState.INSTALLING:
            return Rejection.APP_ALREADY_QUEUED
        if app is None and identifier in self.of_person and not order.takes_over:
            return Rejection.APP_ALREADY_INSTALLED
        if app is None or app.state is not AppState.MANAGED:
            app = ManagedApp(way=self._way(identifier, order, random))
            self.managed[identifier] = app
        app.flags = order.flags
        app.attributes = order.attributes if order.attributes is not None else app.attributes
        if order.configuration is not None:
            self.configurations[identifier] = order.configuration
        return app.state

    def install_unmanaged(self, identifier: str) -> None:
        """Install it as the person would; a managed app is managed no more."""
        self._forget(identifier)
        self.of_person.add(identifier)

    def remove(self, identifier: str) -> bool:
        """Remove a managed app; False if it is none."""
        if identifier not in self.managed:
            return False
        self._forget(identifier)
        return True

    def tell(self, identifiers: Iterable[str] | None) -> dict[str, tuple[AppState, ManagedApp]]:
        """These managed apps (None: all) as a list tells of them, which has its effect on them."""
        asked = list(self.managed) if identifiers is None else [name for name in identifiers if name in self.managed]
        return {name: self._told(name) for name in asked}

    def is_managed(self, identifier: str) -> bool:
        """Whether the app is there, and managed."""
        app = self.managed.get(identifier)
        return app is not None and app.state is AppState.MANAGED

    def configure(self, identifier: str, configuration: Mapping[str, Any] | None) -> None:
        """Replace the app's configuration as a whole; None removes it."""
        if configuration is None:
            self.configurations.pop(identifier, None)
        else:
            self.configurations[identifier] = configuration

    def end_management(self) -> None:
        """The device is managed no more: apps go, or stay as the person's own."""
        for identifier, app in tuple(self.managed.items()):
            stays = app.state is AppState.MANAGED and not app.flags & REMOVED_WITH_MANAGEMENT
            self._forget(identifier)
            if stays:
                self.of_person.add(identifier)
        self.configurations.clear()

    # What the person does, and what apps see.

    def install_by_person(self, identifier: str) -> None:
        """The person gets the app from the App Store; one that was removed is managed again."""
        app = self.managed.get(identifier)
        if app is not None and app.state is AppState.MANAGED_BUT_UNINSTALLED:
            app.way = deque([AppState.MANAGED])
            return
        if app is not None and app.state is not AppState.MANAGED:
            app.way = deque([AppState.USER_INSTALLED_APP])
        if app is None or app.state is not AppState.MANAGED:
            self.of_person.add(identifier)

    def remove_by_person(self, identifier: str) -> None:
        """The person deletes the app, and with it what it was given."""
        self.of_person.discard(identifier)
        self.configurations.pop(identifier, None)
        if self.is_managed(identifier):
            app = self.managed[identifier]
            app.way, app.feedback = deque([AppState.MANAGED_BUT_UNINSTALLED]), None

    def give_feedback(self, identifier: str, feedback: Mapping[str, Any]) -> None:
        """A managed app writes com.apple.feedback.managed. Raises KeyError."""
        self.managed[identifier].feedback = feedback

    def defaults(self, identifier: str) -> Mapping[str, Any]:
        """What the app finds in its own defaults: its managed configuration under its key, if there is one."""
        is_there = self.is_managed(identifier) or (identifier in self.of_person and identifier not in self.managed)
        if not is_there or identifier not in self.configurations:
            return {}
        return {MANAGED_CONFIGURATION: self.configurations[identifier]}

    def _way(self, identifier: str, order: Order, random: Random) -> deque[AppState]:
        if identifier in self.of_person:
            end = AppState.MANAGED if self._agrees(random) else AppState.MANAGEMENT_REJECTED
            return deque([AppState.PROMPTING_FOR_MANAGEMENT, end])
        installing = [AppState.INSTALLING] * self.manners.looks
        if not order.asks_person:
            return deque([AppState.INSTALLING, *installing, AppState.MANAGED])
        if self._agrees(random):
            return deque([AppState.PROMPTING, *installing, AppState.MANAGED])
        return deque([AppState.PROMPTING, AppState.USER_REJECTED])

    def _agrees(self, random: Random) -> bool:
        return self.answers.popleft() if self.answers else random.random() >= self.manners.rejections

    def _told(self, identifier: str) -> tuple[AppState, ManagedApp]:
        app = self.managed[identifier]
        if len(app.way) > 1:
            app.way.popleft()
        if app.state is AppState.MANAGED:
            self.of_person.discard(identifier)
        elif app.state.is_told_once:
            self._forget(identifier)
        return app.state, app

    def _forget(self, identifier: str) -> None:
        self.managed.pop(identifier, None)
        self.configurations.pop(identifier, None)
