"""What a device is by what it says of itself, and how scopes are named."""

from datetime import timedelta
from pathlib import Path

import pytest

from mdmserver.assignments.model import Platform, Scope, ScopeKind, checked_name, platform_of, retry_after
from mdmserver.errors import Invalid
from mdmserver.protocol import loads

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "reference" / "captures"


@pytest.mark.parametrize(
    ("product_name", "platform"),
    [
        ("iPhone15,2", Platform.IOS), ("iPad13,1", Platform.IOS), ("iPod9,1", Platform.IOS),
        ("MacBookPro18,3", Platform.MACOS), ("Mac14,2", Platform.MACOS), ("iMac21,1", Platform.MACOS),
        ("Macmini9,1", Platform.MACOS), ("VirtualMac2,1", Platform.MACOS), ("AppleTV14,1", Platform.TVOS),
        ("RealityDevice14,1", Platform.VISIONOS), ("Watch6,1", None), ("", None), (None, None), ("x" * 5000, None),
    ],
)  # fmt: skip
def test_a_product_name_tells_the_platform(product_name: str | None, platform: Platform | None) -> None:
    assert platform_of(product_name, None, None) is platform


def test_what_is_not_said_first_may_be_said_elsewhere() -> None:
    assert platform_of(None, "Apple TV", None) is Platform.TVOS
    assert platform_of("", None, "iMac (24-inch)") is Platform.MACOS
    assert platform_of("Unheard1,1", "iPhone", None) is Platform.IOS


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures are not on this machine")
def test_captured_devices_are_what_their_files_are_named_after() -> None:
    found = {}
    for path in sorted((CAPTURES / "Authenticate").iterdir()):
        said = loads(path.read_bytes())
        found[path.name] = platform_of(said.get("ProductName"), said.get("ModelName"), said.get("Model"))

    assert len(found) >= 5
    assert found == {name: Platform.IOS if name.lower().startswith("ios") else Platform.MACOS for name in found}


def test_a_scope_is_written_as_people_name_it() -> None:
    assert str(Scope(kind=ScopeKind.ALL)) == "all"
    assert str(Scope(kind=ScopeKind.TAG, value="pilot")) == "tag:pilot"
    assert str(Scope(kind=ScopeKind.DEVICE, value="ue/A:B")) == "device:ue/A:B"


@pytest.mark.parametrize("name", ["a", "a" * 64, "Köln", "a b", "a:b", "7", "'; --"])
def test_a_name_of_a_tag_may_be_nearly_anything(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", " ", " a", "a ", "a" * 65, "a,b", "a\nb", "a\x00", "\u202ea"])
def test_a_name_that_would_confuse_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        checked_name(name)


def test_waits_grow_to_a_day_and_not_beyond() -> None:
    assert [retry_after(attempts) / timedelta(hours=1) for attempts in (0, 1, 2, 3, 4, 5, 10**6)] == [
        0.25, 0.25, 1, 4, 24, 24, 24,
    ]  # fmt: skip
