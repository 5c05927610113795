# SPDX-License-Identifier: Apache-2.0
"""--metrics: scraped by a Prometheus server of the test's own, checked by promtool, read by the Python client."""

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
from conditions import eventually
from daemon import Daemon
from frontend import program
from prometheus_client.parser import text_string_to_metric_families
from scene import Scene

SCRAPE_S = 1


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(name="endpoint", scope="module")
def _endpoint():
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(name="scene", scope="module")
def _scene(endpoint):
    with Scene(args=["--metrics", endpoint]) as scene:
        yield scene
        scene.daemon.assert_books_balance()


@pytest.fixture(name="known", scope="module")
def _known(scene):
    """Traffic whose every figure is known: 3 datagrams pass, 2 are denied; the fourth flow is the marker's."""
    scene.fresh(dfw={"sections": [{"name": "app", "rules": [
        {"name": "no-dns", "action": "drop", "services": ["udp/53"]},
        {"name": "rest", "action": "allow"}]}]})
    for _ in range(3):
        scene.passes(scene.udp("vm1", "vm2"), "vm1", "vm2")
    for _ in range(2):
        scene.is_dropped(scene.udp("vm1", "vm2", dport=53), "vm1", "vm2", "dfw_deny")
    return len(bytes(scene.udp("vm1", "vm2")))


def get(endpoint, path="/metrics", method="GET"):
    request = urllib.request.Request(f"http://{endpoint}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


def samples(endpoint):
    """{(name, frozenset of labels): value} by the reference parser."""
    found = {}
    for family in text_string_to_metric_families(get(endpoint)[2]):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"twice: {sample}"
            found[key] = sample.value
    return found


def value(found, metric, **labels):
    return found[(metric, frozenset(labels.items()))]


def expected(size):
    """(name, labels, value) of the known traffic: 5 datagrams and 2 markers of 60 bytes."""
    slot = {"slot": "2", "name": "dfw", "direction": "from-vm"}
    denied = {"section": "app", "rule": "no-dns"}
    return [
        ("sluice_port_receive_packets_total", {"port": "vm1"}, 7),
        ("sluice_port_receive_bytes_total", {"port": "vm1"}, 5 * size + 120),
        ("sluice_port_transmit_packets_total", {"port": "vm2"}, 5),
        ("sluice_port_transmit_bytes_total", {"port": "vm2"}, 3 * size + 120),
        ("sluice_port_dropped_packets_total", {"port": "vm1", "reason": "dfw_deny"}, 2),
        ("sluice_slot_packets_total", {"port": "vm1", **slot}, 7),
        ("sluice_slot_dropped_packets_total", {"port": "vm1", **slot}, 2),
        ("sluice_rule_hits_total", denied, 2),
        ("sluice_rule_packets_total", denied, 2),
        ("sluice_rule_bytes_total", denied, 2 * size),
        ("sluice_rule_hits_total", {"section": "app", "rule": "rest"}, 1),
        ("sluice_rule_packets_total", {"section": "app", "rule": "rest"}, 3),
        ("sluice_worker_packets_total", {"worker": "0"}, 7),
        ("sluice_connections", {}, 1),
        ("sluice_port_up", {"port": "vm1"}, 1),
        ("sluice_books_received_packets_total", {}, 7),
        ("sluice_books_sent_packets_total", {}, 5),
        ("sluice_books_dropped_packets_total", {}, 2),
        ("sluice_books_unaccounted_packets", {}, 0),
        ("sluice_config_generation", {}, 2),
    ]


def test_figures_are_those_of_the_cli(scene, endpoint, known):
    found = samples(endpoint)
    for name, labels, wanted in expected(known):
        assert value(found, name, **labels) == wanted, (name, labels)
    hits, misses = (value(found, f"sluice_worker_flow_{kind}_total", worker="0") for kind in ("hits", "misses"))
    assert hits + misses == 7 and misses >= 3
    audit = scene.daemon.cli("show", "drops", "--audit")
    assert value(found, "sluice_books_received_packets_total") == audit["received"]
    assert value(found, "sluice_worker_busy_cycles_total", worker="0") > 0
    assert value(found, "sluice_buffers") > value(found, "sluice_buffers_in_use") >= 0


def test_promtool_has_nothing_to_say(scene, endpoint, known):
    assert known and scene
    done = subprocess.run(["promtool", "check", "metrics"], input=get(endpoint)[2], capture_output=True, text=True,
                          check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_answers_only_what_it_should(scene, endpoint):
    assert scene
    status, headers, _ = get(endpoint)
    assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert get(endpoint, "/")[0] == 404
    assert get(endpoint, "/metricsx")[0] == 404
    status, headers, _ = get(endpoint, method="POST")
    assert status == 405 and headers["Allow"] == "GET"


def test_bad_scrapers_are_cut_off_alone(scene, endpoint):
    assert scene
    host, port = endpoint.split(":")
    for request in (b"nonsense\r\n\r\n", b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 20000 + b"\r\n\r\n",
                    b"GET /metrics HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=10) as bad:
            try:
                bad.sendall(request)
                assert b"200 OK" not in bad.recv(4096)
            except ConnectionError:
                pass
    idle = [socket.create_connection((host, int(port)), timeout=10) for _ in range(40)]
    for each in idle:
        each.close()
    eventually(lambda: get_or_none(endpoint) == 200, "a scrape after forty idle connections")


def get_or_none(endpoint):
    try:
        return get(endpoint)[0]
    except OSError:
        return None


@pytest.fixture(name="prometheus", scope="module")
def _prometheus(scene, endpoint, known, tmp_path_factory):
    """A Prometheus server that scrapes the daemon: its address."""
    assert scene and known
    folder = tmp_path_factory.mktemp("prometheus")
    config = folder / "prometheus.yml"
    config.write_text(json.dumps({
        "global": {"scrape_interval": f"{SCRAPE_S}s"},
        "scrape_configs": [{"job_name": "sluice", "static_configs": [{"targets": [endpoint]}]}]}))
    address = f"127.0.0.1:{free_port()}"
    log = open(folder / "log", "wb")
    server = subprocess.Popen(["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
                               f"--web.listen-address={address}"], stdout=log, stderr=log,
                              env={**os.environ, "GOMAXPROCS": "1"})
    try:
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        log.close()


def query(prometheus, expression):
    """[(labels, value)] of an instant query; [] while the server is not up."""
    url = f"http://{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            result = json.load(answer)["data"]["result"]
    except OSError:
        return []
    return [(row["metric"], float(row["value"][1])) for row in result]


def test_prometheus_stores_the_right_values(prometheus, endpoint, known):
    eventually(lambda: [value for _, value in query(prometheus, 'up{job="sluice"}')] == [1.0], "a good scrape", 60, 0.2)
    for name, labels, wanted in expected(known):
        selector = ",".join(f"{key}={json.dumps(text)}" for key, text in {**labels, "instance": endpoint}.items())
        rows = query(prometheus, f"{name}{{{selector}}}")
        assert len(rows) == 1, (name, labels, rows)
        assert rows[0][1] == wanted, (name, labels, rows)
    types = json.load(urllib.request.urlopen(f"http://{prometheus}/api/v1/metadata", timeout=5))["data"]
    assert types["sluice_port_dropped_packets_total"][0]["type"] == "counter"
    assert types["sluice_connections"][0]["type"] == "gauge"


def test_a_bad_address_is_one_sentence():
    for text in ("9474", "localhost:9474", "127.0.0.1:0", "127.0.0.1:70000", "[127.0.0.1]:9474", "::1:9474"):
        done = subprocess.run([program("sluiced"), "--metrics", text], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr == f"sluiced: --metrics {text}: expected ADDR:PORT such as 127.0.0.1:9474 or [::1]:9474\n"


def test_a_taken_port_is_one_sentence(scene, endpoint):
    assert scene
    other = Daemon(args=["--metrics", endpoint], start=False)
    try:
        done = subprocess.run(other.command(), capture_output=True, text=True, timeout=30, check=False)
    finally:
        other.__exit__(None, None, None)
    assert done.returncode == 1
    assert f"--metrics {endpoint}: can't listen: Address already in use" in done.stderr
