"""`cloud-bridge` as an operator runs it: real processes, alone and beside a running bridge."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing

import pytest
from typer.testing import CliRunner

from cloud_bridge.cli import app, main

COMMAND = [sys.executable, "-m", "cloud_bridge"]


@pytest.fixture
def operator(tmp_path, monkeypatch, capsys):
    """Runs commands in its own folder and keeps processes to end."""

    (tmp_path / "bridge.yaml").touch()

    class Operator:
        folder = tmp_path

        def __init__(self):
            self.processes = []

        def run(self, *words, config="bridge.yaml"):
            """One command through its entry point; `start` and `process` are real processes."""
            monkeypatch.chdir(tmp_path)
            monkeypatch.setattr(sys, "argv", ["cloud-bridge", *words, "-c", config])
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
            out, err = capsys.readouterr()
            return subprocess.CompletedProcess(words, ended.value.code or 0, out, err)

        def process(self, *words):
            command = [*COMMAND, *words, "-c", "bridge.yaml"]
            return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)

        def facts(self, *words):
            done = self.run(*words, "--json")
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        def start(self):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            (tmp_path / "bridge.yaml").write_text(f"http: {{port: {self.port}}}\ndata_dir: ./hq\n")
            process = subprocess.Popen(
                [*COMMAND, "run", "-c", "bridge.yaml"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
            )
            self.processes.append(process)
            line = process.stderr.readline()
            assert "listens on" in line, line + process.stderr.read()
            return process

        def status(self, path, token):
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {token}"}
            )
            try:
                with urllib.request.urlopen(request, timeout=10) as reply:
                    return reply.status
            except urllib.error.HTTPError as error:
                with error:
                    return error.code

    yield (made := Operator())
    for process in made.processes:
        process.kill()
        process.communicate()


def test_tokens_are_printed_once_and_listed_never(operator):
    added = operator.facts("store", "add", "s1")
    assert added.keys() == {"store", "token"}
    token = operator.facts("token", "add", "erp", "--role", "viewer")
    assert token.keys() == {"name", "token"}
    listed = operator.facts("token", "list")["items"]
    assert [(t["name"], t["role"], t["revoked_at"]) for t in listed] == [("erp", "viewer", None)]
    assert operator.facts("store", "list")["items"][0]["status"] == "offline"
    assert operator.run("token", "revoke", "erp").returncode == 0
    assert operator.run("token", "revoke", "erp").returncode == 1
    plain = operator.run("store", "add", "s2").stdout
    assert plain.startswith("store_")
    assert len(plain.split()) == 1
    people = operator.facts("user", "add", "lin", "--role", "admin")
    assert people["url"].startswith("http://127.0.0.1:8780/login?code=")
    assert operator.facts("user", "list")["items"][0]["name"] == "lin"


def test_commands_beside_a_running_bridge_work_through_it_at_once(operator):
    operator.start()
    token = operator.facts("token", "add", "erp", "--role", "viewer")["token"]
    assert operator.status("/v1/stores", token) == 200
    assert f":{operator.port}/login?code=" in operator.facts("user", "add", "lin", "--role", "ops")["url"]
    assert operator.run("token", "revoke", "erp").returncode == 0
    assert operator.status("/v1/stores", token) == 401
    refused = operator.run("store", "revoke", "nowhere")
    assert refused.returncode == 1
    assert "Error: store 'nowhere' has no live token" in refused.stderr
    assert operator.run("audit").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_service_cleanly_with_a_stream_open(operator, number):
    process = operator.start()
    token = operator.facts("token", "add", "erp", "--role", "viewer")["token"]
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{operator.port}/v1/stream", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as stream:
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(15) == 0
        assert time.monotonic() - began < 10
        assert stream.read() == b": follows\n\n"
    assert "Traceback" not in process.stderr.read()
    assert not (operator.folder / "hq/control.sock").exists()


def test_a_killed_bridge_leaves_nothing_that_stops_the_next(operator):
    process = operator.start()
    token = operator.facts("token", "add", "erp", "--role", "viewer")["token"]
    process.kill()
    process.wait()
    assert operator.facts("token", "list")["items"][0]["name"] == "erp"
    operator.start()
    assert operator.status("/v1/stores", token) == 200


def test_two_bridges_never_share_a_data_dir(operator):
    operator.start()
    second = operator.process("run")
    assert second.returncode == 2
    assert "in use by another cloud-bridge" in second.stderr
    assert "Traceback" not in second.stderr


def _newer_database(operator):
    operator.facts("store", "add", "s1")
    with closing(sqlite3.connect(operator.folder / "var/hq/bridge.sqlite3")) as connection:
        connection.execute("pragma user_version = 999")


def _broken_database(operator):
    (operator.folder / "var/hq").mkdir(parents=True)
    (operator.folder / "var/hq/bridge.sqlite3").write_bytes(
        b"this is no database, whatever it is called" * 50
    )


def _file_in_the_way(operator):
    (operator.folder / "var").write_text("")


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (_newer_database, "schema version 999"),
        (_broken_database, "not a database"),
        (_file_in_the_way, "Not a directory"),
    ],
)
def test_data_that_cannot_be_used_is_one_clear_line(operator, prepare, says):
    prepare(operator)
    for done in (operator.process("run"), operator.run("store", "list")):
        assert done.returncode in (1, 2)
        assert says in done.stderr
        assert "Try: " in done.stderr
        assert "Traceback" not in done.stderr


def test_a_taken_port_is_one_clear_line(operator):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (operator.folder / "bridge.yaml").write_text(f"http: {{port: {taken.getsockname()[1]}}}\n")
        done = operator.process("run")
    assert done.returncode == 2
    assert "cannot be listened on" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http: {port: 99999}", "bridge.yaml:1:14 http.port"),
        ("htp: {}", "did you mean 'http'?"),
        ("safe: replica", "bridge.yaml:1:7 safe: found 'replica', allowed with sqlite: applied, backup"),
        ("database: postgresql://hq@db/hq\nsafe: backup", "allowed with postgresql: applied, replica"),
        ("password_file: secret", "password_file: only for database: postgresql://"),
        ("http: {host: 0.0.0.0}", "beyond loopback"),
        ("retention: {events_days: 0}", "retention.events_days"),
        ("promises: {hold_ttl_s: 90000}", "hold_ttl_s 90000 is above max_ttl_s 86400"),
        ("[", "not valid YAML"),
    ],
)
def test_a_wrong_configuration_is_told_with_its_place(operator, text, says):
    (operator.folder / "bridge.yaml").write_text(text)
    done = operator.run("check")
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_check_touches_nothing_and_the_environment_counts(operator, monkeypatch):
    facts = operator.facts("check")
    assert facts["url"] == "http://127.0.0.1:8780"
    assert not (operator.folder / "var").exists()
    monkeypatch.setenv("CLOUD_BRIDGE__HTTP__PORT", "9999")
    assert operator.facts("check")["url"] == "http://127.0.0.1:9999"
    assert operator.run("check", config="nowhere.yaml").returncode == 2


def test_audit_finds_a_corrupted_row(operator):
    operator.facts("store", "add", "s1")
    assert operator.facts("audit")["items"][0]["ok"] is True
    with closing(
        sqlite3.connect(operator.folder / "var/hq/bridge.sqlite3", isolation_level=None)
    ) as connection:
        connection.execute(
            "insert into ledger values ('s1', 1, 1, x'00', x'00', 'k', 1, '', '', '', 0, '{}')"
        )
    failed = operator.run("audit", "s1", "--json")
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["items"][0]["problems"]
    assert operator.run("audit", "nowhere").returncode == 1


def test_doctor_ends_with_1_only_when_something_failed(operator):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        (operator.folder / "bridge.yaml").write_text(f"http: {{port: {taken}}}\n")
        failed = operator.run("doctor")
    assert failed.returncode == 1
    assert f"FAIL  port           127.0.0.1:{taken} cannot be listened on" in failed.stdout
    assert "      Try: stop what listens there" in failed.stdout
    (operator.folder / "bridge.yaml").write_text("http: {port: none}\n")
    assert operator.run("doctor").returncode == 2


def test_wrong_words_are_status_2(operator):
    assert operator.run("token", "add", "erp", "--role", "king").returncode == 2
    assert operator.run("store", "add", "no/slash").returncode == 2
    assert operator.process("audit", "--colour").returncode == 2


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["check"],
        ["doctor"],
        ["audit"],
        ["backup"],
        ["restore"],
        ["schema"],
        ["store", "add"],
        ["token", "revoke"],
        ["user", "list"],
    ],
)
def test_help_has_an_example(words):
    shown = CliRunner().invoke(app, [*words, "--help"])
    assert "Example: cloud-bridge" in shown.stdout
