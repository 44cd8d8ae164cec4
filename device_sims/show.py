"""A score, and what there is to simulate, on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from device_sims.score import Score
from device_sims.settings_table import Setting

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


def print_settings(console: Console, settings: Sequence[Setting]) -> None:
    """What may stand in one part of a scenario file."""
    table = Table("setting", "allowed", "default", "", box=None, pad_edge=False)
    for one in settings:
        table.add_row(one.name, one.allowed, one.default, one.means)
    console.print(table, markup=False)


def print_catalogue(console: Console, catalogue: Mapping[str, Any]) -> None:
    """Kinds of devices, scenarios, faults."""
    console.print("[bold]devices[/]     device-sims serve KIND, or in a scenario's devices")
    for kind, means in catalogue["devices"].items():
        console.print(f"  {kind:16} {means}", soft_wrap=True)
    console.print("[bold]scenarios[/]   device-sims run NAME")
    console.print(f"  {', '.join(catalogue['scenarios'])}", soft_wrap=True)
    console.print("[bold]faults[/]      device-sims fault NAME DEVICE, or in a scenario's faults")
    for name, fault in catalogue["faults"].items():
        by = f"; by: {fault['by']} ({fault['by_default']:g})" if fault["by"] else ""
        console.print(f"  {name:16} {fault['means']}{by}", soft_wrap=True)
