"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("edge_agent", "cloud_bridge", "device_sims")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
DOCS = "\n".join(
    path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
)


def tracked() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, or git is not installed")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name]


def test_no_source_file_is_longer_than_400_lines() -> None:
    webs = (ROOT / "cloud_bridge/web", ROOT / "edge_agent/web")
    scripts = [p for web in webs for p in web.rglob("*.js") if "vendor" not in p.parts]
    sizes = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in [*SOURCES, *scripts]}
    assert {name: lines for name, lines in sizes.items() if lines > 400} == {}


def test_every_module_says_its_job_in_its_first_line() -> None:
    silent = [str(p.relative_to(ROOT)) for p in SOURCES if not ast.get_docstring(ast.parse(p.read_text()))]
    assert silent == []


def test_only_the_supervisor_and_the_writer_swallow_any_exception() -> None:
    """Whoever else catches everything raises again; the writer and the threads hand the error to those who
    wait for it."""

    def swallows(handler: ast.ExceptHandler) -> bool:
        caught = ast.unparse(handler.type) if handler.type else "BaseException"
        broad = re.search(r"\b(Exception|BaseException)\b", caught)
        return bool(broad) and not any(isinstance(node, ast.Raise) for node in ast.walk(handler))

    found = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and swallows(node)
    }
    assert found == {"edge_agent/supervisor.py", "edge_agent/journal/writer.py", "edge_agent/service/loop.py"}


def imported(path: Path) -> set[str]:
    """Everything that a file imports, also inside functions: `from a import b` counts as `a.b`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize(
    ("package", "knows"),
    [
        ("edge_agent", ()),
        ("cloud_bridge", ("edge_agent.contract", "edge_agent.service")),
        ("device_sims", ("edge_agent.contract", "edge_agent.service")),
    ],
)
def test_a_package_knows_of_the_others_only_what_is_for_all(package: str, knows: tuple[str, ...]) -> None:
    """So a simulator, written from the protocol's text, shares no constant with a driver: it would hide a
    shared mistake. The import linter lists what is forbidden; this also holds for what is new."""
    others = tuple(other for other in PACKAGES if other != package)
    strangers = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / package).rglob("*.py")
        for name in imported(path)
        if name.split(".")[0] in others and not any(f"{name}.".startswith(f"{one}.") for one in knows)
    }
    assert strangers == set()


def test_a_program_under_the_gpl_is_only_started_never_imported() -> None:
    """sllurp runs in a process of its own, in one script that nobody imports."""
    known = {path.name: imported(path) for path in [*SOURCES, *(ROOT / "tests").rglob("*.py")]}
    users = {file for file, names in known.items() if any(name.split(".")[0] == "sllurp" for name in names)}
    assert users == {"sllurp_client.py"}
    assert not any("sllurp_client" in name for names in known.values() for name in names)


@pytest.mark.parametrize(
    "module", ["edge_agent.cli", "edge_agent.app", "cloud_bridge.cli", "cloud_bridge.app", "device_sims.cli"]
)
def test_heavy_imports_stay_lazy(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'cv2', 'onnxruntime', 'numpy'}} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert shown.stdout.strip() == "[]"


def test_hq_needs_neither_camera_nor_serial_nor_mqtt() -> None:
    code = (
        "import sys\n"
        "for name in ('cv2', 'onnxruntime', 'numpy', 'serial', 'paho', 'iotcore'): sys.modules[name] = None\n"
        "import cloud_bridge.app, cloud_bridge.cli, edge_agent.contract.messages"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("command", ["edge-agent", "cloud-bridge"])
def test_the_generated_schemas_are_fresh(command: str) -> None:
    module = command.replace("-", "_")
    made = subprocess.run(
        [sys.executable, "-m", module, "schema"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    kept = ROOT / "configs" / ("store.schema.json" if command == "edge-agent" else "bridge.schema.json")
    assert json.loads(kept.read_text()) == json.loads(made), "run: make schema"


@pytest.mark.parametrize("package", ["cloud_bridge", "edge_agent"])
def test_catalogues_have_the_same_keys(package: str) -> None:
    english, chinese = (
        json.loads((ROOT / f"{package}/web/i18n/{code}.json").read_text()) for code in ("en", "zh-CN")
    )
    assert english.keys() == chinese.keys()


def test_the_camera_page_asks_for_no_word_that_its_catalogue_lacks_nor_has_it_one_too_many() -> None:
    known = json.loads((ROOT / "edge_agent/web/i18n/en.json").read_text()).keys()
    scripts = "\n".join(path.read_text() for path in sorted((ROOT / "edge_agent/web").glob("*.js")))
    assert set(re.findall(r"\bt\('([^']+)'", scripts)) - known == set()
    begun = tuple(re.findall(r"`([a-z]+\.)\$\{", scripts))
    ended = tuple(re.findall(r"\}(\.[a-z]+)`", scripts))
    unasked = [key for key in known if f"'{key}'" not in scripts]
    assert [key for key in unasked if not key.startswith(begun) and not key.endswith(ended)] == []


def test_every_command_is_documented() -> None:
    from cloud_bridge.cli import app as bridge
    from device_sims.cli import app as sims
    from edge_agent.cli import app as agent

    missing = []
    for program, typed in (("edge-agent", agent), ("cloud-bridge", bridge), ("device-sims", sims)):
        names = [c.name or c.callback.__name__.rstrip("_") for c in typed.registered_commands if c.callback]
        for group in typed.registered_groups:
            inner = group.typer_instance
            names += [
                f"{group.name} {c.name or c.callback.__name__.rstrip('_')}"
                for c in (inner.registered_commands if inner else [])
                if c.callback
            ]
        missing += [f"{program} {name}" for name in names if f"{program} {name}" not in DOCS]
    assert missing == []


def test_every_error_code_is_documented() -> None:
    codes = {code for path in SOURCES for code in re.findall(r'code = "(E-[A-Z-]+)"', path.read_text())}
    assert {code for code in codes if code not in DOCS} == set()


def test_every_metric_is_documented() -> None:
    pattern = re.compile(r'(?:Counter|Gauge|Histogram)(?:MetricFamily)?\(\s*"((?:edge|hq)_\w+)"')
    names = {name for path in SOURCES for name in pattern.findall(path.read_text())}
    assert names
    assert {name for name in names if name not in DOCS} == set()


def test_no_large_file_and_no_path_of_this_machine_is_committed() -> None:
    home = re.compile(r"(?<![\w.~-])/(?:home|root|Users|work)/\w")
    for path in tracked():
        if not path.exists():
            continue
        largest = (
            3_000_000 if path.name == "gap-net.onnx" else 2_000_000
        )  # our own weights have no other home
        assert path.stat().st_size < largest, path
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".js", ".css", ".html", ".sh"}:
            assert not home.search(path.read_text(encoding="utf-8")), path


def drivers() -> list[str]:
    from edge_agent.drivers import DRIVERS

    return list(DRIVERS)


@pytest.mark.parametrize("driver", drivers())
def test_every_driver_has_an_example_a_line_of_documentation_and_its_settings(driver: str) -> None:
    from edge_agent.config.store import DEVICE_KINDS

    example = (ROOT / "configs/store.example.yaml").read_text(encoding="utf-8")
    assert driver in DEVICE_KINDS
    assert re.search(rf"driver: {driver}\b", example)
    assert f"\n| `{driver}` |" in (ROOT / "docs/reference.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("driver", [name for name in drivers() if name != "camera"])
def test_every_driver_of_bytes_has_a_decoder_a_simulator_and_a_recording(driver: str) -> None:
    """The simulator is the one whose dialogue record_all.py records; pictures are neither recorded nor decoded."""
    from edge_agent.drivers.decode import DECODERS

    benches = ast.parse((ROOT / "tests/edge_agent/live/record_all.py").read_text(encoding="utf-8"))
    named = {node.value for node in ast.walk(benches) if isinstance(node, ast.Constant)}
    assert driver in DECODERS
    assert driver in named
    for suffix in (".jsonl", ".readings.jsonl"):
        assert (ROOT / "tests/golden/recordings" / f"{driver}{suffix}").stat().st_size > 0
