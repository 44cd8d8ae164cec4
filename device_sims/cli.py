"""The command `device-sims`; no logic lives here."""

from __future__ import annotations

import asyncio
import difflib
import inspect
import json
import secrets
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from edge_agent.contract.errors import ConfigError
from edge_agent.service import log, terminal
from edge_agent.service.settings import read_secret

if TYPE_CHECKING:
    from device_sims.fault import FaultKind

app = typer.Typer(
    name="device-sims", no_args_is_help=True, add_completion=True,
    rich_markup_mode=None, pretty_exceptions_enable=False,
    help="A whole store on real protocols, with faults, ground truth and a score.",
)  # fmt: skip
SeedOption = Annotated[
    int | None, typer.Option("--seed", help="The same seed gives the same store; else random.")
]
SecondsOption = Annotated[float | None, typer.Option("--seconds", min=40, help="How long it is open.")]
VideoOption = Annotated[
    Path | None, typer.Option("--video", help="A recorded clip instead of the drawn door.")
]
LineOption = Annotated[str | None, typer.Option("--line", help="X1,Y1,X2,Y2: where to count in --video.")]
EdgePortOption = Annotated[int, typer.Option("--edge-port", help="The agent's own page.")]
DirOption = Annotated[
    Path | None, typer.Option("--dir", help="The folder of the store; else the one started last.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Facts as JSON on stdout.")]


@app.command(epilog="Example: device-sims run demo --seed 7 --truth truth.jsonl")
def run(
    scenario: Annotated[str, typer.Argument(help="A YAML file, or a built-in one (`device-sims list`).")],
    seed: SeedOption = None,
    truth: Annotated[Path | None, typer.Option(help="Write the ground truth here, as JSON Lines.")] = None,
    folder: Annotated[Path | None, typer.Option("--dir", help="For ttys, broker and store.yaml.")] = None,
    seconds: SecondsOption = None,
    hq: Annotated[
        str | None, typer.Option(help="HQ's address; lays a line to it that faults can cut.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="The store's token for HQ.")] = None,
    edge_port: EdgePortOption = 8787,
    video: VideoOption = None,
    line: LineOption = None,
    hold: Annotated[
        bool, typer.Option("--hold", help="Open at the first line on stdin, stay until stdin ends.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a simulated store in real time on ptys, a broker and video; says where everything is."""
    from device_sims.scenario import load_scenario
    from device_sims.session import Session
    from device_sims.store import clip_of

    log.setup(level="WARNING")
    session = Session(
        scenario=load_scenario(scenario, seconds=seconds),
        seed=_seed(seed),
        folder=(folder or Path(tempfile.mkdtemp(prefix="store-"))).resolve(),
        truth=truth,
        hq_url=hq,
        token_file=token_file.resolve() if token_file else None,
        edge_port=edge_port,
        clip=clip_of(video, line),
        held=hold,
        as_json=as_json,
    )
    asyncio.run(session.run())


@app.command(epilog="Example: device-sims serve mt-sics --link tcp --port 4001")
def serve(
    kind: Annotated[str, typer.Argument(help="What kind of device (`device-sims list`).")],
    link: Annotated[str | None, typer.Option(help="pty or tcp, for devices on a wire.")] = None,
    port: Annotated[int, typer.Option(help="The TCP port; 0 takes a free one.")] = 0,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="KEY=VALUE of the device, as in a scenario; again for more."),
    ] = None,
    facings: Annotated[int, typer.Option(min=1, max=99, help="How many facings it covers.")] = 1,
    items: Annotated[int, typer.Option(min=0, max=999, help="Items on each facing.")] = 10,
    unit_weight_g: Annotated[float, typer.Option(help="What one item weighs.")] = 352.0,
    shoppers_per_minute: Annotated[
        float, typer.Option(min=0, help="0: only `device-sims move` moves.")
    ] = 0.0,
    seed: SeedOption = None,
    folder: Annotated[Path | None, typer.Option("--dir", help="For ttys, broker and store.yaml.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run one device alone for a day; says where it listens and which line of store.yaml reads it."""
    from device_sims.serve import bench
    from device_sims.session import Session

    log.setup(level="WARNING")
    given = dict(one.partition("=")[::2] for one in option or [])
    scenario = bench(
        kind, link=link, options=given, facings=facings, items=items, unit_weight_g=unit_weight_g,
        shoppers_per_minute=shoppers_per_minute,
    )  # fmt: skip
    session = Session(
        scenario=scenario,
        seed=_seed(seed),
        folder=(folder or Path(tempfile.mkdtemp(prefix="device-"))).resolve(),
        ports={device.id: port for device in scenario.equipment},
        as_json=as_json,
        shows_line=True,
    )
    asyncio.run(session.run())


@app.command(epilog="Example: device-sims fault unplug scale-a1-01 --for 10")
def fault(
    name: Annotated[str, typer.Argument(help="Which fault (`device-sims list`), or `heal` to end them.")],
    devices: Annotated[
        list[str] | None, typer.Argument(help="Of which devices; patterns such as scale-*.")
    ] = None,
    for_s: Annotated[float | None, typer.Option("--for", help="Seconds; without it until `heal`.")] = None,
    by: Annotated[float | None, typer.Option(help="How much, in the fault's own measure.")] = None,
    manner: Annotated[str, typer.Option(help="uplink-cut: silent or refused.")] = "silent",
    number: Annotated[int | None, typer.Option(help="heal: only the fault of this number.")] = None,
    folder: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Break something in a running simulated store, or heal it."""
    from device_sims import control
    from device_sims.fault import FAULTS

    question: dict[str, object] = {"do": "heal", "number": number}
    if name != "heal":
        if name not in FAULTS:
            near = difflib.get_close_matches(name, [*FAULTS, "heal"], n=1)
            raise ConfigError(
                f"no fault {name!r}", hint=f"did you mean {near[0]!r}?" if near else "see `device-sims list`"
            )
        question = {"do": "fault", "fault": name, "device": devices or [], "manner": manner}
        question |= {"for_s": for_s} if for_s is not None else {}
        question |= {"by": by} if by is not None else {}
    answer = asyncio.run(control.ask(folder, question))
    if as_json:
        typer.echo(json.dumps(answer))
    elif name == "heal":
        typer.echo(f"{answer['ended']} ended")
    else:
        number = answer["number"]
        typer.echo(f"{name}, number {number}; `device-sims fault heal --number {number}` ends it")


@app.command(context_settings={"ignore_unknown_options": True}, epilog="Example: device-sims move A1-01 -2")
def move(
    facing: Annotated[str, typer.Argument(help="Which facing.")],
    change: Annotated[int, typer.Argument(help="Items that come, or with a minus go.")],
    folder: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take or put items in a running simulated store."""
    from device_sims import control

    answer = asyncio.run(control.ask(folder, {"do": "move", "facing": facing, "change": change}))
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        typer.echo(f"{facing}: {answer['on_hand']} lie there in {answer['seconds']:g} s")


@app.command(epilog="Example: device-sims status --json")
def status(folder: DirOption = None, as_json: JsonOption = False) -> None:
    """What truly lies on the shelves of a running simulated store, and what is broken."""
    from device_sims import control

    answer = asyncio.run(control.ask(folder, {"do": "status"}))
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False))
        return
    typer.echo(f"store {answer['store']}")
    for facing, on_hand in answer["on_hand"].items():
        typer.echo(f"  {facing:16} {on_hand}")
    for one in answer["faults"]:
        typer.echo(f"  {one['number']}: {one['fault']} {' '.join(one['devices'])}")


@app.command("list", epilog="Example: device-sims list mqtt-plate")
def list_(
    part: Annotated[
        str | None, typer.Argument(help="A kind of device, an act, or products, people, noise, …")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The kinds of devices, the built-in scenarios and the faults; or the settings of one of them."""
    from device_sims.fault import FAULTS
    from device_sims.scenario import built_in_scenarios
    from device_sims.serve import KINDS, PARTS
    from device_sims.settings_table import settings_of
    from device_sims.show import print_catalogue, print_settings

    console = Console(highlight=False)
    if part is not None:
        if part not in PARTS:
            raise ConfigError(f"nothing is called {part!r}", hint=f"one of: {', '.join(PARTS)}")
        settings = list(settings_of(PARTS[part]))
        if as_json:
            typer.echo(json.dumps([asdict(one) for one in settings], ensure_ascii=False))
        else:
            typer.echo(inspect.cleandoc(PARTS[part].__doc__ or ""))
            print_settings(console, settings)
        return
    faults = {name: _plain(kind) for name, kind in FAULTS.items()}
    catalogue = {"devices": dict(KINDS), "scenarios": built_in_scenarios(), "faults": faults}
    if as_json:
        typer.echo(json.dumps(catalogue, ensure_ascii=False))
    else:
        print_catalogue(console, catalogue)


@app.command(epilog="Example: device-sims demo --seconds 60")
def demo(
    seconds: SecondsOption = None,
    seed: SeedOption = None,
    scenario: Annotated[str, typer.Option(help="A YAML file, or a built-in one.")] = "demo",
    video: VideoOption = None,
    line: LineOption = None,
    keep: Annotated[Path | None, typer.Option(help="Keep every file in this folder.")] = None,
    hq_port: Annotated[int, typer.Option("--hq-port", help="HQ's page and API.")] = 8780,
    edge_port: EdgePortOption = 8787,
) -> None:
    """Simulated store, agent and HQ in one terminal, a fault, a score. Exits 0 only on PASS."""
    from device_sims.demo import Demo
    from device_sims.scenario import load_scenario
    from device_sims.store import clip_of

    log.setup(level="WARNING")
    plan = Demo(
        scenario=load_scenario(scenario, seconds=seconds),
        scenario_name=scenario,
        seed=_seed(seed),
        keep=keep.resolve() if keep else None,
        clip=clip_of(video, line),
        hq_port=hq_port,
        edge_port=edge_port,
    )
    passed = asyncio.run(plan.run(Console(highlight=False)))
    raise typer.Exit(terminal.FINE if passed else terminal.PROBLEM)


@app.command(
    epilog="Example: device-sims score --hq http://127.0.0.1:8780 --token-file t --truth truth.jsonl"
)
def score(
    hq: Annotated[str, typer.Option(help="HQ's address.")],
    token_file: Annotated[Path, typer.Option(help="An API token with the viewer role.")],
    truth: Annotated[Path, typer.Option(help="What `run --truth` wrote.")],
    store: Annotated[str | None, typer.Option(help="Its id at HQ, where not the truth file's.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare HQ's state with the ground truth; exits 0 only on PASS."""
    from device_sims.score import score_at_hq
    from device_sims.show import print_score

    log.setup(level="WARNING")
    token = read_secret(token_file)
    if token is None:
        raise ConfigError(f"{token_file}: no token in it")
    result = asyncio.run(score_at_hq(hq, token, truth, store=store))
    if as_json:
        facts = {"store": result.store, "passed": result.passed, **result.measures}
        typer.echo(
            json.dumps(facts | {"checks": [asdict(c) for c in result.checks]}, ensure_ascii=False, indent=2)
        )
    else:
        print_score(Console(highlight=False), result)
    raise typer.Exit(terminal.FINE if result.passed else terminal.PROBLEM)


def main() -> None:
    """Run the command; our errors become lines and an exit status."""
    with terminal.clear_errors():
        app()


def _plain(kind: FaultKind) -> dict[str, object]:
    return {"target": kind.target, "means": kind.means, "by": kind.by, "by_default": kind.by_default}


def _seed(seed: int | None) -> int:
    return secrets.randbelow(10_000) if seed is None else seed
