"""The command `cloud-bridge`; no logic lives here."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cloud_bridge.config import BridgeSettings, read_settings
from cloud_bridge.names import Role, is_name
from edge_agent.service import log, terminal
from edge_agent.service.finding import tell_json, tell_lines


def _name(text: str) -> str:
    if not is_name(text):
        raise typer.BadParameter(
            f"{text!r} is not a name: up to 64 letters, digits, dots, underscores, hyphens"
        )
    return text


def _group(name: str, help_text: str) -> typer.Typer:
    group = typer.Typer(
        help=help_text, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
    )
    app.add_typer(group, name=name)
    return group


app = typer.Typer(
    name="cloud-bridge", no_args_is_help=True, add_completion=True,
    rich_markup_mode=None, pretty_exceptions_enable=False,
    help="HQ: takes in what stores tell, shows every shelf, serves the API and the pages.",
)  # fmt: skip
stores = _group("store", "Stores and their tokens.")
tokens = _group("token", "API tokens of systems.")
users = _group("user", "People who may log in to the pages.")

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="HQ's configuration.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Facts as JSON on stdout.")]
NameArgument = Annotated[str, typer.Argument(callback=_name)]
RoleOption = Annotated[Role, typer.Option("--role", help="What it may do.")]
BRIDGE_YAML = Path("bridge.yaml")


@app.command(epilog="Example: cloud-bridge run -c bridge.yaml")
def run(config: ConfigOption = BRIDGE_YAML, verbose: bool = typer.Option(False, "--verbose", "-v")) -> None:
    """Run HQ in the foreground; SIGTERM or Ctrl-C stops it within 10 s."""
    from cloud_bridge.app import serve

    log.setup(level="DEBUG" if verbose else "INFO")
    asyncio.run(serve(read_settings(config)))


@app.command(epilog="Example: cloud-bridge check -c bridge.yaml")
def check(config: ConfigOption = BRIDGE_YAML, as_json: JsonOption = False) -> None:
    """Check the configuration only; touches nothing else."""
    settings = read_settings(config)
    facts = {
        "config": str(config),
        "url": settings.http.url(settings.http.port),
        "data_dir": str(settings.data_dir),
        "database": settings.database,
        "safe": settings.safe,
    }
    if as_json:
        _print_json(facts)
    else:
        typer.echo(f"{config}: ok, {facts['url']}, data in {facts['data_dir']}")


@app.command(epilog="Example: cloud-bridge doctor -c bridge.yaml")
def doctor(config: ConfigOption = BRIDGE_YAML, as_json: JsonOption = False) -> None:
    """Also look at data, database, port, certificate, backups and stores; one line each, with a hint.

    Only reads, beside a running bridge or without one.
    """
    from cloud_bridge.doctor import examine

    tell = tell_json if as_json else tell_lines
    raise typer.Exit(asyncio.run(tell(examine(read_settings(config)))))


@app.command(epilog="Example: cloud-bridge audit store-0042 -c bridge.yaml")
def audit(
    store: Annotated[str | None, typer.Argument(help="One store; all without it.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every store, as without a name.")] = False,
    config: ConfigOption = BRIDGE_YAML,
    as_json: JsonOption = False,
) -> None:
    """Recompute state and feed from the ledger and compare; 1 when a store fails. Only reads.

    Also says what a store has left on another line of history, and which rows were set aside and why.
    """
    from cloud_bridge.databases import audit as audit_data
    from cloud_bridge.findings import audit_lines

    if every and store is not None:
        raise typer.BadParameter("give a store or --all, not both")
    results = audit_data(read_settings(config), store)
    if as_json:
        _print_json({"items": [asdict(result) | {"ok": result.is_sound} for result in results]})
    else:
        typer.echo("\n".join(line for result in results for line in audit_lines(result)) or "no stores yet")
    raise typer.Exit(terminal.FINE if all(result.is_sound for result in results) else terminal.PROBLEM)


@app.command(epilog="Example: cloud-bridge backup /backup/hq -c bridge.yaml")
def backup(
    dest: Annotated[Path, typer.Argument(help="A new file, or a folder where a dated one is made.")],
    with_audit: Annotated[bool, typer.Option("--audit", help="Audit every store in the copy.")] = False,
    config: ConfigOption = BRIDGE_YAML,
    as_json: JsonOption = False,
) -> None:
    """Copy the database, beside a running bridge too, and read the copy back; overwrites nothing.

    With `safe: backup` stores may then forget what the copy holds: keep it on another disk.
    """
    from cloud_bridge.app import backup as make
    from cloud_bridge.store.sqlite.backup import verify, verify_and_audit

    check = verify_and_audit if with_audit else verify
    answer = asyncio.run(make(read_settings(config), dest, check))
    _tell(answer | {"audited": with_audit}, "path", as_json=as_json)


@app.command(epilog="Example: cloud-bridge restore /backup/hq/bridge-20261122T100000Z.sqlite3 -c bridge.yaml")
def restore(
    src: Annotated[Path, typer.Argument(help="A file of `cloud-bridge backup`.")],
    config: ConfigOption = BRIDGE_YAML,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in the place of the database, which is kept beside it. Stop the bridge first.

    Stores, people and tokens are those of the backup: what was added since is gone, what was revoked since
    works again. Agents send again what the backup lacks. Readers of the feed keep their cursor up to the
    backup; a later one is refused (E-CURSOR-EXPIRED).
    """
    from cloud_bridge.app import restore as put_back

    answer = put_back(read_settings(config), src)
    if as_json:
        _print_json(answer)
    else:
        typer.echo(f"{answer['database']}: {answer['stores']} stores, {answer['rows']} rows")
        typer.echo(f"before: {answer['kept']}" if answer["kept"] else "there was no database before")


@app.command(epilog="Example: cloud-bridge schema > bridge.schema.json")
def schema() -> None:
    """Print the JSON Schema of the configuration, for completion in an editor."""
    _print_json(BridgeSettings.model_json_schema(by_alias=True))


@stores.command("add", epilog="Example: cloud-bridge store add store-0042 -c bridge.yaml")
def store_add(name: NameArgument, config: ConfigOption = BRIDGE_YAML, as_json: JsonOption = False) -> None:
    """Add a store and print its token, this once."""
    _tell(_ask(config, "store add", name=name), "token", as_json=as_json)


@stores.command("list", epilog="Example: cloud-bridge store list --json")
def store_list(config: ConfigOption = BRIDGE_YAML, as_json: JsonOption = False) -> None:
    """List stores and how they are."""
    _table(_ask(config, "store list"), as_json=as_json)


@stores.command("revoke", epilog="Example: cloud-bridge store revoke store-0042")
def store_revoke(name: NameArgument, config: ConfigOption = BRIDGE_YAML, as_json: JsonOption = False) -> None:
    """End a store's token at once; what the store told stays."""
    _tell(_ask(config, "store revoke", name=name), "store", as_json=as_json, word="revoked")


@tokens.command("add", epilog="Example: cloud-bridge token add erp --role viewer -c bridge.yaml")
def token_add(
    name: NameArgument, role: RoleOption, config: ConfigOption = BRIDGE_YAML, as_json: JsonOption = False
) -> None:
    """Add an API token and print it, this once."""
    _tell(_ask(config, "token add", name=name, role=role), "token", as_json=as_json)


@tokens.command("list", epilog="Example: cloud-bridge token list --json")
def token_list(config: ConfigOption = BRIDGE_YAML, as_json: JsonOption = False) -> None:
    """List API tokens by name; never the tokens themselves."""
    _table(_ask(config, "token list"), as_json=as_json)


@tokens.command("revoke", epilog="Example: cloud-bridge token revoke erp")
def token_revoke(name: NameArgument, config: ConfigOption = BRIDGE_YAML, as_json: JsonOption = False) -> None:
    """End an API token at once, open streams too."""
    _tell(_ask(config, "token revoke", name=name), "name", as_json=as_json, word="revoked")


@users.command("add", epilog="Example: cloud-bridge user add lin --role ops -c bridge.yaml")
def user_add(
    name: NameArgument, role: RoleOption, config: ConfigOption = BRIDGE_YAML, as_json: JsonOption = False
) -> None:
    """Let a person log in: prints a link that works once, for 15 minutes. Again for a new link."""
    _tell(_ask(config, "user add", name=name, role=role), "url", as_json=as_json)


@users.command("list", epilog="Example: cloud-bridge user list --json")
def user_list(config: ConfigOption = BRIDGE_YAML, as_json: JsonOption = False) -> None:
    """List people who may log in."""
    _table(_ask(config, "user list"), as_json=as_json)


@users.command("revoke", epilog="Example: cloud-bridge user revoke lin")
def user_revoke(name: NameArgument, config: ConfigOption = BRIDGE_YAML, as_json: JsonOption = False) -> None:
    """Log a person out everywhere and forget them."""
    _tell(_ask(config, "user revoke", name=name), "name", as_json=as_json, word="revoked")


def main() -> None:
    """Entry point."""
    with terminal.clear_errors():
        app()


def _ask(config: Path, command: str, **arguments: str) -> dict[str, Any]:
    from cloud_bridge.app import command as run_command

    return asyncio.run(run_command(read_settings(config), command, arguments))


def _print_json(facts: Any) -> None:
    typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))


def _tell(answer: dict[str, Any], key: str, *, as_json: bool, word: str = "") -> None:
    """One fact, alone on its line: a token can be piped into its file."""
    if as_json:
        _print_json(answer)
    else:
        typer.echo(f"{answer[key]} {word}".rstrip())


def _table(answer: dict[str, Any], *, as_json: bool) -> None:
    items = answer["items"]
    if as_json or not items:
        _print_json(answer) if as_json else typer.echo("none yet")
        return
    table = Table(*items[0], box=None, pad_edge=False)
    for item in items:
        table.add_row(*("-" if value is None else str(value) for value in item.values()))
    Console(highlight=False, soft_wrap=True, markup=False).print(table)
