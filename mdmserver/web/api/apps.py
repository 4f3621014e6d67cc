"""The catalogue of apps over the API. Secret values of configurations are shown as fingerprints and nothing else."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mdmserver.access.model import Scope
from mdmserver.apps.model import App, Effect, NewApp, PreferenceForm, Revision, with_fingerprints
from mdmserver.apps.service import AppDetail
from mdmserver.assignments.model import Platform
from mdmserver.protocol import dumps
from mdmserver.web.api.plist_json import to_json
from mdmserver.web.routes import AnyRoute, Call, Incoming, Nothing, Outgoing, Route, Surface
from mdmserver.web.services import Services


class AppView(Outgoing, frozen=True):
    """An app in the catalogue."""

    key: str
    name: str
    app_store_id: int | None
    bundle_id: str
    manifest_url: str | None
    platforms: list[Platform]
    preference_domain: str | None
    preference_form: PreferenceForm


class Apps(Outgoing, frozen=True):
    """All apps, by key."""

    items: list[AppView]


class AppAssignmentView(Outgoing, frozen=True):
    """For whom an app is, or from whom it is taken."""

    scope: str
    effect: Effect


class AppConfigurationView(Outgoing, frozen=True):
    """A configuration in force: values in their JSON form, a secret one as `{"$fingerprint": "…"}`."""

    scope: str
    revision: int
    fingerprint: str
    created_at: datetime
    created_by: str
    values: dict[str, Any]
    secret_keys: list[str]


class AppDetailView(AppView, frozen=True):
    """An app, for whom it is, and its configurations."""

    assignments: list[AppAssignmentView]
    configurations: list[AppConfigurationView]


class AppFacts(Incoming, frozen=True):
    """What is known of an app. On Macs one with a `preference_domain` is configured by a profile."""

    name: str
    bundle_id: str
    app_store_id: int | None = None
    manifest_url: str | None = None
    platforms: tuple[Platform, ...] = (Platform.IOS,)
    preference_domain: str | None = None
    preference_form: PreferenceForm = PreferenceForm.MANAGED


class AppRequest(AppFacts, frozen=True, kw_only=True):
    """An app to add; its key never changes."""

    key: str


async def list_apps(call: Call[Nothing, Nothing]) -> Apps:
    """The catalogue."""
    return Apps(items=[AppView(**_facts(app)) for app in await call.services.apps.apps()])


async def add_app(call: Call[Nothing, AppRequest]) -> AppView:
    """Add an app."""
    return AppView(**_facts(await call.services.apps.add(_new_app(call.body.key, call.body), actor=call.actor)))


async def show_app(call: Call[Nothing, Nothing]) -> AppDetailView:
    """One app."""
    return _detail_view(await call.services.apps.show(call.path["key"]), call.services)


async def change_app(call: Call[Nothing, AppFacts]) -> AppView:
    """Replace what is known of an app."""
    key = call.path["key"]
    return AppView(**_facts(await call.services.apps.change(key, _new_app(key, call.body), actor=call.actor)))


async def remove_app(call: Call[Nothing, Nothing]) -> None:
    """Take an app out of the catalogue."""
    await call.services.apps.remove(call.path["key"], actor=call.actor)


def secret_fingerprint(value: Any, services: Services) -> str:
    """The fingerprint of one secret value: the same for the same value, and telling nothing of it."""
    if isinstance(value, str):
        return services.fingerprint(value.encode("utf-8", "surrogatepass"))
    return services.fingerprint(dumps({"value": with_fingerprints(value, services.fingerprint)}))


def _detail_view(detail: AppDetail, services: Services) -> AppDetailView:
    return AppDetailView(
        **_facts(detail.app),
        assignments=[AppAssignmentView(scope=str(each.scope), effect=each.effect) for each in detail.assignments],
        configurations=[
            AppConfigurationView(
                scope=str(configuration.scope),
                revision=revision.number,
                fingerprint=revision.fingerprint,
                created_at=revision.created_at,
                created_by=revision.created_by,
                values=_shown(revision, services),
                secret_keys=sorted(revision.secret_keys),
            )
            for configuration, revision in detail.configurations
            if revision is not None
        ],
    )


def _shown(revision: Revision, services: Services) -> dict[str, Any]:
    return {
        name: {"$fingerprint": secret_fingerprint(value, services)} if name in revision.secret_keys else to_json(value)
        for name, value in revision.values.items()
    }


def _facts(app: App) -> Mapping[str, Any]:
    return {
        "key": app.key,
        "name": app.name,
        "app_store_id": app.app_store_id,
        "bundle_id": app.bundle_id,
        "manifest_url": app.manifest_url,
        "platforms": sorted(app.platforms),
        "preference_domain": app.preference_domain,
        "preference_form": app.preference_form,
    }


def _new_app(key: str, facts: AppFacts) -> NewApp:
    return NewApp(
        key=key,
        name=facts.name,
        app_store_id=facts.app_store_id,
        bundle_id=facts.bundle_id,
        manifest_url=facts.manifest_url,
        platforms=frozenset(facts.platforms),
        preference_domain=facts.preference_domain,
        preference_form=facts.preference_form,
    )


_ALL = "/api/v1/apps"
_ONE = f"{_ALL}/{{key}}"

ROUTES: list[AnyRoute] = [
    Route(
        method="GET", path=_ALL, scope=Scope.APPS_READ, surface=Surface.API,
        summary="List apps", handler=list_apps,
        query=Nothing, body=Nothing, response=Apps,
    ),
    Route(
        method="POST", path=_ALL, scope=Scope.APPS_WRITE, surface=Surface.API,
        summary="Add an app", handler=add_app,
        query=Nothing, body=AppRequest, response=AppView, status=201,
    ),
    Route(
        method="GET", path=_ONE, scope=Scope.APPS_READ, surface=Surface.API,
        summary="Show an app, for whom it is, and its configurations", handler=show_app,
        query=Nothing, body=Nothing, response=AppDetailView,
    ),
    Route(
        method="PUT", path=_ONE, scope=Scope.APPS_WRITE, surface=Surface.API,
        summary="Replace what is known of an app", handler=change_app,
        query=Nothing, body=AppFacts, response=AppView,
    ),
    Route(
        method="DELETE", path=_ONE, scope=Scope.APPS_WRITE, surface=Surface.API,
        summary="Take an app out of the catalogue", handler=remove_app,
        query=Nothing, body=Nothing, response=None, status=204,
    ),
]  # fmt: skip
