"""A real PostgreSQL for tests: in a folder of its own, on a socket in it, ended by its process id."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

QUICK = {"fsync": "off", "full_page_writes": "off"}
"""For tests that kill nobody."""
_START_S = 30.0


def database_of(url: str) -> str:
    """The name in a URL of ours."""
    return url.partition("@/")[2].partition("?")[0]


def programs() -> Path:
    """Where initdb and pg_ctl are; skips where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("pg_ctl")
    if not found and on_path is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    return found[-1].parent if found else Path(str(on_path)).parent


class Server:
    """One server. Its role `hq` owns each database and is no superuser."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder, self.data = folder, folder / "data"
        self.bin = programs()
        self.settings = {
            "autovacuum": "off",
            "max_connections": "120", "shared_buffers": "32MB", "logging_collector": "off", **settings,
            "listen_addresses": "", "unix_socket_directories": str(folder),
        }  # fmt: skip

    def url(self, database: str = "postgres", user: str = "hq") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def make(self) -> None:
        self._run(
            "initdb",
            "-D",
            self.data,
            "-A",
            "trust",
            "-U",
            "postgres",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        )

    def start(self) -> None:
        options = " ".join(f"-c {key}='{value}'" for key, value in self.settings.items())
        self._run(
            "pg_ctl",
            "-D",
            self.data,
            "-l",
            self.folder / "log",
            "-o",
            options,
            "-w",
            "-t",
            int(_START_S),
            "start",
        )

    def stop(self, how: str = "fast") -> None:
        """`immediate` is a crash: nothing is written down any more."""
        self._run("pg_ctl", "-D", self.data, "-m", how, "-w", "stop")

    def kill(self) -> None:
        """Its postmaster and all it has started are gone at once."""
        os.kill(self.pid, signal.SIGSTOP)  # it starts nobody while we look
        children = subprocess.run(
            ["pgrep", "-P", str(self.pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        os.kill(self.pid, signal.SIGKILL)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        deadline = time.monotonic() + _START_S
        while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
            time.sleep(0.02)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def promote(self) -> None:
        """Make a standby the primary."""
        self._run("pg_ctl", "-D", self.data, "-w", "promote")

    @property
    def pid(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    @property
    def is_running(self) -> bool:
        return (self.data / "postmaster.pid").exists()

    def sql(self, text: str, database: str = "postgres") -> list[list[str]]:
        """As the superuser; rows as text."""
        out = self._run(
            "psql", "-h", self.folder, "-U", "postgres", "-d", database, "-qAt", "-F", "\t", "-c", text
        )
        return [line.split("\t") for line in out.splitlines()]

    def new_database(self, template: str = "template1") -> str:
        """A database of its own for one test; its URL."""
        name = f"t{secrets.token_hex(6)}"
        self.sql(f"create database {name} owner hq template {template}")
        return self.url(name)

    def twin(self) -> Server:
        """A server with the same settings and no data yet."""
        return Server(_folder(), dict(self.settings))

    def follow(self, primary: Server, name: str) -> None:
        """Become a copy that streams from `primary` under this name."""
        source = f"host={primary.folder} user=postgres application_name={name}"
        self._run(
            "pg_basebackup", "-D", self.data, "-d", source, "-R", "-X", "stream", "-c", "fast", "--no-sync"
        )
        (self.data / "postgresql.auto.conf").write_text(f"primary_conninfo = '{source}'\n")
        self.start()

    def _run(self, program: str, *arguments: object) -> str:
        command = [str(self.bin / program), *map(str, arguments)]
        if program != "psql" and os.geteuid() == 0:  # PostgreSQL refuses to be root
            command = ["runuser", "-u", "postgres", "--", *command]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder)
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
        return done.stdout


def _folder() -> Path:
    """Short, since a socket lies in it, and its owner is who runs the server."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    return folder


@contextlib.contextmanager
def running(settings: dict[str, str] | None = None) -> Iterator[Server]:
    """A server with the role `hq`, until the end of the block."""
    programs()
    server = Server(_folder(), QUICK if settings is None else settings)
    with ended(server):
        server.make()
        server.start()
        server.sql("create role hq login; grant pg_monitor to hq")
        yield server


@contextlib.contextmanager
def ended(server: Server) -> Iterator[Server]:
    """Ends a server and removes its folder."""
    try:
        yield server
    finally:
        if server.is_running:
            server.stop("immediate")
        shutil.rmtree(server.folder, ignore_errors=True)
