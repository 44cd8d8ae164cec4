"""The recipe of the page's libraries: what it built stays, what was damaged or cut off is noticed."""

import importlib
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "cloud_bridge" / "web" / "vendor"


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "models")
    return importlib.import_module("page_assets")


@pytest.fixture
def vendor(tmp_path: Path) -> Path:
    if not (BUILT / "manifest.json").exists():
        pytest.skip("page assets are not built; make setup builds them")
    return Path(shutil.copytree(BUILT, tmp_path / "vendor"))


def no_network(*_: object) -> Path:
    raise AssertionError("the recipe wants to fetch a package")


def test_what_is_up_to_date_is_left_alone(
    recipe: ModuleType, vendor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "unpack", no_network)
    assert recipe.build(vendor) is False


@pytest.mark.parametrize("harm", ["changed", "missing", "added", "cut off", "other version"])
def test_whatever_differs_from_the_pins_is_built_again(
    recipe: ModuleType, vendor: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    manifest = json.loads((vendor / "manifest.json").read_text(encoding="utf-8"))
    htm = vendor / manifest["assets"]["htm"]
    match harm:
        case "changed":
            htm.write_text("alert(1)", encoding="utf-8")
        case "missing":
            htm.unlink()
        case "added":
            (vendor / "preact-1.0.0.mjs").touch()
        case "cut off":
            (vendor / "manifest.json").unlink()
        case _:
            manifest["pins"]["htm"]["version"] = "0.0.1"
            (vendor / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    monkeypatch.setattr(recipe, "unpack", no_network)
    with pytest.raises(AssertionError, match="wants to fetch"):
        recipe.build(vendor)


def test_every_library_comes_with_its_licence(vendor: Path) -> None:
    pins = json.loads((vendor / "manifest.json").read_text(encoding="utf-8"))["pins"]
    for name, pin in pins.items():
        assert (vendor / f"LICENSE-{name}-{pin['version']}.txt").stat().st_size > 1000
