"""What may stand in a part of a scenario file, read off its model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the table."""

    name: str
    allowed: str
    default: str
    means: str


def settings_of(model: type[BaseModel]) -> Iterator[Setting]:
    """Every setting of a part, in the order of its model."""
    schema = model.model_json_schema()
    needed = set(schema.get("required", ()))
    for name, about in schema["properties"].items():
        if "const" in about:
            continue
        default = "required" if name in needed else _text(about.get("default"))
        means = " ".join(str(about.get("description", "")).split())
        yield Setting(name, _allowed(about, schema.get("$defs", {})), default, means)


def _allowed(about: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    if "$ref" in about:
        return _allowed(defs[about["$ref"].rpartition("/")[2]], defs)
    if choices := about.get("anyOf"):
        return " or ".join(_allowed(one, defs) for one in choices if one.get("type") != "null")
    if values := about.get("enum"):
        return ", ".join(map(str, values))
    if "prefixItems" in about:
        return "[lowest, highest]"
    kind = str(about.get("type", "anything"))
    if kind == "array":
        return f"list of {_allowed(about.get('items', {}), defs)}"
    if "minimum" in about and "maximum" in about:
        return f"{about['minimum']:g} to {about['maximum']:g}"
    limits = [f"{sign} {about[key]:g}" for key, sign in _LIMITS.items() if key in about]
    return " ".join([_WORDS.get(kind, kind), *limits])


_LIMITS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
_WORDS = {"string": "text", "object": "mapping", "boolean": "true or false"}


def _text(default: Any) -> str:
    if default is None or default == "":
        return "none"
    return str(default).replace("(", "[").replace(")", "]")
