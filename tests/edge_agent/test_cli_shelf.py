"""`edge-agent shelf-gaps` on drawn shelf photos, as people and programs call it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest
from typer.testing import CliRunner

from device_sims.shelf_layout import Spot
from device_sims.shelf_scene import ShelfScene
from edge_agent.cli import app
from edge_agent.contract.errors import ConfigError

SIZE = (640, 360)
SPOTS = [Spot(f"A1-0{n}", "A1", 300.0 * n, 300.0, 6, "06901234100013") for n in (1, 2)]
SCENE = ShelfScene(3, SPOTS, SIZE)
PLACES = {spot.facing: SCENE.polygon(spot.facing) for spot in SPOTS}


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, str]:
    made = {"full": {"A1-01": 6, "A1-02": 6}, "empty": {"A1-02": 6}}
    for name, counts in made.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), SCENE.render(0, counts))
    (tmp_path / "places.json").write_text(json.dumps(PLACES))
    (tmp_path / "places.yaml").write_text("facings: " + json.dumps(PLACES))
    return {name: str(tmp_path / f"{name}.png") for name in made}


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["shelf-gaps", *words])


@pytest.mark.parametrize("places", ["places.json", "places.yaml"])
def test_each_photo_is_a_line_and_a_bad_one_does_not_cost_the_others(
    photos: dict[str, str], tmp_path: Path, places: str
) -> None:
    done = run(
        str(tmp_path), photos["empty"], "--json", "--facings", str(tmp_path / places),
        "--baseline", photos["full"], "--overlay", str(tmp_path / "marked"),
    )  # fmt: skip
    assert done.exit_code == 1
    assert "is a folder" in done.stderr
    [line] = [json.loads(line) for line in done.stdout.splitlines()]
    assert line["image"] == photos["empty"]
    assert {name: one["gap"] for name, one in line["facings"].items()} == {"A1-01": True, "A1-02": False}
    assert line["facings"]["A1-01"]["fill"] < 0.4 < line["facings"]["A1-02"]["fill"]
    for gap in line["gaps"]:
        left, top, right, bottom = gap["box"]
        assert 0 <= left < right <= SIZE[0]
        assert 0 <= top < bottom <= SIZE[1]
        assert 0 < gap["score"] <= 1
    marked = cv2.imread(str(tmp_path / "marked" / "002-empty.jpg"))
    assert marked is not None
    assert marked.shape == (SIZE[1], SIZE[0], 3)


def test_people_get_a_table(photos: dict[str, str], tmp_path: Path) -> None:
    done = run(photos["full"], "--facings", str(tmp_path / "places.json"))
    assert done.exit_code == 0
    assert "A1-01" in done.stdout
    assert "fill" in done.stdout


def test_only_bad_photos_are_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no photo")
    done = run(str(tmp_path / "note.txt"), str(tmp_path / "absent.jpg"))
    assert done.exit_code == 2
    assert "note.txt is no photo" in done.stderr
    assert "absent.jpg is not there" in done.stderr


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ("A1-01: [[1, 2], [3]]", "A1-01"),
        ("a: [", "neither JSON nor YAML"),
        ("[]", "dictionary"),
    ],
)
def test_a_bad_file_of_places_is_wrong_use(
    photos: dict[str, str], tmp_path: Path, places: str, words: str
) -> None:
    (tmp_path / "bad.yaml").write_text(places)
    done = run(photos["full"], "--facings", str(tmp_path / "bad.yaml"))
    assert isinstance(done.exception, ConfigError)
    assert words in str(done.exception)


def test_a_place_beyond_the_photo_is_said_of_that_photo(photos: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "far.json").write_text('{"A1-01": [[600, 10], [700, 10], [700, 90]]}')
    done = run(photos["full"], "--facings", str(tmp_path / "far.json"))
    assert done.exit_code == 2
    assert "full.png: the place of A1-01 reaches beyond the picture of 640x360" in done.stderr.replace(
        "\n", " "
    )
