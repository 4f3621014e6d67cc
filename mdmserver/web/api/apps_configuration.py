"""Configurations of apps over the API: values go in, fingerprints come out; and the profile for Macs as a file."""

from collections.abc import Mapping
from typing import Any

import msgspec

from mdmserver.access.model import Scope
from mdmserver.assignments.model import Scope as Meant
from mdmserver.config import MIB
from mdmserver.errors import Conflict, Invalid
from mdmserver.web.api.apps import secret_fingerprint
from mdmserver.web.api.apps_assigned import ScopeChange, ScopeQuery
from mdmserver.web.api.apps_scope import ScopeText, scope_among, scope_named
from mdmserver.web.api.plist_json import from_json, holds_secret
from mdmserver.web.routes import AnyRoute, Call, Content, Incoming, Nothing, Outgoing, Route, Surface

PROFILE_MEDIA_TYPE = "application/x-apple-aspen-config"
_LARGEST = 2 * MIB  # a configuration of 1 MiB, with its data in base64


class ConfigurationRequest(Incoming, frozen=True):
    """The whole configuration for a scope: values in their JSON form (`$data`, `$date`, `$dict`).

    Values under `secret_keys` are never shown again, nor are those whose names say that they are secret. Of the
    configuration in force the keys in `keep` stay as they are: so a secret need not be known to be kept.
    """

    scope: ScopeText
    values: dict[str, Any]
    secret_keys: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"ConfigurationRequest(scope={self.scope!r}, values=***)"


class ConfigurationChange(Outgoing, frozen=True):
    """The revision in force, whether it is new, the fingerprint of each secret value, and whom it is for."""

    scope: str
    revision: int
    fingerprint: str
    changed: bool
    secrets: dict[str, str]
    devices: int


class ProfileRequest(Incoming, frozen=True):
    """Which profile, and the values of its secret keys: they must be those in force."""

    scope: ScopeText
    secrets: dict[str, Any] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return f"ProfileRequest(scope={self.scope!r}, secrets=***)"


async def configure_app(call: Call[Nothing, ConfigurationRequest]) -> ConfigurationChange:
    """Set an app's configuration for a scope."""
    services = call.services
    scope = await scope_named(call.body.scope, services)
    kept, kept_secret = await _kept(call, scope)
    values = kept | _plist_values(call.body.values)
    named_so = {name for name, value in values.items() if holds_secret(name, value)}
    secret = frozenset(call.body.secret_keys) | kept_secret | named_so
    revision, changed = await services.apps.configure(
        call.path["key"], scope, values, secret_keys=secret, actor=call.actor
    )
    return ConfigurationChange(
        scope=str(scope),
        revision=revision.number,
        fingerprint=revision.fingerprint,
        changed=changed,
        secrets={name: secret_fingerprint(revision.values[name], services) for name in sorted(revision.secret_keys)},
        devices=await services.assignments.reach(scope),
    )


async def unconfigure_app(call: Call[ScopeQuery, Nothing]) -> ScopeChange:
    """Take the configuration of a scope back."""
    services, key = call.services, call.path["key"]
    known = [each.scope for each, revision in (await services.apps.show(key)).configurations if revision is not None]
    scope = await scope_among(call.query.scope, known, services)
    changed = await services.apps.unconfigure(key, scope, actor=call.actor)
    return ScopeChange(scope=str(scope), changed=changed, devices=await services.assignments.reach(scope))


async def export_profile(call: Call[Nothing, ProfileRequest]) -> Content:
    """The signed profile for Macs of a scope's configuration."""
    key = call.path["key"]
    scope = await scope_named(call.body.scope, call.services)
    profile = await call.services.apps.profile(key, scope, _plist_values(call.body.secrets), actor=call.actor)
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{key}.mobileconfig"'}
    return Content(body=profile, media_type=PROFILE_MEDIA_TYPE, headers=headers)


async def _kept(call: Call[Nothing, ConfigurationRequest], scope: Meant) -> tuple[dict[str, Any], frozenset[str]]:
    """Values that stay, and which of them are secret. They never leave the server."""
    keep = frozenset(call.body.keep)
    detail = await call.services.apps.show(call.path["key"])
    revision = next((revision for each, revision in detail.configurations if each.scope == scope), None)
    values = {} if revision is None else {name: value for name, value in revision.values.items() if name in keep}
    if missing := sorted(keep - values.keys()):
        raise Conflict(f"{', '.join(missing)} is not in the configuration in force", code="not_configured")
    return values, frozenset() if revision is None else revision.secret_keys & keep


def _plist_values(form: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {name: from_json(value) for name, value in form.items()}
    except Invalid as error:
        raise Invalid(str(error).replace("the command", "the value"), code="invalid_configuration") from None


_PATH = "/api/v1/apps/{key}/configuration"

ROUTES: list[AnyRoute] = [
    Route(
        method="PUT", path=_PATH, scope=Scope.APPS_WRITE, surface=Surface.API,
        summary="Configure an app for devices", handler=configure_app,
        query=Nothing, body=ConfigurationRequest, response=ConfigurationChange, body_limit=_LARGEST,
    ),
    Route(
        method="DELETE", path=_PATH, scope=Scope.APPS_WRITE, surface=Surface.API,
        summary="Take a configuration back", handler=unconfigure_app,
        query=ScopeQuery, body=Nothing, response=ScopeChange,
    ),
    Route(
        method="POST", path="/api/v1/apps/{key}/profile", scope=Scope.APPS_WRITE, surface=Surface.API,
        summary="Make the signed profile for Macs of a configuration", handler=export_profile,
        query=Nothing, body=ProfileRequest, response=Content, body_limit=_LARGEST,
        response_media_type=PROFILE_MEDIA_TYPE,
    ),
]  # fmt: skip
