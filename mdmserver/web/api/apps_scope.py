"""How callers say for whom an app or its configuration is: `all`, `tag:NAME`, `group:NAME` or `device:REF`."""

from collections.abc import Iterable
from typing import Annotated

import msgspec

from mdmserver.assignments.model import Scope, ScopeKind
from mdmserver.errors import Invalid
from mdmserver.web.services import Services

ScopeText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=512,
        description="`all`, `tag:NAME`, `group:NAME` or `device:REF`, an enrollment id or serial number.",
    ),
]


async def scope_named(text: str, services: Services) -> Scope:
    """The scope that is meant. Raises Invalid, NotFound or Conflict for a device that cannot be found by this name."""
    kind, colon, value = text.partition(":")
    if kind not in set(ScopeKind) or (kind == ScopeKind.ALL) == bool(colon):
        raise Invalid(f"{text!r} is no scope: say all, tag:NAME, group:NAME or device:REF", code="invalid_scope")
    return await services.assignments.scope_of(ScopeKind(kind), value)


async def scope_among(text: str, known: Iterable[Scope], services: Services) -> Scope:
    """The same, for what is taken back: a scope that is written so is found, also that of a device that is gone."""
    found = next((scope for scope in known if str(scope) == text), None)
    return found if found is not None else await scope_named(text, services)
