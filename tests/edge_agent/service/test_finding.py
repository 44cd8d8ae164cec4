"""How findings are told: to people line by line, to scripts whole."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from edge_agent.service.finding import Finding, tell_json, tell_lines

FINE = Finding("ok", "disk", "9 MB free", hint="never shown")
MANY = Finding("warn", "stores", "5 of 9 offline", "call them", those=("s1", "s2", "s3", "s4", "s5"))
BAD = Finding("FAIL", "port", "taken", "free it")


async def these(*findings: Finding) -> AsyncIterator[Finding]:
    for finding in findings:
        yield finding


async def test_people_get_a_line_each_with_the_hint_of_what_is_not_ok(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await tell_lines(these(FINE, MANY, BAD)) == 1
    assert capsys.readouterr().out.splitlines() == [
        "ok    disk           9 MB free",
        "warn  stores         5 of 9 offline: s1, s2, s3 and 2 more",
        "      Try: call them",
        "FAIL  port           taken",
        "      Try: free it",
        "1 fine, 1 to look at, 1 failed",
    ]


async def test_scripts_get_everything_and_a_warning_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert await tell_json(these(FINE, MANY)) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"level": "ok", "what": "disk", "text": "9 MB free", "hint": "never shown"},
        {
            "level": "warn",
            "what": "stores",
            "text": "5 of 9 offline: s1, s2, s3, s4, s5",
            "hint": "call them",
        },
    ]
