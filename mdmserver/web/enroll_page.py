"""The pages that a person sees who enrolls a device: HTML without scripts, without anything from elsewhere."""

import hashlib
from base64 import b64encode
from datetime import datetime
from html import escape

import segno

from mdmserver.enrollment.service import EnrollmentPage
from mdmserver.secret import Secret

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:17px/1.5 -apple-system,system-ui,sans-serif;max-width:34em;margin:0 auto;padding:2em 1.2em}"
    "h1{font-size:1.6em;line-height:1.2}"
    "a.profile{display:block;margin:1.5em 0;padding:.8em;border-radius:.7em;text-align:center;"
    "text-decoration:none;font-weight:600;color:#fff;background:#0060df}"
    "small{color:#777}"
)
# The style stands in the page, and this lets that one style through and nothing else (S26).
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def enrollment_page(page: EnrollmentPage, profile_path: str) -> bytes:
    """The page behind an invitation, with a link to its profile and how to install it."""
    organization = page.organization or page.display_name
    for_whom = f" It is for <strong>{escape(page.user_name)}</strong>." if page.user_name else ""
    return _document(
        f"{organization}: enroll your device",
        f"<h1>{escape(organization)}: enroll your device</h1>"
        f"<p>This invitation lets you enroll your iPhone, iPad or Mac with {escape(page.display_name)}.{for_whom} "
        "Open this page in Safari on the device that you want to enroll; an iPhone or iPad that is not this device "
        "gets here by its camera and the code below.</p>"
        f'<a class="profile" href="{escape(profile_path)}">Download the profile</a>'
        "<h2>iPhone and iPad</h2>"
        "<ol><li>Tap <em>Download the profile</em>, then <em>Allow</em>.</li>"
        "<li>Open Settings and tap <em>Profile Downloaded</em> "
        "(or General, VPN &amp; Device Management).</li>"
        "<li>Tap <em>Install</em> and follow the steps.</li></ol>"
        "<h2>Mac</h2>"
        "<ol><li>Click <em>Download the profile</em>.</li>"
        "<li>Open System Settings, General, Device Management "
        "(before macOS 15: Privacy &amp; Security, Profiles).</li>"
        "<li>Double-click the profile, then click <em>Install</em> or <em>Enroll</em>.</li></ol>"
        f"<h2>On another device</h2>{_code(page.url)}"
        f"<p><small>The invitation is valid until {_in_words(page.expires_at)}. "
        "Whoever has the address of this page can use it: do not pass it on.</small></p>",
    )


def trouble_page(title: str, advice: str) -> bytes:
    """A page that says what is wrong and what to do."""
    return _document(title, f"<h1>{escape(title)}</h1><p>{escape(advice)}</p>")


def _code(url: Secret[str]) -> str:
    """The page's own address as a QR code: shapes in the page itself, so that nothing has to be let through for it."""
    return segno.make_qr(url.reveal()).svg_inline(scale=5, border=3, dark="#000", light="#fff", svgclass=None)


def _document(title: str, content: str) -> bytes:
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{content}</body></html>\n"
    ).encode()


def _in_words(at: datetime) -> str:
    return f"{at.day} {at:%B %Y, %H:%M} UTC"
