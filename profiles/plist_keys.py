"""Reads typed keys out of a dictionary that came from a plist; unknown keys are nobody's fault and left alone."""

from collections.abc import Mapping
from typing import Any, TypeVar

from profiles.errors import ProfileMalformed

_Value = TypeVar("_Value")


class PlistKeys:
    """One dictionary of a profile and where it stands in it; every method raises ProfileMalformed for a wrong type."""

    def __init__(self, plist: Mapping[str, Any], place: str) -> None:
        self._plist = plist
        self.place = place

    def text(self, key: str) -> str:
        """A string that must be there."""
        return self._required(key, self.optional_text(key))

    def optional_text(self, key: str) -> str | None:
        """A string, or None where the key is absent."""
        return self._typed(key, str)

    def texts(self, key: str) -> tuple[str, ...]:
        """Strings from an array; empty where the key is absent."""
        items: list[Any] = self._typed(key, list) or []
        if not all(isinstance(item, str) for item in items):
            raise ProfileMalformed(self._path(key), "not an array of strings")
        return tuple(items)

    def text_or_texts(self, key: str) -> tuple[str, ...]:
        """Strings where Apple allows one or an array of them."""
        return (self.text(key),) if isinstance(self._plist.get(key), str) else self.texts(key)

    def optional_integer(self, key: str) -> int | None:
        """An integer that is not negative, as all are that are read here; None where the key is absent."""
        number = self._typed(key, int)
        # A bool is an int to Python, not to a plist; and IntFlag would take -1 for all its flags.
        if isinstance(number, bool) or (number is not None and number < 0):
            raise ProfileMalformed(self._path(key), "not an integer from 0 on")
        return number

    def optional_boolean(self, key: str) -> bool | None:
        """True, false, or None where the key is absent."""
        return self._typed(key, bool)

    def data(self, key: str) -> bytes:
        """Bytes that must be there."""
        return self._required(key, self.optional_data(key))

    def optional_data(self, key: str) -> bytes | None:
        """Bytes, or None where the key is absent."""
        return self._typed(key, bytes)

    def array(self, key: str) -> list[Any]:
        """An array of anything; empty where the key is absent."""
        return self._typed(key, list) or []

    def dictionary(self, key: str) -> "PlistKeys":
        """A dictionary that must be there."""
        return self._required(key, self.optional_dictionary(key))

    def optional_dictionary(self, key: str) -> "PlistKeys | None":
        """A dictionary, or None where the key is absent."""
        inner = self._typed(key, dict)
        return None if inner is None else PlistKeys(inner, self._path(key))

    def _typed(self, key: str, kind: type[_Value]) -> _Value | None:
        value = self._plist.get(key)
        if value is not None and not isinstance(value, kind):
            raise ProfileMalformed(self._path(key), f"not of the type {kind.__name__}")
        return value

    def _required(self, key: str, value: _Value | None) -> _Value:
        if value is None:
            raise ProfileMalformed(self._path(key), "missing")
        return value

    def _path(self, key: str) -> str:
        return f"{self.place}.{key}"
