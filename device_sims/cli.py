"""The command `device-sims`; no logic lives here."""

from __future__ import annotations

import asyncio
import json
import secrets
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edge_agent.contract.errors import ConfigError
from edge_agent.service import log, terminal
from edge_agent.service.settings import read_secret

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
JsonOption = Annotated[bool, typer.Option("--json", help="Facts as JSON on stdout.")]


@app.command(epilog="Example: device-sims run demo --seed 7 --truth truth.jsonl")
def run(
    scenario: Annotated[str, typer.Argument(help="A YAML file, or a built-in one: demo, opening.")],
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


def _seed(seed: int | None) -> int:
    return secrets.randbelow(10_000) if seed is None else seed
