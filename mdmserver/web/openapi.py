"""OpenAPI 3.1 of all surfaces, written from the route table: it cannot say anything else than the server does."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from mdmserver.access.model import Scope
from mdmserver.web.errors import Problem
from mdmserver.web.routes import AnyRoute, Call, Content, Nothing, Open, Route, Row, Surface
from mdmserver.web.version import VERSION

_JSON = "application/json"
_REF = "#/components/schemas/{name}"
_SECURITY_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key, mdm_…"},
    "keyAsPassword": {"type": "http", "scheme": "basic", "description": "The API key as the password"},
    "deviceCertificate": {
        "type": "mutualTLS",
        "description": "The device's identity certificate; also proved by Mdm-Signature, as the listener is configured",
    },
}


def openapi_route(rows: Sequence[Row]) -> AnyRoute:
    """The public route that shows the document of these rows and of itself."""

    async def show_openapi(call: Call[Nothing, Nothing]) -> Content:
        return Content(body=document, media_type=_JSON)

    route = Route(
        method="GET", path="/api/v1/openapi.json", scope=Open.PUBLIC, surface=Surface.API,
        summary="Show this document", handler=show_openapi,
        query=Nothing, body=Nothing, response=Content,
    )  # fmt: skip
    document = msgspec.json.encode(openapi_document([*rows, route]))
    return route


def openapi_document(rows: Sequence[Row]) -> dict[str, Any]:
    """The whole document."""
    kinds: list[Any] = [Problem]
    for row in rows:
        if isinstance(row, Route):
            kinds += _kinds_of(row)
    kinds = list(dict.fromkeys(kinds))
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    references = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        paths.setdefault(row.template, {})[row.method.lower()] = _operation(row, references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "mdmserver", "version": VERSION},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY_SCHEMES},
    }


def _kinds_of(route: AnyRoute) -> list[Any]:
    bodies = [kind for kind in route.media_types.values() if kind is not None]
    return [kind for kind in (route.body, route.response, *bodies) if kind not in (None, Nothing, Content)]


def _operation(row: Row, references: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": row.summary,
        "tags": [row.surface.value],
        "x-required-scope": row.scope.value if isinstance(row.scope, Scope) else row.scope.name.lower(),
        "security": _security(row),
        "parameters": [_path_parameter(name) for name in row.parameters],
        "responses": {"default": {"description": "A refusal; devices get no body with it"}},
    }
    if not isinstance(row, Route):
        operation["requestBody"] = _request_body({"application/x-apple-aspen-mdm": {}})
        operation["responses"]["200"] = {"description": "An answer, or nothing"}
        return operation
    operation["parameters"] += _query_parameters(row.query)
    if row.surface is Surface.API:
        content = {"application/problem+json": {"schema": references[Problem]}}
        operation["responses"]["default"] = {"description": "A refusal", "content": content}
    if row.body is not Nothing:
        operation["requestBody"] = _request_body(_request_content(row, references))
    operation["responses"][str(row.status)] = _success(row, references)
    return operation


def _security(row: Row) -> list[dict[str, list[str]]]:
    if row.scope is Open.PUBLIC:
        return []
    if row.scope is Open.DEVICE:
        return [{"deviceCertificate": []}]
    names = ["keyAsPassword"] if row.surface is Surface.NANOMDM else ["key", "keyAsPassword"]
    return [{name: []} for name in names]


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(kind: type[msgspec.Struct]) -> list[dict[str, Any]]:
    (_, components) = msgspec.json.schema_components([kind], ref_template=_REF)
    schema = components[kind.__name__]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _inlined(parameter, components)}
        for name, parameter in schema.get("properties", {}).items()
    ]


def _inlined(schema: Any, components: dict[str, Any]) -> Any:
    """The schema with what it refers to in its place: enums, of which queries have no more than one or two."""
    match schema:
        case {"$ref": str(reference)}:
            return components[reference.rpartition("/")[2]]
        case dict():
            return {name: _inlined(inner, components) for name, inner in schema.items()}
        case list():
            return [_inlined(inner, components) for inner in schema]
    return schema


def _request_body(content: dict[str, Any]) -> dict[str, Any]:
    return {"content": content, "required": True}


def _request_content(route: AnyRoute, references: dict[Any, Any]) -> dict[str, Any]:
    kinds = route.media_types if route.body is Content else {_JSON: route.body}
    return {media: {} if kind is None else {"schema": references[kind]} for media, kind in kinds.items()}


def _success(route: AnyRoute, references: dict[Any, Any]) -> dict[str, Any]:
    description = HTTPStatus(route.status).phrase
    if route.response is None:
        return {"description": description}
    schema = {} if route.response is Content else {"schema": references[route.response]}
    return {"description": description, "content": {route.response_media_type: schema}}
