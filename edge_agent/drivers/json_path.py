"""A path into a message that a device has published, and the members of a list that it leads to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.visitor import TreeInterpreter

# One for all: `search` of a compiled path makes an interpreter for each value, which costs more than a look.
_interpreter = TreeInterpreter()


class JsonPath:
    """One compiled JMESPath; `@` is the message itself."""

    __slots__ = ("_tree",)

    def __init__(self, path: str) -> None:
        self._tree = None if path == "@" else jmespath.compile(path).parsed

    def of(self, value: Any) -> Any:
        """The value there; None when there is none, or when the path cannot be followed in this message."""
        if self._tree is None:
            return value
        try:
            return _interpreter.visit(self._tree, value)
        except (JMESPathError, TypeError):
            return None


def json_path(path: str | None) -> JsonPath | None:
    """A configured path that may be left out."""
    return None if path is None else JsonPath(path)


def items(each: JsonPath | None, whole: Any) -> Iterator[tuple[str | None, Any]]:
    """The whole message, the members of a list, or those of an object with their keys."""
    found = whole if each is None else each.of(whole)
    if each is not None and isinstance(found, list):
        yield from ((None, item) for item in found)
    elif each is not None and isinstance(found, dict):
        yield from found.items()
    elif found is not None:
        yield None, found
