"""The store.yaml of a simulated store is one that the real agent accepts."""

from pathlib import Path

from device_sims.broker import Broker, User
from device_sims.scenario import load_scenario
from device_sims.store_file import AgentFiles, Places, store_yaml
from edge_agent.config.store import ENV_PREFIX, Camera, ImpinjR700, MtSics, StoreSettings
from edge_agent.service.settings import load


def test_the_agent_reads_every_device_as_it_is_meant(tmp_path: Path) -> None:
    scenario = load_scenario("demo")
    places = Places(
        ports={one.id: f"/tty/{one.id}" for one in scenario.equipment if one.id.startswith("scale")},
        broker=Broker("mosquitto", 1884, 1884, User("agent", "a"), User("reader", "r"), tmp_path / "pw"),
        camera_source="http://127.0.0.1:9/door.mjpeg",
        camera_line=((100, 300), (500, 300)),
        uplink_url="http://127.0.0.1:9",
    )
    path = tmp_path / "store.yaml"
    path.write_text(
        store_yaml(scenario, places, AgentFiles(tmp_path / "var", tmp_path / "token", 8788)), "utf-8"
    )
    settings = load(path, StoreSettings, env_prefix=ENV_PREFIX, environ={})
    assert settings.agent.http.port == 8788
    assert settings.mqtt is not None
    assert settings.mqtt.url == "mqtt://127.0.0.1:1884"
    assert settings.uplink is not None
    assert [facing.id for facing in settings.facings] == [facing.id for facing in scenario.facings]
    scales = [device for device in settings.devices if isinstance(device, MtSics)]
    assert [(s.port, s.facings) for s in scales] == [(f"/tty/{s.id}", [s.id[6:].upper()]) for s in scales]
    (reader,) = [device for device in settings.devices if isinstance(device, ImpinjR700)]
    assert reader.places() == {n: facing.id for n, facing in enumerate(scenario.facings, 1)}
    (camera,) = [device for device in settings.devices if isinstance(device, Camera)]
    assert camera.footfall is not None
    assert camera.footfall.lines[0].end == [500, 300]


def test_truth_is_not_in_it(tmp_path: Path) -> None:
    text = store_yaml(load_scenario("demo"), Places(ports={}), AgentFiles(tmp_path))
    assert "on_hand" not in text


def test_a_store_without_hq_has_no_uplink(tmp_path: Path) -> None:
    path = tmp_path / "store.yaml"
    path.write_text(store_yaml(load_scenario("demo"), Places(ports={}), AgentFiles(tmp_path)), "utf-8")
    assert load(path, StoreSettings, env_prefix=ENV_PREFIX, environ={}).uplink is None
