"""What a doctor finds, and how a terminal or a script is told: the same for each of our processes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

import typer

from edge_agent.service.terminal import FINE, PROBLEM

Level = Literal["ok", "warn", "FAIL"]

SHOWN = 3
"""So many of `those` are on a line for people; JSON has all."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a doctor's report. `those` are the things that `text` counts, the worst first."""

    level: Level
    what: str
    text: str
    hint: str = ""
    those: tuple[str, ...] = ()

    def told(self, shown: int) -> str:
        """The text, with so many of `those`."""
        if not self.those:
            return self.text
        more = len(self.those) - shown
        return f"{self.text}: {', '.join(self.those[:shown])}{f' and {more} more' if more > 0 else ''}"


async def tell_lines(findings: AsyncIterator[Finding]) -> int:
    """Print each as it comes, with its hint and a sum at the end; the exit status."""
    levels: Counter[Level] = Counter()
    async for finding in findings:
        levels[finding.level] += 1
        typer.echo(f"{finding.level:5} {finding.what:14} {finding.told(SHOWN)}")
        if finding.hint and finding.level != "ok":
            typer.echo(f"      Try: {finding.hint}")
    typer.echo(f"{levels['ok']} fine, {levels['warn']} to look at, {levels['FAIL']} failed")
    return PROBLEM if levels["FAIL"] else FINE


async def tell_json(findings: AsyncIterator[Finding]) -> int:
    """Print all as one JSON list once they are complete; the exit status."""
    found = [finding async for finding in findings]
    facts = [{"level": f.level, "what": f.what, "text": f.told(len(f.those)), "hint": f.hint} for f in found]
    typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))
    return PROBLEM if any(f.level == "FAIL" for f in found) else FINE
