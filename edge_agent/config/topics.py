"""Topic templates: MQTT filters with named levels, such as `homie/{id}/scales/{channel}/mass`."""

from __future__ import annotations

import re
from dataclasses import dataclass

PLACEHOLDERS = ("id", "channel", "antenna")
"""`{id}` stands for the device's own id, the others for what the topic tells."""

_BRACED = re.compile(r"\{([^{}/]*)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A template of one device: the filter to subscribe, and what a concrete topic tells."""

    filter: str
    names: frozenset[str]
    _pattern: re.Pattern[str]

    def match(self, topic: str) -> dict[str, str] | None:
        """The named parts of a topic; None for one that is not meant. Never raises."""
        found = self._pattern.fullmatch(topic)
        return None if found is None else found.groupdict()


def template_problem(template: str) -> str | None:
    """What is wrong with a template, in a sentence; None for a good one."""
    levels = template.split("/")
    if not template or "\0" in template:
        return "must be a topic"
    if "#" in "".join(levels[:-1]) or any(len(level) > 1 and set(level) & set("+#") for level in levels):
        return f"found {template!r}; + stands for a whole level and # for all the last ones"
    names = _BRACED.findall(template)
    for name in names:
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
            return f"found {{{name}}}; known are {known}, and + stands for any level"
    if set(_BRACED.sub("", template)) & set("{}"):
        return f"found {template!r}; a brace is left over"
    if any(names.count(name) > 1 for name in ("channel", "antenna")):
        return f"found {template!r}; a channel or antenna can stand in one place only"
    return None


def compile_template(template: str, device: str) -> Template:
    """The template for one device; ValueError when `template_problem` finds one."""
    problem = template_problem(template)
    if problem is not None:
        raise ValueError(problem)
    text = template.replace("{id}", device)
    levels = text.split("/")
    filtered = "/".join("+" if _BRACED.search(level) else level for level in levels)
    parts = [_level_pattern(level) for level in levels if level != "#"]
    pattern = "/".join(parts)
    if levels[-1] == "#":
        pattern = f"{pattern}(?:/.*)?" if parts else ".*"  # a/# also means a itself (MQTT 5, 4.7.1.2)
    return Template(filtered, frozenset(_BRACED.findall(text)), re.compile(pattern, re.DOTALL))


def _level_pattern(level: str) -> str:
    if level == "+":
        return "[^/]*"
    pieces = _BRACED.split(level)  # text, name, text, name, …
    return "".join(
        f"(?P<{piece}>[^/]+)" if index % 2 else re.escape(piece) for index, piece in enumerate(pieces)
    )
