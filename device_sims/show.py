"""A score on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from device_sims.score import Score

_STYLE = {"pass": "green", "fail": "bold red", "not scored": "yellow", None: "dim"}


def print_score(console: Console, score: Score) -> None:
    """The table, then PASS or FAIL on a line of its own."""
    table = Table("", "truth", "seen", "score", "", box=None, pad_edge=False)
    for check in score.checks:
        verdict = check.verdict or ""
        style = _STYLE[check.verdict]
        table.add_row(
            check.name, check.truth, check.seen, check.result, f"[{style}]{verdict}[/]" if verdict else ""
        )
    console.print(table)
    console.print("[bold green]PASS[/]" if score.passed else "[bold red]FAIL[/]")
