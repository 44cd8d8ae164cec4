"""`edge-agent outbox`: what waits for HQ, a copy of it, and telling HQ the present again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from edge_agent import outbox
from edge_agent.config.store import ENV_PREFIX, StoreSettings
from edge_agent.journal.outbox import Which
from edge_agent.service import log, loop
from edge_agent.service.settings import load

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The rows that wait for HQ: shown, copied, told again."
)
ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The store's configuration.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Facts as JSON on stdout.")]
AllOption = Annotated[bool, typer.Option("--all", help="Also rows that are kept though HQ has them.")]


@app.command("list", epilog="Example: edge-agent outbox list -c store.yaml --limit 20")
def list_rows(
    config: ConfigOption = Path("store.yaml"),
    limit: Annotated[int, typer.Option(min=0, help="The most rows that are shown, the oldest first.")] = 100,
    every: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the rows that HQ has not applied yet. Only reads, beside a running agent too."""
    found = outbox.listing(_load(config), _which(every=every), limit=limit)
    if as_json:
        _print_json(found)
    else:
        _print_listing(found)


@app.command(epilog="Example: edge-agent outbox export waiting.jsonl -c store.yaml")
def export(
    file: Annotated[str, typer.Argument(help="A new file, or - for stdout.")],
    config: ConfigOption = Path("store.yaml"),
    every: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the rows as JSON Lines, each exactly as it is sent to HQ; with - the facts go to stderr."""
    told = outbox.export(_load(config), _which(every=every), to=file)
    aside = file == outbox.STDOUT
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False, indent=2), err=aside)
        return
    span = f", {told['first_seq']} to {told['last_seq']}" if told["count"] else ""
    for line in (
        f"{told['count']} rows{span}; base: row {told['base_seq']}, chain {told['base_chain']}",
        f"chain before the first {told['prev_chain']}, behind the last {told['last_chain']}",
    ):
        typer.echo(line, err=aside)


@app.command(epilog="Example: edge-agent outbox resync -c store.yaml")
def resync(config: ConfigOption = Path("store.yaml"), as_json: JsonOption = False) -> None:
    """Have HQ told the whole present again, where it shows something else than the store. A running agent is
    asked, and needs agent.http.token_file for it; a stopped one does it at its next start.
    """
    log.setup(level="ERROR")
    told = loop.run(outbox.resync(_load(config)))
    if as_json:
        _print_json(told)
    elif told["at_next_start"]:
        typer.echo("the next start of the agent tells HQ the present again")
    elif told["duplicate"]:
        typer.echo(f"under way already: {told['rows']} rows were told, and HQ does not have them yet")
    else:
        typer.echo(f"the present is told again: {told['rows']} rows")


def _load(config: Path) -> StoreSettings:
    return load(config, StoreSettings, env_prefix=ENV_PREFIX)


def _which(*, every: bool) -> Which:
    return "kept" if every else "waiting"


def _print_listing(found: dict[str, Any]) -> None:
    table = Table(Column("seq", justify="right"), "kind", "occurred at", "age", "bytes", "HQ", box=None)
    for row in found["rows"]:
        is_at_hq = "waits" if row["waits"] else "has it"
        age = _duration(row["age_s"])
        table.add_row(str(row["seq"]), row["kind"], row["occurred_at"], age, str(row["bytes"]), is_at_hq)
    if found["rows"]:
        Console(highlight=False, markup=False, soft_wrap=True).print(table)
    if found["count"] > len(found["rows"]):
        typer.echo(f"… and {found['count'] - len(found['rows'])} more, see --limit")
    oldest = f", the oldest {_duration(found['oldest_age_s'])} old" if found["count"] else ""
    position = f"applied {found['applied']}, safe {found['safe']}, base {found['base_seq']}"
    typer.echo(
        f"{found['count']} rows, {found['bytes']} bytes{oldest}; newest {found['last_seq']}, {position}"
    )


def _duration(seconds: float) -> str:
    minutes, s = divmod(max(0, round(seconds)), 60)  # the clock may have been ahead of now
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {s} s" if minutes else f"{s} s"


def _print_json(answer: Any) -> None:
    typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
