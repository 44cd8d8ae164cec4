"""What every test shares: loopback only, outside data, free ports."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.service.settings import is_loopback

LONG = {"browser", "e2e", "simulation", "vision"}
"""Folders whose tests wait for processes, live through thousands of histories or look at whole videos."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Where NO_SKIPS is set (CI), a skipped test is a failed one."""
    report = yield
    if os.environ.get("NO_SKIPS") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, so that at the end no core waits for the other."""
    items.sort(key=lambda item: item.path.parent.name not in LONG)


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test talks to anything but this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(str(address[0])):  # type: ignore[index]
            raise AssertionError(f"a test wants to reach {address}")
        return connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def outside_data() -> Path:
    """The folder of real pictures and video."""
    folder = os.environ.get("SHELF_EDGE_DATA")
    if not folder:
        pytest.skip("SHELF_EDGE_DATA is not set: the folder with real pictures and video")
    return Path(folder)


@pytest.fixture
def own_certificate(tmp_path: Path) -> tuple[Path, Path]:
    """(key, certificate) of an authority that nobody else knows, for 127.0.0.1."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed (apt-get install openssl)")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
    subprocess.run([*made, *subject], check=True, capture_output=True)
    return key, certificate
