"""A regular expression out of a configuration: it compiles, names known groups, is quick on every line."""

from __future__ import annotations

import re
import time
from collections.abc import Collection

LINE_LIMIT = 128
"""The longest text that such a pattern is tried on; who uses one cuts lines to this."""
TOO_SLOW_S = 0.02
"""A sane pattern takes microseconds; one with a repeat in a repeat never ends on some lines."""

_LONGEST = 256


def compiled_pattern(text: str, *, groups: Collection[str], needed: str) -> re.Pattern[str]:
    """The compiled pattern. ValueError, in words for the configuration's author, when it is of no use.

    `groups` are the names that it may use, `needed` is the one that it must have.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"pattern has {len(text)} characters; at most {_LONGEST}")
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"pattern is no regular expression: {error}") from error
    unknown = [name for name in pattern.groupindex if name not in groups]
    if unknown:
        raise ValueError(f"pattern has the group {unknown[0]!r}; known: {', '.join(sorted(groups))}")
    if needed not in pattern.groupindex:
        raise ValueError(f"pattern has no group (?P<{needed}>…)")
    slow = _slow_line(pattern, text)
    if slow is not None:
        raise ValueError(
            f"pattern takes too long on a line like {slow!r}; "
            "let no two repeats (* or +) match the same characters, above all not one within another"
        )
    return pattern


def _slow_line(pattern: re.Pattern[str], text: str) -> str | None:
    """A line on which the pattern is slow.

    Lines are tried from short to long, so that even the slowest pattern is found out soon: its time grows
    step by step, and the first line beyond the limit ends the search.
    """
    signs = sorted(set(text) & set(_plain(text)) | set(" 0a.+-"))
    beginnings = [*signs, *(a + b for a in signs for b in signs if a < b)]
    for length in range(8, LINE_LIMIT + 1, 4):
        for beginning in beginnings:
            line = (beginning * length)[: length - 1] + "\0"
            if _cpu_s(pattern, line) > TOO_SLOW_S:
                return line.replace("\0", "!")
    return None


def _plain(text: str) -> str:
    """The characters that stand for themselves in a pattern."""
    return re.sub(r"\\.|[\[\](){}|?*+.^$\\]", "", text)


def _cpu_s(pattern: re.Pattern[str], line: str) -> float:
    began = time.thread_time()
    pattern.search(line)
    return time.thread_time() - began
