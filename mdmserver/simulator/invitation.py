"""From an invitation's URL to the profile behind it, as a person goes on the device: page, link, download."""

from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from mdmserver.simulator.browser import Browser, Page
from mdmserver.simulator.errors import InvitationRefused
from profiles import CONTENT_TYPE

_LINK_ENDINGS = ("/profile", ".mobileconfig")


async def download_profile(browser: Browser, invitation_url: str) -> bytes:
    """The signed profile. Raises InvitationRefused, which never quotes the URL: it is a secret; ServerUnreachable."""
    page = _found(await browser.get(invitation_url), "the page of the invitation")
    if page.media_type != "text/html":
        raise InvitationRefused(f"the invitation leads to {page.media_type or 'no known kind of content'}, not a page")
    profile = _found(await browser.get(_profile_url(page)), "the profile of the invitation")
    if profile.media_type != CONTENT_TYPE:
        raise InvitationRefused(f"a device does not take {profile.media_type or 'content without a type'} as a profile")
    return profile.body


def _found(page: Page, name: str) -> Page:
    match page.status:
        case 200:
            return page
        case 404 | 410:
            raise InvitationRefused(
                f"{name}: the server answered {page.status}: the invitation is not valid (unknown, expired, revoked, "
                "or used up)"
            )
        case status:
            raise InvitationRefused(f"{name}: the server answered {status}")


def _profile_url(page: Page) -> str:
    links = _Links()
    links.feed(page.body.decode("utf-8", errors="replace"))
    for link in links.found:
        url = urljoin(page.url, link)
        if urlsplit(url).path.endswith(_LINK_ENDINGS):
            return url
    raise InvitationRefused("the page of the invitation has no link to a profile")


class _Links(HTMLParser):
    """Collects where a page's links go."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser."""
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]
