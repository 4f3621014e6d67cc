"""Apps that the App Store of simulated devices knows by their numbers; any other number is an app of ours."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from mdmserver.simulator.facts import Platform

_IOS = frozenset({Platform.IPHONE, Platform.IPAD})
_MACS = frozenset({Platform.MAC})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreApp:
    """An app by its bundle identifier, and where it can be installed."""

    identifier: str
    platforms: frozenset[Platform] = frozenset(Platform)


_APPS = {
    891247102: StoreApp(identifier="com.pingidentity.pingid.prod", platforms=_IOS),
    361285480: StoreApp(identifier="com.apple.Keynote", platforms=_IOS),
    361304891: StoreApp(identifier="com.apple.Numbers", platforms=_IOS),
    361309726: StoreApp(identifier="com.apple.Pages", platforms=_IOS),
    409183694: StoreApp(identifier="com.apple.iWork.Keynote", platforms=_MACS),
    409203825: StoreApp(identifier="com.apple.iWork.Numbers", platforms=_MACS),
    497799835: StoreApp(identifier="com.apple.dt.Xcode", platforms=_MACS),
}


def store_app(number: int) -> StoreApp:
    """The app behind an App Store id."""
    return _APPS.get(number) or StoreApp(identifier=f"com.example.app-{number}")


def manifest_app(url: str) -> StoreApp:
    """The app behind a manifest, which nobody downloads: its file is named after the app."""
    name = urlsplit(url).path.rpartition("/")[2].removesuffix(".plist")
    return StoreApp(identifier=name if "." in name else "com.example.app-manifest")
