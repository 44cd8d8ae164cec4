"""The OpenAPI 3.1 document, made from the table of routes and the types that they name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

import cloud_bridge
from cloud_bridge.replies import Health, Me
from cloud_bridge.route import NO_CONTENT, Route
from edge_agent.contract.messages import FEED_KINDS

_REF: Final = "#/components/schemas/{model}"
_TEXT: Final = {"type": "string"}
_PROBLEM: Final = {
    "type": "object",
    "description": "RFC 9457 problem; `code` is stable, `hint` says what to do next.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "code": _TEXT,
        "hint": _TEXT,
        "alternatives": {
            "type": "array",
            "description": "Of E-NOT-AVAILABLE: stores where all that was wanted can be had.",
            "items": {
                "type": "object",
                "required": ["store", "available"],
                "properties": {"store": _TEXT, "available": {"type": "integer"}},
            },
        },
    },
}
_REFUSALS: Final = {
    "400": "A parameter or the body does not fit",
    "401": "No valid credential",
    "403": "The role is not enough",
    "404": "No such store, facing or reservation",
    "503": "Try again after Retry-After seconds",
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Every public call: `routes`, health, and who is calling."""
    answers = [route.answer for route in routes if route.answer is not None]
    bodies = [route.body for route in routes if route.body is not None]
    refs, schemas = _schemas([*answers, Health, Me], bodies)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, refs)
    public: dict[str, Any] = {"security": []}
    paths["/v1/me"] = {"get": _plain("Who is calling", _json(refs[Me]))}
    paths["/v1/logout"] = {
        "post": {"summary": "End this login", "responses": {"204": {"description": "Done"}}}
    }
    paths["/healthz"] = {"get": _plain("Is the process alive", _json(refs[Health])) | public}
    paths["/readyz"] = {"get": _plain("Do reads and commits work", _json(refs[Health])) | public}
    paths["/metrics"] = {"get": _plain("Prometheus metrics", {"text/plain": {"schema": _TEXT}})}
    paths["/openapi.json"] = {"get": _plain("This document", {"application/json": {"schema": {}}})}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Shelf Edge HQ", "version": "1", "description": cloud_bridge.__doc__},
        "security": [{"bearer": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "bridge_session"},
            },
            "schemas": {**schemas, "Problem": _PROBLEM},
        },
    }


def _operation(route: Route, refs: dict[type, Any]) -> dict[str, Any]:
    content = _content(route, refs)
    refusals = _REFUSALS | {str(status): text for status, text in route.refusals.items()}
    if route.body is not None:
        refusals |= {"413": "The body is too large"}
    problem = {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}}
    return {
        "summary": route.summary,
        "description": f"{(route.handler.__doc__ or '').strip()} Needs the role {route.role}.",
        "operationId": route.handler.__name__,
        "parameters": _path_parameters(route.path)
        + _query_parameters(route.query)
        + _header_parameters(route),
        "responses": {str(route.status): {"description": route.summary, "content": content}}
        | {status: {"description": text, "content": problem} for status, text in refusals.items()},
    } | _request_body(route, refs)


def _content(route: Route, refs: dict[type, Any]) -> dict[str, Any]:
    if route.status == NO_CONTENT:
        return {}
    if route.answer is None:
        return {"text/event-stream": {"schema": _TEXT}}
    return _json(refs[route.answer]) | ({} if route.item is None else {"text/csv": {"schema": _TEXT}})


def _request_body(route: Route, refs: dict[type, Any]) -> dict[str, Any]:
    return (
        {} if route.body is None else {"requestBody": {"required": True, "content": _json(refs[route.body])}}
    )


def _plain(summary: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": summary, "content": content}}}


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _TEXT}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema(by_alias=True)
    parameters = []
    for name, shape in schema.get("properties", {}).items():
        if name == "type":
            shape = {"type": "string", "enum": sorted(FEED_KINDS)}  # noqa: PLW2901 - the schema of an event type
        is_required = name in schema.get("required", [])
        parameters.append({"name": name, "in": "query", "required": is_required, "schema": shape})
    return parameters


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    if route.header is not None:
        return [{"name": route.header, "in": "header", "required": True, "schema": _TEXT}]
    if route.answer is not None or route.status == NO_CONTENT:
        return []
    return [{"name": "Last-Event-ID", "in": "header", "required": False, "schema": _TEXT}]


def _schemas(answers: Sequence[type], bodies: Sequence[type]) -> tuple[dict[type, Any], dict[str, Any]]:
    """A reference for each type, and the schemas behind the references."""
    adapters: list[tuple[type, JsonSchemaMode, TypeAdapter[Any]]] = [
        (kind, "serialization", TypeAdapter(kind)) for kind in dict.fromkeys(answers)
    ]
    adapters += [(kind, "validation", TypeAdapter(kind)) for kind in dict.fromkeys(bodies)]
    found, definitions = TypeAdapter.json_schemas(adapters, ref_template=_REF)
    return {kind: found[kind, mode] for kind, mode, _ in adapters}, definitions["$defs"]
