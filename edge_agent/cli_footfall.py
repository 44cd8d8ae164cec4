"""The command `edge-agent footfall`: counts people over a line in a recorded video."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from edge_agent.config.cameras import FAMILIES, CountingLine, VisionModel
from edge_agent.contract.errors import ConfigError, LinkLost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.vision.clip import OnFrame
    from edge_agent.vision.families import Picture
    from edge_agent.vision.footfall import Crossing
    from edge_agent.vision.track import Track
    from edge_agent.vision.truth import Truth, VisitTruth

EXAMPLE = "Example: edge-agent footfall door.mp4 --line 100,300,500,300 --json"
_FARTHEST = 100_000.0
"""Pixels; also false for what is no number."""
_LINE_HINT = "write --line X1,Y1,X2,Y2 in pixels of the video's frame, e.g. --line 100,300,500,300"


def footfall(
    video: Annotated[Path, typer.Argument(help="A video file.")],
    line: Annotated[
        str | None, typer.Option(help="X1,Y1,X2,Y2: from its left to its right side is entered.")
    ] = None,
    anchor: Annotated[str | None, typer.Option(help="Which point crosses: feet or centre.")] = None,
    model: Annotated[str | None, typer.Option(help="A packed model's name, or an ONNX file.")] = None,
    family: Annotated[str | None, typer.Option(help="The output family of an ONNX file.")] = None,
    per_s: Annotated[float, typer.Option(min=1, max=60, help="Looks a second.")] = 5.0,
    mask: Annotated[list[str] | None, typer.Option(help="X,Y,X,Y,X,Y…: blacked out first.")] = None,
    truth: Annotated[Path | None, typer.Option(help="What really happened: says how right it is.")] = None,
    overlay: Annotated[Path | None, typer.Option(help="Write an MP4 with boxes, tracks, line.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Facts as JSON on stdout.")] = False,
) -> None:
    """Count people over a line in a recorded video, on its own time; no frame is dropped."""
    from edge_agent.vision.clip import count_video
    from edge_agent.vision.people_seen import Stays
    from edge_agent.vision.truth import read_any_truth

    if overlay is not None and overlay.resolve() == video.resolve():
        raise ConfigError(f"--overlay {overlay} is the video itself", hint="give it another name")
    known = read_any_truth(truth) if truth else None
    lines = _lines(line, anchor, known)
    stays = Stays()
    with ExitStack() as open_files:
        steps: list[OnFrame] = [stays.see, *_progress(open_files)]
        if overlay is not None:
            from edge_agent.vision.overlay import Overlay

            steps.append(open_files.enter_context(Overlay(overlay, lines, per_s=per_s)).draw)

        def see(picture: Picture, at_s: float, tracks: Sequence[Track], crossed: Sequence[Crossing]) -> None:
            for step in steps:
                step(picture, at_s, tracks, crossed)

        masks = [_outline(text) for text in mask or []]
        chosen = _model(model, family)
        try:
            crossings = count_video(
                video, lines, model=chosen, detections_per_s=per_s, masks=masks, on_frame=see
            )
        except LinkLost as error:
            raise ConfigError(error.message, hint=error.hint) from error
    facts = _facts(crossings)
    if known is not None:
        facts["truth"] = _agreement(crossings, stays.spans(), known)
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))
    else:
        _print(facts, Console(highlight=False))


def _lines(line: str | None, anchor: str | None, known: Truth | VisitTruth | None) -> Sequence[CountingLine]:
    """The line that was given, else that of the truth file; visits need none."""
    from edge_agent.vision.truth import Truth

    of_truth = known.counting_line if isinstance(known, Truth) else None
    if anchor not in (None, "feet", "centre"):
        raise ConfigError(f"--anchor {anchor!r} is not known", hint="one of feet, centre")
    if line is None:
        if of_truth is None and known is None:
            raise ConfigError("no line is given", hint=_LINE_HINT)
        made = [] if of_truth is None else [of_truth]
    else:
        made = [_line(line, of_truth.anchor if of_truth else "feet")]
    return [one.model_copy(update={"anchor": anchor}) for one in made] if anchor else made


def _line(text: str, anchor: Literal["feet", "centre"]) -> CountingLine:
    numbers = _numbers(text)
    if len(numbers) != 4:
        raise ConfigError(f"--line {text!r} is not four numbers", hint=_LINE_HINT)
    try:
        return CountingLine.model_validate(
            {"id": "given", "from": numbers[:2], "to": numbers[2:], "anchor": anchor}
        )
    except ValidationError as error:
        raise ConfigError(f"--line {text!r}: its two ends are the same point", hint=_LINE_HINT) from error


def _outline(text: str) -> list[list[float]]:
    numbers = _numbers(text)
    if len(numbers) < 6 or len(numbers) % 2:
        raise ConfigError(f"--mask {text!r} is no outline", hint="write X,Y of three corners or more")
    return [list(corner) for corner in zip(numbers[::2], numbers[1::2], strict=True)]


def _numbers(text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        return []
    return numbers if all(abs(number) <= _FARTHEST for number in numbers) else []


def _model(model: str | None, family: str | None) -> VisionModel:
    if family is not None and family not in FAMILIES:
        raise ConfigError(f"--family {family!r} is not known", hint=f"one of {', '.join(FAMILIES)}")
    if model is None or model in ("coco-ssd", "nanodet"):
        return VisionModel(name=cast("Literal['coco-ssd', 'nanodet'] | None", model))
    if family is None:
        raise ConfigError(
            f"--model {model!r} is a file of an unknown family", hint=f"--family {'|'.join(FAMILIES)}"
        )
    return VisionModel(path=Path(model), family=family)


def _progress(open_files: ExitStack) -> list[OnFrame]:
    if not sys.stderr.isatty():
        return []
    status = open_files.enter_context(Console(stderr=True).status("counting"))
    return [lambda _picture, at_s, _tracks, _crossed: status.update(f"counting: {at_s:.0f} s of the video")]


def _facts(crossings: Sequence[Crossing]) -> dict[str, Any]:
    told = [{"t_s": round(c.at_s, 2), "direction": c.direction} for c in crossings]
    told.sort(key=lambda crossing: cast("float", crossing["t_s"]))
    directions = [c.direction for c in crossings]
    return {
        "entered": directions.count("entered"),
        "exited": directions.count("exited"),
        "crossings": told,
    }


def _agreement(
    crossings: Sequence[Crossing], spans: Sequence[tuple[float, float]], known: Truth | VisitTruth
) -> dict[str, Any]:
    from edge_agent.vision.truth import Truth, compare, compare_visits

    if not isinstance(known, Truth):
        visits = compare_visits(spans, known)
        mean_s = None if visits.dwell_error_s is None else round(visits.dwell_error_s, 2)
        return {"visits": visits.true, "hits": visits.hits, "false": visits.false, "dwell_error_s": mean_s}
    found = compare(crossings, known)
    return {
        "precision": round(found.precision, 4), "recall": round(found.recall, 4), "f1": round(found.f1, 4),
        "total_error": round(found.total_error, 4), "hits": found.hits,
        "missed": [event.model_dump() for event in found.missed_crossings],
        "false": _facts(found.false_crossings)["crossings"],
    }  # fmt: skip


def _print(facts: dict[str, Any], console: Console) -> None:
    table = Table("at", "direction", box=None)
    for crossing in facts["crossings"]:
        table.add_row(f"{crossing['t_s']:.2f} s", crossing["direction"])
    console.print(table)
    console.print(f"entered {facts['entered']}, exited {facts['exited']}")
    for key, value in facts.get("truth", {}).items():
        console.print(f"{key.replace('_', ' ')}: {value}")
