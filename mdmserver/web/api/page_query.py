"""The query parameters of every list that comes in pages."""

from typing import Annotated

import msgspec

from mdmserver.paging import MAXIMUM_PAGE
from mdmserver.web.routes import Incoming

Limit = Annotated[int, msgspec.Meta(ge=1, le=MAXIMUM_PAGE, description="How many at most.")]
Cursor = Annotated[str, msgspec.Meta(description="`next_cursor` of the page before.")]


class PageQuery(Incoming, frozen=True):
    """One page, and where it begins."""

    cursor: Cursor | None = None
    limit: Limit = 100
