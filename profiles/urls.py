"""Which URLs a profile may send a device to."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from profiles.errors import KeyInvalid

_NOT_IN_URLS = re.compile(r"[^\x21-\x7e]")


def check_https_url(url: str, key: str) -> None:
    """Raises KeyInvalid unless a device may be managed over this URL: https, or plain http to loopback for trials."""
    parts = _parts(url, key)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        raise KeyInvalid(key, "not an https URL (http is for loopback alone)")


def check_http_url(url: str, key: str) -> None:
    """Raises KeyInvalid unless this is an http or https URL: SCEP's messages are encrypted and signed themselves."""
    if _parts(url, key).scheme not in ("http", "https"):
        raise KeyInvalid(key, "not an http or https URL")


def _parts(url: str, key: str) -> SplitResult:
    if _NOT_IN_URLS.search(url):
        raise KeyInvalid(key, "a URL has only printable ASCII characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        # Without the cause, which quotes the URL: it may hold a secret.
        raise KeyInvalid(key, "not a URL") from None
    if not host or port == 0:
        raise KeyInvalid(key, "a URL without a host, or with port 0")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise KeyInvalid(key, "a URL with a user, a password or a fragment")
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
