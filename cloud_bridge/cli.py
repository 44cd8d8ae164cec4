"""`cloud-bridge`: the HQ service and the commands of its operator."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from cloud_bridge.config import BridgeSettings, read_settings
from cloud_bridge.errors import AlreadyThere, DataDirBusy, NotKnown
from edge_agent.contract.errors import ConfigError, ShelfEdgeError

T = TypeVar("T")

FINE, PROBLEM, WRONG_USE, UNREACHABLE = 0, 1, 2, 3

app = typer.Typer(
    name="cloud-bridge",
    help="HQ: every shelf of every store, now.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
stores = typer.Typer(help="Stores and their tokens.", no_args_is_help=True)
tokens = typer.Typer(help="API tokens of systems.", no_args_is_help=True)
users = typer.Typer(help="People who may log in to the pages.", no_args_is_help=True)
app.add_typer(stores, name="store")
app.add_typer(tokens, name="token")
app.add_typer(users, name="user")

ConfigFile = Annotated[Path, typer.Option("-c", "--config", help="HQ's configuration.", metavar="FILE")]
AsJson = Annotated[bool, typer.Option("--json", help="Facts as JSON.")]
Name = Annotated[str, typer.Argument(help="Up to 64 letters, digits, dots, underscores, hyphens.")]
RoleOption = Annotated[str, typer.Option("--role", help="viewer, ops or admin.")]
_DEFAULT = Path("bridge.yaml")


def main() -> None:
    """Entry point of `cloud-bridge`."""
    app()


@app.command(epilog="Example: cloud-bridge run -c bridge.yaml")
def run(
    config: ConfigFile = _DEFAULT,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Serve the API and the pages, in the foreground; SIGTERM or Ctrl-C stops within 10 s."""
    from cloud_bridge.app import Bridge
    from cloud_bridge.control import exclusive, prepare
    from edge_agent.service import log
    from edge_agent.service.stop import stop_event

    if log_level not in ("debug", "info", "warning", "error"):
        _fail(ConfigError(f"--log-level {log_level!r} is not known", hint="debug, info, warning or error"))
    settings = _settings(config)
    log.setup(level=log_level.upper())

    async def serve() -> None:
        await Bridge(settings).serve(stop_event())

    def work() -> None:
        prepare(settings.data_dir)
        with exclusive(settings.data_dir):
            asyncio.run(serve())

    _guarded(work)


@app.command(epilog="Example: cloud-bridge check -c bridge.yaml")
def check(config: ConfigFile = _DEFAULT, as_json: AsJson = False) -> None:
    """Check the configuration; touches nothing else."""
    settings = _settings(config)
    if as_json:
        _print_json({"config": str(config), "ok": True, "settings": settings.model_dump(mode="json")})
    else:
        address = settings.http.url(settings.http.port)
        _say(f"{config}: ok, HQ would listen on {address}, data in {settings.data_dir}")


@app.command(epilog="Example: cloud-bridge audit store-0042 -c bridge.yaml")
def audit(
    store: Annotated[str | None, typer.Argument(help="One store; all without it.")] = None,
    config: ConfigFile = _DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Recompute state and feed from the ledger and compare; 1 when a store fails. Only reads."""
    from cloud_bridge.app import database_of
    from cloud_bridge.store.sqlite_audit import audit as audit_database

    settings = _settings(config)
    results = _guarded(lambda: audit_database(database_of(settings), store))
    if as_json:
        _print_json({"items": [asdict(result) | {"ok": result.is_sound} for result in results]})
    else:
        for result in results:
            word = "ok  " if result.is_sound else "FAIL"
            aside = f", {result.parked} parked, {result.quarantined} quarantined"
            _say(f"{word} {result.store}: {result.rows} rows, {result.branches} branches{aside}")
            for line in result.problems:
                _say(f"     {line}")
            for row in result.set_aside:
                _say(f"     {row['fate']}: branch {row['branch']} row {row['seq']}: {row['reason']}")
        if not results:
            _say("no stores yet")
    raise typer.Exit(FINE if all(result.is_sound for result in results) else PROBLEM)


@stores.command("add", epilog="Example: cloud-bridge store add store-0042")
def store_add(name: Name, config: ConfigFile = _DEFAULT, as_json: AsJson = False) -> None:
    """Add a store; prints its token, this once."""
    _secret(_ask(config, "store add", name=name), "token", as_json=as_json)


@stores.command("list", epilog="Example: cloud-bridge store list --json")
def store_list(config: ConfigFile = _DEFAULT, as_json: AsJson = False) -> None:
    """List stores and how they are."""
    _table(_ask(config, "store list"), as_json=as_json)


@stores.command("revoke", epilog="Example: cloud-bridge store revoke store-0042")
def store_revoke(name: Name, config: ConfigFile = _DEFAULT, as_json: AsJson = False) -> None:
    """End a store's token at once; what it told stays."""
    _done(_ask(config, "store revoke", name=name), f"store {name}: token revoked", as_json=as_json)


@tokens.command("add", epilog="Example: cloud-bridge token add erp --role viewer")
def token_add(name: Name, role: RoleOption, config: ConfigFile = _DEFAULT, as_json: AsJson = False) -> None:
    """Add an API token; prints it, this once."""
    _secret(_ask(config, "token add", name=name, role=role), "token", as_json=as_json)


@tokens.command("list", epilog="Example: cloud-bridge token list --json")
def token_list(config: ConfigFile = _DEFAULT, as_json: AsJson = False) -> None:
    """List API tokens; never the tokens themselves."""
    _table(_ask(config, "token list"), as_json=as_json)


@tokens.command("revoke", epilog="Example: cloud-bridge token revoke erp")
def token_revoke(name: Name, config: ConfigFile = _DEFAULT, as_json: AsJson = False) -> None:
    """End an API token at once, open streams too."""
    _done(_ask(config, "token revoke", name=name), f"token {name}: revoked", as_json=as_json)


@users.command("add", epilog="Example: cloud-bridge user add lin --role ops")
def user_add(name: Name, role: RoleOption, config: ConfigFile = _DEFAULT, as_json: AsJson = False) -> None:
    """Let a person log in; prints a link that works once, for 15 minutes. Again for a new link."""
    _secret(_ask(config, "user add", name=name, role=role), "url", as_json=as_json)


@users.command("list", epilog="Example: cloud-bridge user list --json")
def user_list(config: ConfigFile = _DEFAULT, as_json: AsJson = False) -> None:
    """List people who may log in."""
    _table(_ask(config, "user list"), as_json=as_json)


@users.command("revoke", epilog="Example: cloud-bridge user revoke lin")
def user_revoke(name: Name, config: ConfigFile = _DEFAULT, as_json: AsJson = False) -> None:
    """Log a person out everywhere and forget them."""
    _done(_ask(config, "user revoke", name=name), f"user {name}: revoked", as_json=as_json)


# --- asking --------------------------------------------------------------------------------------


def _settings(config: Path) -> BridgeSettings:
    return _guarded(lambda: read_settings(config))


def _ask(config: Path, command: str, **arguments: str) -> dict[str, Any]:
    """Through the running bridge, or on the data directory itself under its lock."""
    from cloud_bridge import control
    from cloud_bridge.app import Bridge

    settings = _settings(config)

    async def alone() -> dict[str, Any]:
        async with Bridge(settings).opened() as admin:
            return await admin.run(command, arguments)

    def work() -> dict[str, Any]:
        answer = asyncio.run(control.ask(settings.data_dir, command, arguments))
        if answer is not None:
            return answer
        control.prepare(settings.data_dir)
        with control.exclusive(settings.data_dir):
            return asyncio.run(alone())

    return _guarded(work)


def _guarded(work: Callable[[], T]) -> T:
    try:
        return work()
    except ShelfEdgeError as error:
        _fail(error)
    except ExceptionGroup as group:
        known, unknown = group.split(ShelfEdgeError)
        if known is None or unknown is not None:
            raise
        first = known.exceptions[0]
        assert isinstance(first, ShelfEdgeError)  # noqa: S101 - `split` kept only these
        _fail(first)


def _fail(error: ShelfEdgeError) -> NoReturn:
    lines = error.problems if isinstance(error, ConfigError) else (str(error),)
    for line in lines:
        print(f"Error: {line}", file=sys.stderr)  # noqa: T201 - the command's own voice
    if error.hint:
        print(f"Try: {error.hint}", file=sys.stderr)  # noqa: T201 - the command's own voice
    code = getattr(error, "remote_code", error.code)
    if isinstance(error, DataDirBusy):
        raise typer.Exit(UNREACHABLE)
    raise typer.Exit(PROBLEM if code in (NotKnown.code, AlreadyThere.code) else WRONG_USE)


# --- printing ------------------------------------------------------------------------------------


def _console() -> Console:
    return Console(no_color="NO_COLOR" in os.environ, highlight=False, soft_wrap=True)


def _say(line: str) -> None:
    _console().print(line, markup=False)


def _print_json(facts: Any) -> None:
    print(json.dumps(facts, ensure_ascii=False, indent=2))  # noqa: T201 - results go to stdout


def _secret(answer: dict[str, Any], key: str, *, as_json: bool) -> None:
    """The secret alone on stdout, so that it can be piped into a file."""
    if as_json:
        _print_json(answer)
    else:
        print(answer[key])  # noqa: T201 - results go to stdout


def _done(answer: dict[str, Any], sentence: str, *, as_json: bool) -> None:
    if as_json:
        _print_json(answer)
    else:
        _say(sentence)


def _table(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        _print_json(answer)
        return
    items = answer["items"]
    if not items:
        _say("none yet")
        return
    table = Table(*items[0].keys(), box=None, pad_edge=False, header_style="bold")
    for item in items:
        table.add_row(*("-" if value is None else str(value) for value in item.values()))
    _console().print(table)
