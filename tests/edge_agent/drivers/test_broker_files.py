"""The shipped mosquitto files: who gets in, who may say and hear what, and the agent behind TLS and a password."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

CONFIGS = Path(__file__).parents[3] / "configs"
SEARCH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
DEBIAN = """\
user root
pid_file {folder}/mosquitto.pid
persistence true
persistence_location {folder}/
include_dir {folder}/conf.d
"""
"""What stands in Debian's own mosquitto.conf, which includes the shipped one: some words may stand only once."""
USERS = {"agent": "agent-secret", "shelf01": "one", "shelf02": "two"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Store:
    """A broker from the shipped files, and what is needed to reach it."""

    def __init__(self, folder: Path, certificate: Path, ports: tuple[int, int]) -> None:
        self.folder, self.certificate = folder, certificate
        self.port, self.tls_port = ports

    @contextmanager
    def connected(self, user: str | None, password: str | None = None) -> Iterator[Client]:
        """A v5 client over TLS."""
        client = Client(self, user, password if password is not None else USERS.get(user or ""))
        try:
            yield client
        finally:
            client.close()


class Client:
    def __init__(self, store: Store, user: str | None, password: str | None) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.answer, self._news = "", threading.Condition()
        self._paho = paho.Client(
            paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        if user is not None:
            self._paho.username_pw_set(user, password)
        self._paho.tls_set(str(store.certificate))
        self._paho.on_connect = lambda _c, _u, _f, reason, _p: self._say(str(reason))
        self._paho.on_message = lambda _c, _u, m: self._hear(m.topic, bytes(m.payload))
        self._puback: dict[int, str] = {}
        self._paho.on_publish = lambda _c, _u, mid, reason, _p: self._done(mid, str(reason))
        self._granted = threading.Event()
        self._paho.on_subscribe = lambda *_: self._granted.set()
        self._paho.connect("127.0.0.1", store.tls_port, properties=Properties(PacketTypes.CONNECT))  # type: ignore[no-untyped-call]
        self._paho.loop_start()
        self.wait(lambda: self.answer)

    def _say(self, answer: str) -> None:
        with self._news:
            self.answer = answer
            self._news.notify_all()

    def _hear(self, topic: str, payload: bytes) -> None:
        with self._news:
            self.heard.append((topic, payload))
            self._news.notify_all()

    def _done(self, mid: int, reason: str) -> None:
        with self._news:
            self._puback[mid] = reason
            self._news.notify_all()

    def wait(self, condition: Callable[[], object]) -> None:
        with self._news:
            assert self._news.wait_for(condition, 20), self.heard

    def publish(self, topic: str, payload: str) -> str:
        """QoS 1; the broker's reason."""
        mid = self._paho.publish(topic, payload, qos=1).mid
        self.wait(lambda: mid in self._puback)
        return self._puback[mid]

    def subscribe(self, topic: str) -> None:
        self._granted.clear()
        self._paho.subscribe(topic, 1)
        assert self._granted.wait(10)

    def close(self) -> None:
        self._paho.disconnect()
        self._paho.loop_stop()


@pytest.fixture
def store(tmp_path: Path, own_certificate: tuple[Path, Path]) -> Iterator[Store]:
    mosquitto = shutil.which("mosquitto", path=SEARCH)
    passwords = shutil.which("mosquitto_passwd", path=SEARCH)
    if mosquitto is None or passwords is None:
        pytest.skip("mosquitto is not installed: apt install mosquitto")
    key, certificate = own_certificate
    users = tmp_path / "store.passwd"
    users.touch(0o600)
    for user, password in USERS.items():
        subprocess.run([passwords, "-b", str(users), user, password], check=True, capture_output=True)
    port, tls_port = free_port(), free_port()
    text = (CONFIGS / "mosquitto/mosquitto.conf").read_text(encoding="utf-8")
    for shipped, here in {
        "listener 1883 127.0.0.1": f"listener {port} 127.0.0.1",
        "listener 8883": f"listener {tls_port} 127.0.0.1",
        "/etc/mosquitto/certs/broker.crt": str(certificate),
        "/etc/mosquitto/certs/broker.key": str(key),
        "/etc/mosquitto/store.passwd": str(users),
        "/etc/mosquitto/store.acl": str(tmp_path / "store.acl"),
    }.items():
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, here)
    acl = (CONFIGS / "mosquitto/acl").read_text(encoding="utf-8")
    (tmp_path / "store.acl").write_text(acl, encoding="utf-8")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/store.conf").write_text(text, encoding="utf-8")
    own = tmp_path / "mosquitto.conf"
    own.write_text(DEBIAN.format(folder=tmp_path), encoding="utf-8")
    with (tmp_path / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen([mosquitto, "-c", own], stdout=log, stderr=log)
    try:
        _until(lambda: _answers(tls_port), (tmp_path / "mosquitto.log").read_text)
        yield Store(tmp_path, certificate, (port, tls_port))
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def _until(condition: Callable[[], object], why: Callable[[], str]) -> None:
    """Wait for another process, which tells nobody."""
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends, why()
        time.sleep(0.05)


@pytest.mark.parametrize(("user", "password"), [(None, None), ("agent", "guess"), ("ghost", "one")])
def test_nobody_gets_in_without_a_name_and_its_password(
    store: Store, user: str | None, password: str | None
) -> None:
    with store.connected(user, password) as client:
        assert client.answer in ("Not authorized", "Bad user name or password")


def test_the_network_listener_speaks_tls_only(store: Store) -> None:
    client, told = paho.Client(paho.CallbackAPIVersion.VERSION2), list[str]()
    client.username_pw_set("agent", USERS["agent"])
    client.on_connect = lambda *_: told.append("connected")
    client.connect("127.0.0.1", store.tls_port)
    ends = [client.loop(0.1) for _ in range(20)]
    client.disconnect()
    assert set(ends) != {paho.MQTT_ERR_SUCCESS}, "neither refused nor closed"
    assert told == []


def test_a_device_publishes_only_its_own_topics_and_reads_nothing(store: Store) -> None:
    with store.connected("agent") as agent, store.connected("shelf01") as shelf:
        agent.subscribe("#")
        shelf.subscribe("#")
        for foreign in ("homie/shelf02/state", "store/store-0042/edge/state", "zigbee2mqtt/x", "rfid/x/e"):
            assert shelf.publish(foreign, "forged") == "Not authorized"
        assert shelf.publish("homie/shelf01/scales/1/mass", "0.5") == "Success"
        agent.wait(lambda: agent.heard)
        assert agent.publish("homie/shelf01/scales/1/mass", "1") == "Not authorized"
        assert agent.publish("store/store-0042/edge/state", "x") == "Success"
        assert agent.publish("store/store-0043/edge/state", "x") == "Not authorized"
        agent.wait(lambda: len(agent.heard) >= 2)
        own = ("homie/shelf01/scales/1/mass", b"0.5")
        assert agent.heard == [own, ("store/store-0042/edge/state", b"x")]
        assert shelf.heard == []


STORE_YAML = """\
store: {{id: store-0042}}
agent: {{data_dir: ./edge, http: {{port: {http}}}}}
mqtt: {{url: "mqtts://127.0.0.1:{port}", username: agent, password_file: ./mqtt.password, ca_file: {ca}}}
products: [{{gtin: "06901234567892", unit_weight_g: 100.0}}]
facings: [{{id: A1, gtin: "06901234567892", capacity: 24}}]
devices:
  - id: shelf01
    driver: mqtt-json
    topic: "homie/{{id}}/scales/{{channel}}/mass"
    weight: {{unit: kg}}
    channels: {{"1": [A1]}}
"""


def edge_agent(store: Store, *words: str) -> list[str]:
    return [sys.executable, "-m", "edge_agent", *words, "-c", str(store.folder / "store.yaml")]


def write_store(store: Store, password: str = USERS["agent"]) -> int:
    http = free_port()
    text = STORE_YAML.format(http=http, port=store.tls_port, ca=store.certificate)
    (store.folder / "store.yaml").write_text(text)
    (store.folder / "mqtt.password").write_text(password)
    return http


def test_the_agent_reads_over_tls_with_its_password_and_leaves_a_will_when_killed(store: Store) -> None:
    write_store(store)
    with store.connected("agent") as watching, store.connected("shelf01") as shelf:
        watching.subscribe("store/#")
        running = subprocess.Popen(edge_agent(store, "run"), stderr=subprocess.DEVNULL)
        try:
            watching.wait(lambda: any(b'"online"' in payload for _, payload in watching.heard))
            for _ in range(40):
                shelf.publish("homie/shelf01/scales/1/mass", "0.500")
            status = [*edge_agent(store, "status"), "--json"]

            def on_hand() -> object:
                shelf.publish("homie/shelf01/scales/1/mass", "0.500")
                asked = subprocess.run(status, capture_output=True)
                return asked.returncode == 0 and json.loads(asked.stdout)["facings"][0]["on_hand"] == 5

            _until(on_hand, lambda: subprocess.run(status, capture_output=True, text=True).stdout)
        finally:
            running.send_signal(signal.SIGKILL)
            running.wait(10)
        will = ("store/store-0042/edge/state", b'{"status":"offline"}')
        watching.wait(lambda: will in watching.heard)


def doctor(store: Store, status: int) -> dict[str, dict[str, Any]]:
    done = subprocess.run([*edge_agent(store, "doctor"), "--json"], capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return {finding["what"]: finding for finding in json.loads(done.stdout)}


def test_doctor_logs_in_and_says_which_device_is_heard(store: Store) -> None:
    write_store(store)
    quiet = doctor(store, 0)
    assert quiet["broker"]["level"] == "ok"
    assert "MQTT 5" in quiet["broker"]["text"]
    assert quiet["shelf01"]["level"] == "warn"
    assert "acl_file" in quiet["shelf01"]["hint"]
    over = threading.Event()

    def weigh() -> None:
        with store.connected("shelf01") as shelf:
            while not over.is_set():
                shelf.publish("homie/shelf01/scales/1/mass", "0.5")
                over.wait(0.1)

    weighing = threading.Thread(target=weigh)
    weighing.start()
    try:
        heard = doctor(store, 0)
    finally:
        over.set()
        weighing.join()
    assert heard["shelf01"]["level"] == "ok"
    write_store(store, password="wrong")
    refused = doctor(store, 1)
    assert refused["broker"]["level"] == "FAIL"
    assert "mqtt.password_file" in refused["broker"]["hint"]
