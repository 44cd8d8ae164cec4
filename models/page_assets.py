"""Builds `cloud_bridge/web/vendor/`: the page's three libraries, copied from pinned npm packages."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npm_pack import unpack

VENDOR = Path(__file__).resolve().parent.parent / "cloud_bridge" / "web" / "vendor"


@dataclass(frozen=True, slots=True)
class Package:
    """A pinned npm package; `files`: name the page asks for -> (path there, file name here)."""

    name: str
    version: str
    license: str
    sha256: str
    files: dict[str, tuple[str, str]]


PACKAGES = (
    Package(
        name="preact",
        version="11.2.0",
        license="MIT",
        sha256="3c4456766bd32b6b534d52bf4e9c2a29b33e7eedf6e96ed479300ba1a7888ebf",
        files={
            "preact": ("dist/preact.mjs", "preact-{version}.mjs"),
            "preact/hooks": ("hooks/dist/hooks.mjs", "preact-hooks-{version}.mjs"),
        },
    ),
    Package(
        name="htm",
        version="3.1.1",
        license="Apache-2.0",
        sha256="2425b9bee11409177bcabc7f32e319926fc6690c1701c0b257c88bdff2d5ba90",
        files={"htm": ("dist/htm.mjs", "htm-{version}.mjs")},
    ),
    Package(
        name="uplot",
        version="1.6.32",
        license="MIT",
        sha256="4b8a8191e425658e3ea8c8c1314b0fc679c861ee3a1af2b20c7b16ba50b5133d",
        files={
            "uplot.js": ("dist/uPlot.iife.min.js", "uplot-{version}.min.js"),
            "uplot.css": ("dist/uPlot.min.css", "uplot-{version}.min.css"),
        },
    ),
)


def build(vendor: Path = VENDOR) -> bool:
    """Fill `vendor` with the libraries, their licences and `manifest.json`; False when it was up to date.

    The manifest is written last, so a build that was cut off is repeated.
    Raises SystemExit with a sentence when a package cannot be fetched or has another digest.
    """
    if _is_current(vendor):
        return False
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "vendor"
        fresh.mkdir()
        for package in PACKAGES:
            _copy(
                package,
                unpack(package.name, package.version, package.sha256, Path(scratch) / package.name),
                fresh,
            )
        manifest = {"pins": _pins(), "assets": _assets(), "sha256": _digests(fresh)}
        shutil.rmtree(vendor, ignore_errors=True)
        shutil.copytree(fresh, vendor)
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    (vendor / "manifest.json").write_text(text, encoding="utf-8")
    return True


def _copy(package: Package, unpacked: Path, into: Path) -> None:
    for source, target in package.files.values():
        shutil.copyfile(unpacked / source, into / target.format(version=package.version))
    shutil.copyfile(unpacked / "LICENSE", into / f"LICENSE-{package.name}-{package.version}.txt")


def _is_current(vendor: Path) -> bool:
    try:
        manifest: dict[str, Any] = json.loads((vendor / "manifest.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return manifest.get("pins") == _pins() and manifest.get("sha256") == _digests(vendor)


def _pins() -> dict[str, dict[str, str]]:
    return {p.name: {"version": p.version, "license": p.license, "sha256": p.sha256} for p in PACKAGES}


def _assets() -> dict[str, str]:
    return {name: out.format(version=p.version) for p in PACKAGES for name, (_, out) in p.files.items()}


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.iterdir() if path.name != "manifest.json")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


if __name__ == "__main__":
    print(f"page assets: {'built' if build() else 'up to date'} in {VENDOR}")
