"""`edge-agent planogram`: which planogram is in use, and the way back to the file's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from edge_agent.config.published import Published, with_published
from edge_agent.config.store import ENV_PREFIX, StoreSettings
from edge_agent.contract.errors import DoesNotFit, JournalLocked
from edge_agent.journal.published import PUBLISHED, from_text, read_published
from edge_agent.service import log, loop
from edge_agent.service.settings import load

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Which planogram is in use, and back to the file's."
)
ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The store's configuration.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Facts as JSON on stdout.")]


@app.command(epilog="Example: edge-agent planogram show -c store.yaml")
def show(config: ConfigOption = Path("store.yaml"), as_json: JsonOption = False) -> None:
    """Show the planogram in use: the file's, or the one of HQ's that the agent has applied."""
    written = load(config, StoreSettings, env_prefix=ENV_PREFIX)
    published = read_published(written.agent.data_dir)
    plan = with_published(written, published).planogram
    if as_json:
        _print_json({"revision": published.revision, **plan.model_dump(mode="json")})
        return
    typer.echo(f"{published.source}: {len(plan.facings)} facings, {len(plan.products)} products")
    table = Table("facing", "gtin", "item", "capacity", "reorder at", "shelf", box=None)
    for f in plan.facings:
        name = plan.product(f.gtin).name
        table.add_row(f.id, f.gtin, name, str(f.capacity), str(f.reorder_point), f.shelf or "")
    Console(highlight=False, markup=False).print(table)


@app.command(epilog="Example: edge-agent planogram reset -c store.yaml")
def reset(config: ConfigOption = Path("store.yaml"), as_json: JsonOption = False) -> None:
    """Go back to the file's planogram. A running agent is asked, and needs agent.http.token_file for it."""
    log.setup(level="ERROR")
    written = load(config, StoreSettings, env_prefix=ENV_PREFIX)
    answer = loop.run(_reset(written))
    if as_json:
        _print_json(answer)
    elif answer["reset_of"]:
        typer.echo(f"HQ's planogram, revision {answer['reset_of']}, is put aside: the file's is in use")
    else:
        typer.echo("nothing to do: the file's planogram is in use already")


async def _reset(written: StoreSettings) -> dict[str, Any]:
    """Under the lock of the journal; where an agent has that, by asking the agent."""
    from edge_agent.live.asking import ask_reset

    if not (written.agent.data_dir / "journal.db").exists():
        return {"revision": 0, "reset_of": 0}
    try:
        return _reset_stopped(written)
    except JournalLocked:
        return await ask_reset(written.agent.http)


def _reset_stopped(written: StoreSettings) -> dict[str, Any]:
    from edge_agent.contract.errors import ConfigError
    from edge_agent.journal import Capture, Journal
    from edge_agent.journal.writer import outcome
    from edge_agent.pipeline import read_clocks
    from edge_agent.takeover import Takeover

    journal = Journal(written.agent.data_dir)
    try:
        published: Published = from_text(journal.recall(PUBLISHED))
        capture = Capture()
        if not Takeover(written, published).reset(read_clocks(), capture):
            return {"revision": 0, "reset_of": 0}
        outcome(journal.submit(capture))
    except DoesNotFit as error:
        raise ConfigError(error.message, hint=error.hint) from error
    finally:
        journal.close()
    return {"revision": 0, "reset_of": published.revision}


def _print_json(answer: Any) -> None:
    typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
