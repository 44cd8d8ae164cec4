"""The command `edge-agent shelf-gaps`; no logic lives here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from edge_agent.contract.errors import ConfigError
from edge_agent.service import terminal

if TYPE_CHECKING:
    from edge_agent.vision.shelf_photos import PhotoFound

MOST_SHOWN = 10


def shelf_gaps(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Photos of shelves.")],
    facings: Annotated[
        Path | None, typer.Option("--facings", help="JSON or YAML: facing to the corners of its place.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", help="A photo of the stocked shelf from the same camera.")
    ] = None,
    overlay: Annotated[Path | None, typer.Option("--overlay", help="A folder for marked photos.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line for each photo.")] = False,
) -> None:
    """Find empty places in shelf photos: suggested boxes, and how full each drawn place is."""
    from edge_agent.vision.photo import read_photo
    from edge_agent.vision.shelf_overlay import overlay as marked
    from edge_agent.vision.shelf_overlay import write_overlay
    from edge_agent.vision.shelf_photos import ShelfPhotos, read_facings

    if baseline is not None and facings is None:
        raise ConfigError("--baseline needs --facings", hint="name the file with the drawn places")
    places = read_facings(facings) if facings is not None else {}
    photos, failed = ShelfPhotos(places, baseline), 0
    for number, image in enumerate(images, 1):
        try:
            found = photos.look(read_photo(image))
            if overlay is not None:
                write_overlay(marked(found, places), overlay / f"{number:03d}-{image.stem}.jpg")
        except ConfigError as error:
            failed += 1
            terminal.tell(error if str(image) in error.message else _about(image, error))
            continue
        if as_json:
            typer.echo(json.dumps(found.facts(str(image)), ensure_ascii=False))
        else:
            _print(image, found)
    if failed:
        raise typer.Exit(terminal.WRONG_USE if failed == len(images) else terminal.PROBLEM)


def _about(image: Path, error: ConfigError) -> ConfigError:
    return ConfigError(f"{image}: {error.message}", hint=error.hint)


def _print(image: Path, found: PhotoFound) -> None:
    console, facts = Console(highlight=False, soft_wrap=True), found.facts(str(image))
    console.print(f"{image}: {len(found.boxes)} places look empty", markup=False)
    if found.facings:
        table = Table("facing", "fill", "gap", box=None)
        for facing, seen in facts["facings"].items():  # type: ignore[attr-defined]  # a dict, see `facts`
            table.add_row(facing, f"{seen['fill']:.0%}", "GAP" if seen["gap"] else "")
        console.print(table)
    if len(found.boxes):
        table = Table("left", "top", "right", "bottom", "score", box=None)
        for *sides, score in found.boxes[:MOST_SHOWN]:
            table.add_row(*(f"{side:.0f}" for side in sides), f"{score:.2f}")
        console.print(table)
