"""YAML plus environment into a pydantic model; each problem as `file:line:col key: what, what is allowed`."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from edge_agent.contract.errors import ConfigError

Place = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)
_ABSENT: Final = ("missing", "union_tag_not_found")
# libyaml's where PyYAML has it: a file of two thousand devices in a fraction of the time and of the memory.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Settings(BaseModel):
    """Base of every settings model: unknown keys are errors, defaults are resolved like given values."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base")
    return path if path.is_absolute() or base is None else Path(base) / path


FilePath = Annotated[Path, AfterValidator(_beside_the_file)]
"""A path; a relative one is relative to the configuration file."""


def load(
    path: Path,
    model: type[M],
    *,
    env_prefix: str,
    environ: Mapping[str, str] | None = None,
    context: Mapping[str, Any] | None = None,
) -> M:
    """Read `path` into `model`. `PREFIX__A__B=value` in the environment wins over `a: {b: …}` in the file.

    `context` is what the model's validators may know beside the file. Raises ConfigError with one problem a
    line; nothing is ever read from the devices.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}", hint="give the file with -c FILE"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: is not UTF-8 text: {error.reason}", hint="save the file as UTF-8"
        ) from error
    values = _parse(path, text)
    if not isinstance(values, dict):
        raise ConfigError(f"{path}:1:1: must be a mapping of settings, found {type(values).__name__}")
    overridden = _apply_environment(values, env_prefix, os.environ if environ is None else environ)
    try:
        return model.model_validate(values, context={"base": path.resolve().parent, **(context or {})})
    except ValidationError as error:
        root = yaml.compose(text, Loader=_Loader)
        problems = tuple(_problem(path, root, item, model, overridden) for item in _flat(error))
        raise ConfigError(f"{len(problems)} problem(s) in {path}", problems=problems) from error


def invalid(problems: Sequence[tuple[Place, str]]) -> ValidationError:
    """Cross-field problems as one error, so that they too are reported at their lines."""
    lines = [
        InitErrorDetails(type=PydanticCustomError("config", "{text}", {"text": text}), loc=place, input=None)
        for place, text in problems
    ]
    return ValidationError.from_exception_data("settings", lines)


def read_secret(path: Path | None) -> str | None:
    """The text of a secret file without its last newline; ConfigError when it cannot be read or is empty."""
    if path is None:
        return None
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        hint = "write the secret into that file, readable by this user only (chmod 600)"
        raise ConfigError(f"{path}: secret cannot be read: {error.strerror}", hint=hint) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: secret is not UTF-8 text", hint="save the file as UTF-8") from error
    if not secret:
        raise ConfigError(f"{path}: secret file is empty", hint="write the token or password into it")
    if not secret.isprintable():
        raise ConfigError(f"{path}: secret is not one line of text", hint="leave only the token or password")
    return secret


def is_loopback(host: str) -> bool:
    """Whether traffic to `host` stays on this machine."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _parse(path: Path, text: str) -> Any:
    """The values; an empty file has no settings. The nodes are let go: they are many times as large."""
    try:
        loader = _Loader(text)
        root: yaml.Node | None = loader.get_single_node()
        values: Any = loader.construct_document(root) if root is not None else {}
        loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        raise ConfigError(f"{path}:{where}: not valid YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date like 2026-13-45, [[[[…
        raise ConfigError(f"{path}:1:1: not valid YAML: {error}") from error
    duplicate = _duplicate_key(root, set())
    if duplicate is not None:
        mark = duplicate.start_mark
        raise ConfigError(
            f"{path}:{mark.line + 1}:{mark.column + 1} {duplicate.value}: written twice, keep one"
        )
    return values


def _duplicate_key(node: yaml.Node | None, visited: set[int]) -> yaml.ScalarNode | None:
    """The first key that its mapping has already; an alias may lead back to a node that was `visited`."""
    children: Sequence[yaml.Node] = ()
    if id(node) in visited:
        return None
    visited.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    return key
                seen.add(key.value)
        children = [value for _, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    return next((found for c in children if (found := _duplicate_key(c, visited)) is not None), None)


def _apply_environment(values: dict[str, Any], prefix: str, environ: Mapping[str, str]) -> dict[Place, str]:
    """Write environment settings into `values` in place; returns which place came from which variable."""
    overridden: dict[Place, str] = {}
    for name, raw in sorted(environ.items()):
        if not name.startswith(prefix + "__"):
            continue
        keys = [part.lower() for part in name[len(prefix) + 2 :].split("__")]
        target: Any = values
        place: list[str | int] = []
        for depth, key in enumerate(keys):
            step: str | int = int(key) if isinstance(target, list) and key.isdigit() else key
            place.append(step)
            if depth == len(keys) - 1:
                _assign(target, step, _environment_value(raw), name)
            else:
                target = _descend(target, step, name)
        overridden[tuple(place)] = name
    return overridden


def _environment_value(raw: str) -> Any:
    """Lists and mappings as YAML; a scalar stays text, so that an id like 0042 is not read as a number."""
    try:
        value = yaml.safe_load(raw)
    except (yaml.YAMLError, ValueError, RecursionError):
        return raw
    return value if value is None or isinstance(value, (dict, list)) else raw


def _descend(target: Any, step: str | int, name: str) -> Any:
    if isinstance(target, dict):
        if not isinstance(target.get(step), (dict, list)):
            target[step] = {}
        return target[step]
    if isinstance(target, list) and isinstance(step, int) and step < len(target):
        return target[step]
    raise ConfigError(
        f"environment {name}: there is no {step!r} to set", hint="see `schema` for the settings"
    )


def _assign(target: Any, step: str | int, value: Any, name: str) -> None:
    if isinstance(target, dict):
        target[step] = value
        return
    if isinstance(target, list) and isinstance(step, int) and step < len(target):
        target[step] = value
        return
    raise ConfigError(
        f"environment {name}: there is no {step!r} to set", hint="see `schema` for the settings"
    )


def _flat(error: ValidationError) -> list[ErrorDetails]:
    """The error's items, with those of `invalid` raised inside a validator put in its place."""
    items: list[ErrorDetails] = []
    for item in error.errors(include_url=False):
        cause = item.get("ctx", {}).get("error")
        items += _flat(cause) if isinstance(cause, ValidationError) else [item]
    return items


def _problem(
    path: Path,
    root: yaml.Node | None,
    item: ErrorDetails,
    model: type[BaseModel],
    overridden: dict[Place, str],
) -> str:
    loc: Place = item["loc"]
    if item["type"].startswith("union_tag"):
        loc = (*loc, str(item["ctx"]["discriminator"]).strip("'"))
    place, key_node, node = _locate(root, loc, may_lack_last=item["type"] in _ABSENT)
    node = key_node if item["type"] == "extra_forbidden" else node
    name = ".".join(str(part) for part in place) or "(file)"
    text = _sentence(item, model)
    variable = overridden.get(place)
    if variable is not None:
        return f"environment {variable} {name}: {text}"
    mark = node.start_mark if node is not None else None
    where = f"{mark.line + 1}:{mark.column + 1}" if mark is not None else "1:1"
    return f"{path}:{where} {name}: {text}"


def _locate(
    root: yaml.Node | None, loc: Place, *, may_lack_last: bool
) -> tuple[Place, yaml.Node | None, yaml.Node | None]:
    """The place, key and value at a pydantic `loc`, skipping union tags, which the file lacks."""
    key, node, place, last = root, root, [], len(loc) - 1
    for index, part in enumerate(loc):
        child, child_key = _child(node, part)
        if child is not None:
            place.append(part)
            key, node = child_key or child, child
        elif index == last and may_lack_last:
            place.append(part)
    return tuple(place), key, node


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == str(part):
                return value, key
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], None
    return None, None


def _sentence(item: ErrorDetails, model: type[BaseModel]) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind == "missing":
        return "is required and missing"
    if kind == "extra_forbidden":
        known = _known_keys(model, item["loc"][:-1])
        return f"is not a setting here{_suggest(str(item['loc'][-1]), known)}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        allowed = [tag.strip(" '") for tag in str(context.get("expected_tags", "")).split(",") if tag.strip()]
        found = context.get("tag")
        if found is None:
            return f"is required and missing; one of: {', '.join(allowed)}"
        choice = f"one of: {', '.join(allowed)}"
        return f"found {found!r}, which is not known; {choice}{_did_you_mean(str(found), allowed)}"
    if kind == "literal_error":
        found = item["input"]
        expected = str(context.get("expected"))
        near = _did_you_mean(str(found), re.findall(r"'([^']+)'", expected))
        return f"found {found!r}, allowed: {expected}{near}"
    message = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = message[:1].lower() + message[1:] if kind not in ("value_error", "config") else message
    if kind in ("value_error", "config") or isinstance(item["input"], (dict, list)):
        return message
    return f"found {item['input']!r}; {message}"


def _suggest(found: str, known: Sequence[str]) -> str:
    return _did_you_mean(found, known) or (f"; known: {', '.join(known)}" if known else "")


def _did_you_mean(found: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(found, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _known_keys(model: type[BaseModel], loc: Place) -> list[str]:
    """The keys that are allowed at `loc` of `model`."""
    current: list[Any] = [model]
    for part in loc:
        following: list[Any] = []
        for candidate in current:
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                field = candidate.model_fields.get(str(part))
                if field is not None:
                    following += _models_in(field.annotation)
                elif getattr(candidate.model_fields.get("driver"), "default", None) == part:
                    following.append(candidate)
        current = following or current
    return sorted({name for c in current if issubclass(c, BaseModel) for name in c.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models_in(argument)]
