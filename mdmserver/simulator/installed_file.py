"""What is installed on a simulated device as bytes, a plist, for the file that keeps its fleet."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from mdmserver.protocol import dumps, loads
from mdmserver.simulator.apps import AppState, ManagedApp
from mdmserver.simulator.installed import Installed


def kept_installed(installed: Installed, *, except_profile: str | None) -> bytes | None:
    """Profiles and apps; None where there are none. The device's own enrollment profile is kept elsewhere."""
    apps = installed.apps
    kept = {
        "profiles": [profile for name, profile in installed.profiles.items() if name != except_profile],
        "provisioning_profiles": installed.provisioning_profiles,
        "managed": {name: _kept_app(app) for name, app in apps.managed.items()},
        "of_person": sorted(apps.of_person),
        "configurations": apps.configurations,
    }
    return dumps(kept) if any(kept.values()) else None


def restore_installed(installed: Installed, content: bytes) -> None:
    """Install it all as it was. Raises ProtocolError, ValueError for what `kept_installed` never wrote."""
    kept = loads(content)
    try:
        for profile in kept["profiles"]:
            installed.install_profile(profile)
        installed.provisioning_profiles += kept["provisioning_profiles"]
        apps = installed.apps
        apps.managed |= {name: _app(each) for name, each in kept["managed"].items()}
        apps.of_person |= set(kept["of_person"])
        apps.configurations |= kept["configurations"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"what is installed cannot be read: {error}") from error


def _kept_app(app: ManagedApp) -> dict[str, Any]:
    kept: dict[str, Any] = {"way": [state.value for state in app.way], "flags": app.flags}
    if app.attributes is not None:
        kept["attributes"] = app.attributes
    if app.feedback is not None:
        kept["feedback"] = app.feedback
    return kept


def _app(kept: Mapping[str, Any]) -> ManagedApp:
    return ManagedApp(
        way=deque(AppState(state) for state in kept["way"]),
        flags=kept["flags"],
        attributes=kept.get("attributes"),
        feedback=kept.get("feedback"),
    )
