"""The command `edge-agent`; no logic lives here."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from typer.core import TyperGroup

from edge_agent import cli_footfall, cli_outbox, cli_planogram
from edge_agent.cli_shelf import shelf_gaps
from edge_agent.config.drawn import drawn_notes, with_drawn
from edge_agent.config.published import with_published
from edge_agent.config.store import ENV_PREFIX, StoreSettings
from edge_agent.journal.published import read_published
from edge_agent.service import log, loop, terminal
from edge_agent.service.finding import tell_json, tell_lines
from edge_agent.service.settings import load


class _Commands(TyperGroup):
    """Whoever reads our output may have enough of it, whatever the command."""

    def invoke(self, ctx: Any) -> Any:
        with terminal.reader_may_leave():
            return super().invoke(ctx)


app = typer.Typer(
    name="edge-agent", cls=_Commands, no_args_is_help=True, add_completion=True,
    rich_markup_mode=None, pretty_exceptions_enable=False,
    help="The gateway in the store: reads devices, estimates stock, buffers, tells HQ.",
)  # fmt: skip
app.command(epilog=cli_footfall.EXAMPLE)(cli_footfall.footfall)
app.add_typer(cli_planogram.app, name="planogram")
app.add_typer(cli_outbox.app, name="outbox")
DeviceArgument = Annotated[str, typer.Argument(help="The id of a configured device.")]
SURELY = 0.99
"""A probability above it is not rounded up to certainty."""
ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The store's configuration.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Facts as JSON on stdout.")]


@app.command(epilog="Example: edge-agent run -c store.yaml")
def run(
    config: ConfigOption = Path("store.yaml"), verbose: bool = typer.Option(False, "--verbose", "-v")
) -> None:
    """Run the service in the foreground; SIGTERM or Ctrl-C drains and stops within 10 s."""
    log.setup(level="DEBUG" if verbose else "INFO")
    loop.run(_run(_as_written(config)))


@app.command(epilog="Example: edge-agent check -c store.yaml")
def check(config: ConfigOption = Path("store.yaml"), as_json: JsonOption = False) -> None:
    """Check configuration and planogram only; touches no device."""
    settings = _load(config)
    published = read_published(settings.agent.data_dir)
    notes = [note.text for note in drawn_notes(settings)]
    if published.revision:
        notes.append(f"{published.source}, is in use, not the file's")
    if published.settings is not None and published.settings.settings:
        notes.append(f"settings of HQ's, revision {published.settings.revision}, are laid over the file's")
    facts = {"config": str(config), "devices": len(settings.devices), "facings": len(settings.facings)}
    facts |= {"planogram": {"revision": published.revision}, "notes": notes}
    if as_json:
        _print_json(facts)
    else:
        typer.echo(f"{config}: ok, {facts['devices']} devices, {facts['facings']} facings")
        for note in notes:
            typer.echo(f"note: {note}")


@app.command(epilog="Example: edge-agent doctor -c store.yaml")
def doctor(config: ConfigOption = Path("store.yaml"), as_json: JsonOption = False) -> None:
    """Also try every port, camera, model, broker, clock, disk and HQ; one line each, with a hint."""
    from edge_agent.doctor import examine

    log.setup(level="CRITICAL")
    tell = tell_json if as_json else tell_lines
    raise typer.Exit(loop.run(tell(examine(_load(config)))))


@app.command(epilog="Example: edge-agent status -c store.yaml --json")
def status(config: ConfigOption = Path("store.yaml"), as_json: JsonOption = False) -> None:
    """Ask the running agent: devices, facings, outbox, sync state, versions."""
    from edge_agent.live.asking import ask_status

    answer = loop.run(ask_status(_load(config).agent.http))
    if as_json:
        _print_json(answer)
    else:
        _print_status(answer)


@app.command(epilog="Example: edge-agent explain A1-01 -c store.yaml")
def explain(
    facing: Annotated[str, typer.Argument(help="The id of a facing.")],
    config: ConfigOption = Path("store.yaml"),
    as_json: JsonOption = False,
) -> None:
    """Ask the running agent why it believes so many lie on a facing, and what else it may be."""
    from edge_agent.live import explaining

    settings = _load(config)
    answer = loop.run(explaining.explained(settings, facing))
    if as_json:
        _print_json(answer)
    else:
        explaining.print_explanation(answer, settings, Console(highlight=False))


@app.command(epilog="Example: printf 'S S     100.00 g\\r\\n' | edge-agent decode mt-sics")
def decode(
    driver: Annotated[str, typer.Argument(help="A driver's name, e.g. mt-sics or impinj-r700.")],
    as_hex: Annotated[bool, typer.Option("--hex", help="Each input line is bytes in hex.")] = False,
    option: Annotated[list[str] | None, typer.Option("--option", help="KEY=VALUE of the driver.")] = None,
) -> None:
    """Decode device bytes (or MQTT payloads, one a line) from stdin into readings as JSON Lines."""
    from edge_agent.drivers.decode import decode_stream, input_chunks

    options = dict(item.partition("=")[::2] for item in option or [])
    chunks = input_chunks(driver, sys.stdin.buffer, as_hex=as_hex)
    for result in decode_stream(driver, chunks, as_hex=as_hex, options=options):
        if isinstance(result, str):
            typer.echo(result, err=True)
        else:
            typer.echo(json.dumps(result, ensure_ascii=False))


@app.command(epilog="Example: edge-agent devices --scan")
def devices(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The store's configuration.")] = None,
    scan: Annotated[
        bool, typer.Option("--scan", help="Ask every serial port, and listen to the broker.")
    ] = False,
    port: Annotated[list[str] | None, typer.Option("--port", help="Also this port, with --scan.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the configured devices and how they are; with --scan, find what is there to be configured."""
    from edge_agent.live import inventory

    log.setup(level="CRITICAL")
    if scan:
        found = loop.run(inventory.scan(_load(config) if config else None, port or []))
    else:
        found = loop.run(inventory.configured(_load(config or Path("store.yaml"))))
    if as_json:
        _print_json(found)
    else:
        inventory.print_inventory(found, Console(soft_wrap=True, highlight=False))


@app.command(epilog="Example: edge-agent watch scale-a1-01 -c store.yaml | jq .weight_g")
def watch(
    device: DeviceArgument, config: ConfigOption = Path("store.yaml"), as_json: JsonOption = False
) -> None:
    """Show live readings of one device as JSON Lines; how the device is goes to stderr. Ctrl-C ends it."""
    from edge_agent.live.watching import show

    log.setup(level="ERROR")
    printer = _LivePrinter(as_json=as_json)
    loop.run(_until_stopped(show(_load(config), device, printer)))


@app.command(epilog="Example: edge-agent record scale-a1-01 -o odd.jsonl --seconds 30 -c store.yaml")
def record(
    device: DeviceArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="The recording.")],
    config: ConfigOption = Path("store.yaml"),
    seconds: Annotated[float | None, typer.Option(min=0, help="How long; else until Ctrl-C.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Record a device's raw bytes with their times, to make a bug a test."""
    from edge_agent.live.watching import record as record_bytes

    log.setup(level="ERROR")
    pieces = itertools.count()
    recording = record_bytes(_load(config), device, output, force=force, wrote=lambda: next(pieces))
    loop.run(_until_stopped(recording, seconds))
    facts = {"file": str(output), "lines": next(pieces)}
    if not facts["lines"]:
        typer.echo(f"{device} said nothing: there is no recording", err=True)
        raise typer.Exit(terminal.PROBLEM)
    if as_json:
        _print_json(facts)
    else:
        typer.echo(f"{facts['file']}: {facts['lines']} pieces; edge-agent replay {output}")


@app.command(epilog="Example: edge-agent replay odd.jsonl > odd.readings.jsonl")
def replay(
    recording: Annotated[Path, typer.Argument(help="A file made by `edge-agent record`.")],
    pace: Annotated[bool, typer.Option("--pace", help="As fast as it was recorded.")] = False,
    pty: Annotated[bool, typer.Option("--pty", help="Play the device on a tty, for a real agent.")] = False,
    as_json: JsonOption = False,  # noqa: ARG001  # readings are JSON Lines either way
) -> None:
    """Decode a recording into the readings that the agent made of it, as JSON Lines."""
    from edge_agent.live.replaying import Complaint
    from edge_agent.live.replaying import replay as replay_file

    if pty:
        from edge_agent.live.playing import act

        loop.run(_until_stopped(act(recording, typer.echo)))
        return
    damaged = False
    for found in replay_file(recording, pace=pace):
        if isinstance(found, Complaint):
            damaged = damaged or found.damaged
            typer.echo(found.text, err=True)
        else:
            typer.echo(json.dumps(found, ensure_ascii=False, separators=(",", ":")))
    raise typer.Exit(terminal.PROBLEM if damaged else terminal.FINE)


app.command("shelf-gaps", epilog="Example: edge-agent shelf-gaps aisle-7.jpg --facings places.yaml")(
    shelf_gaps
)


@app.command(epilog="Example: edge-agent schema > store.schema.json")
def schema() -> None:
    """Print the JSON Schema of the configuration, for completion in an editor."""
    _print_json(StoreSettings.model_json_schema(by_alias=True))


def main() -> None:
    """Entry point."""
    with terminal.clear_errors():
        app()


class _LivePrinter:
    """Readings to stdout as they came, everything else to stderr: a device's state when it changes."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._told: dict[str, Any] = {}

    def __call__(self, lines: bytes) -> None:
        readings = b""
        for line in lines.splitlines(keepends=True):
            said = json.loads(line)
            if said["kind"] not in ("status", "dropped"):
                readings += line
            elif said != self._told or said["kind"] == "dropped":
                self._told = said
                typer.echo(line.decode().rstrip() if self._as_json else _sentence(said), err=True)
        while readings:  # not through sys.stdout: a write that stalls would hold its lock at the exit
            readings = readings[os.write(sys.stdout.fileno(), readings) :]


def _sentence(said: dict[str, Any]) -> str:
    if said["kind"] == "dropped":
        return f"{said['lines']} lines left out: this terminal is slower than the device"
    who = f" as {said['identity']}" if said["identity"] else ""
    why = f": {said['reason']}" if said["reason"] else ""
    return f"{said['device']} is {said['status']}{who}{why}"


async def _until_stopped(work: Coroutine[Any, Any, None], seconds: float | None = None) -> None:
    from edge_agent.live.watching import until
    from edge_agent.service.stop import stop_event

    await until(stop_event(), work, seconds)


def _load(config: Path) -> StoreSettings:
    """The settings in use: the file's, with what HQ published and what was drawn at the camera page."""
    written = _as_written(config)
    return with_drawn(with_published(written, read_published(written.agent.data_dir)))


def _as_written(config: Path) -> StoreSettings:
    return load(config, StoreSettings, env_prefix=ENV_PREFIX)


async def _run(settings: StoreSettings) -> None:
    from edge_agent.app import run as run_agent
    from edge_agent.service.stop import stop_event

    await run_agent(settings, stop_event())


def _print_json(answer: Any) -> None:
    typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))


def _print_status(answer: dict[str, Any]) -> None:
    sync, console = answer["sync"], Console()
    line = (
        "no uplink"
        if not sync["configured"]
        else "SYNCED"
        if sync["online"]
        else f"OFFLINE: {sync['problem']}"
    )
    console.print(f"store {answer['store']}   up {answer['uptime_s']:.0f} s   v{answer['version']}   {line}")
    revision = answer["planogram"]["revision"]
    console.print(f"planogram: {f'HQ, revision {revision}' if revision else 'of the file'}")
    devices = Table(Column("device", overflow="fold"), "driver", "state", "last seen", "restarts", box=None)
    for d in answer["devices"]:
        seen = f"{d['last_seen_at'][:19]}Z" if d["last_seen_at"] else "-"  # to the second
        devices.add_row(d["device"], d["driver"], d["status"], seen, str(d["restarts"]))
    facings = Table("facing", "item", "on hand", "of", "sure", "state", "why", box=None)
    for f in answer["facings"]:
        on_hand = "-" if f["on_hand"] is None else str(f["on_hand"])
        low, high = f["interval"] or (None, None)
        if low != high:
            on_hand += f" ({low}–{high})"
        sure = f"{f['confidence']:.0%}" if f["confidence"] < SURELY else f">{SURELY:.0%}"
        facings.add_row(
            f["facing"], f["name"], on_hand, str(f["capacity"]), sure, f["status"], ", ".join(f["reasons"])
        )
    console.print(devices)
    for d in answer["devices"]:
        if d["reason"]:
            console.print(f"  {d['device']}: {d['reason']}", soft_wrap=True, markup=False)
    for model in answer["cameras"]:
        if model["problem"]:
            told = f"  {model['problem']}; the model loaded at {model['loaded_at']} goes on"
            console.print(told, soft_wrap=True, markup=False)
    console.print(facings)
    if answer["environment"]:
        measured = Table("device", "quantity", "value", "unit", "alarm", "measured", box=None)
        for e in answer["environment"]:
            alarm = f"ALARM: {e['alarm']} its limit" if e["alarm"] else ""
            value = f"{e['value']:g}"
            measured.add_row(e["device"], e["quantity"], value, e["unit"], alarm, e["measured_at"])
        console.print(measured)
    _print_disk(answer, console)


def _print_disk(answer: dict[str, Any], console: Console) -> None:
    disk, journal = answer["disk"], answer["journal"]
    full = f"journal {disk['full_percent']:.0f} % full" + (
        f" (ALARM {disk['alarm']})" if disk["alarm"] else ""
    )
    console.print(f"outbox {answer['outbox']['rows']} rows   disk {disk['free_mb']} MB free   {full}")
    if journal["refusal"]:
        console.print(f"  NOTHING CAN BE WRITTEN ({journal['refusal']}): devices are held", soft_wrap=True)
    for name in journal["damaged"]:
        console.print(f"  a damaged journal is kept as {name}; this one began anew", soft_wrap=True)
