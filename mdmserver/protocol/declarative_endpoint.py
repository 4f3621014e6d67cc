"""What a device asks of declarative management: a closed grammar, so that no device text becomes part of a URL."""

import re
from dataclasses import dataclass
from enum import StrEnum

from mdmserver.protocol.errors import MessageMalformed

# Apple names 64 octets as the longest identifier; servers that exceed it are tolerated.
_IDENTIFIER = re.compile(r"[^\x00-\x20\x7f-\x9f/\\?#%\ud800-\udfff]{1,255}")


class DeclarativeResource(StrEnum):
    """The first segment of an endpoint."""

    TOKENS = "tokens"
    DECLARATION_ITEMS = "declaration-items"
    STATUS = "status"
    DECLARATION = "declaration"


class DeclarationKind(StrEnum):
    """The second segment, for a declaration."""

    ACTIVATION = "activation"
    ASSET = "asset"
    CONFIGURATION = "configuration"
    MANAGEMENT = "management"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclarativeEndpoint:
    """One endpoint; `kind` and `identifier` are None for everything but a declaration. `str()` is the wire form."""

    resource: DeclarativeResource
    kind: DeclarationKind | None = None
    identifier: str | None = None

    def __str__(self) -> str:
        if self.kind is None:
            return self.resource
        return f"{self.resource}/{self.kind}/{self.identifier}"


def parse_declarative_endpoint(text: str) -> DeclarativeEndpoint:
    """The endpoint that a device named; MessageMalformed for everything outside of the grammar."""
    resource, *rest = text.split("/")
    try:
        if not rest and resource != DeclarativeResource.DECLARATION:
            return DeclarativeEndpoint(resource=DeclarativeResource(resource))
        kind, identifier = rest
        if resource == DeclarativeResource.DECLARATION and _is_identifier(identifier):
            return DeclarativeEndpoint(
                resource=DeclarativeResource.DECLARATION, kind=DeclarationKind(kind), identifier=identifier
            )
    except ValueError as error:
        raise MessageMalformed("an unknown endpoint of declarative management") from error
    raise MessageMalformed("an unknown endpoint of declarative management")


def _is_identifier(text: str) -> bool:
    return bool(_IDENTIFIER.fullmatch(text)) and text not in (".", "..")
