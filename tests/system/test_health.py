# SPDX-License-Identifier: Apache-2.0
"""Health: packets move, or `sluice health` says why not; real stalls of real threads, alarms that come and go."""

import json
import os
import subprocess
import time

import pytest
from conditions import eventually
from daemon import Daemon, worker_cores
from frontend import program
from scene import Scene
from stall import stalled

DEADLINE = 2.0  # The default of `sluice health`.


def health(daemon, *arguments):
    """(exit status, its JSON or None, what it said on standard error, seconds)"""
    began = time.monotonic()
    done = subprocess.run([program("sluice"), "--socket", daemon.admin_socket, "-o", "json", "health", *arguments],
                          capture_output=True, text=True, timeout=60, check=False)
    took = time.monotonic() - began
    answer = json.loads(done.stdout) if done.stdout.strip() else None
    return done.returncode, answer, done.stderr, took


def healthy(daemon):
    status, answer, _, _ = health(daemon)
    return answer if status == 0 else None


def failed(answer):
    return {check["name"]: check["detail"] for check in answer["checks"] if not check["ok"]}


def alarms(daemon):
    return {(one["name"], one["object"]) for one in daemon.cli("status")["alarms"]}


def log_of(daemon):
    with open(daemon.log_path, encoding="utf-8") as file:
        return file.read()


@pytest.fixture(name="daemon")
def _daemon():
    with Daemon(workers=worker_cores(2)) as daemon:
        eventually(lambda: healthy(daemon), "healthy after the start", 10.0)
        yield daemon


def test_healthy_soon_after_the_start_without_any_port(daemon):
    answer = healthy(daemon)
    assert answer["healthy"] and answer["packets_move"] and failed(answer) == {}
    assert {"worker_0", "control", "books", "rings", "buffers", "connections"} <= {check["name"] for check in answer["checks"]}
    assert daemon.cli("status")["alarms"] == [] and daemon.cli("show", "alarms") == []
    assert "healthy: packets move" in daemon.text("health")


def test_the_probe_is_in_no_figure(daemon):
    eventually(lambda: "passed in" in healthy(daemon)["checks"][0]["detail"], "a probe has passed")
    audit = daemon.cli("show", "drops", "--audit")
    assert set(audit.values()) == {0}
    assert daemon.cli("show", "flows") == [] and daemon.cli("status")["flows"] == 0


def test_a_worker_that_stops_polling(daemon):
    with stalled(daemon.pid, "worker-0"):
        eventually(lambda: health(daemon)[0] == 1, "health says no", 5.0, 0.05)
        status, answer, error, _ = health(daemon)
        assert status == 1 and error == "" and not answer["healthy"] and not answer["packets_move"]
        assert failed(answer)["worker_0"].startswith("worker 0 has not polled for "), answer
        assert ("worker_stalled", "worker 0") in alarms(daemon)
        assert log_of(daemon).count("alarm worker_stalled: worker 0: has not polled for ") == 1
        eventually(lambda: ("packets_stuck", "worker 0") in alarms(daemon), "packets are stuck", 5.0)
        assert ("worker_stalled", "worker 1") not in alarms(daemon)
    eventually(lambda: healthy(daemon), "healthy again", 5.0, 0.05)
    eventually(lambda: not alarms(daemon), "the alarms are over", 10.0, 0.05)
    history = daemon.cli("show", "alarms")
    assert {(one["name"], one["object"]) for one in history} == {("worker_stalled", "worker 0"), ("packets_stuck", "worker 0")}
    assert all(one["since"] <= one["cleared"] for one in history)
    log = log_of(daemon)
    assert log.count("alarm worker_stalled: ") == 1 and log.count("alarm worker_stalled is over: worker 0") == 1


def test_a_control_thread_that_stands_still(daemon):
    with stalled(daemon.pid):
        status, answer, error, took = health(daemon, "--within", "0.5")
        assert status == 2 and answer["error"]["code"] == "unreachable", (answer, error)
        assert "no answer in time" in error and took < DEADLINE
        eventually(lambda: "alarm control_stalled: the control thread has not turned for " in log_of(daemon), "logged", 5.0)
    eventually(lambda: ("control_stalled", "host") in alarms(daemon), "the alarm", 5.0)
    status, answer, _, _ = health(daemon)
    assert status == 1 and answer["packets_move"], "workers went on"
    assert set(failed(answer)) == {"control"} and "stood still for " in failed(answer)["control"]
    assert not {name for name, _ in alarms(daemon)} - {"control_stalled"}, "nobody else is blamed for it"
    assert log_of(daemon).count("alarm control_stalled: ") == 1


def test_nobody_there_is_exit_two(tmp_path):
    done = subprocess.run([program("sluice"), "--socket", tmp_path / "none", "health"], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 2 and "cannot reach sluiced" in done.stderr


def test_a_guest_that_takes_nothing_fills_its_ring():
    with Scene(vms=("vm1", "vm2")) as scene:
        scene.vm2.hold_buffers()

        def fill():
            scene.vm1.send([scene.udp("vm1", "vm2")] * 64)
            return ("ring_full", "port vm2") in alarms(scene.daemon)
        eventually(fill, "the alarm names the port", 30.0, 0.05)
        status, answer, _, _ = health(scene.daemon)
        assert status == 1 and answer["packets_move"] and "port vm2: its queue is full" in failed(answer)["rings"]
        scene.vm2.hold_buffers(False)
        eventually(lambda: not alarms(scene.daemon), "it is over", 20.0, 0.1)
        assert health(scene.daemon)[0] == 0


def test_a_full_table_of_connections():
    """Raised at 95 % of the document's limit, over below 90 %."""
    with Scene(vms=("vm1", "vm2")) as scene:
        scene.apply(dfw={"limits": {"connections": 20}})
        for port in range(20):
            scene.vm1.send(scene.udp("vm1", "vm2", sport=3000 + port))
        eventually(lambda: ("connections_full", "host") in alarms(scene.daemon), "the alarm", 10.0, 0.05)
        status, answer, _, _ = health(scene.daemon)
        assert status == 1 and answer["packets_move"] and "of 20 connections" in failed(answer)["connections"]
        scene.daemon.cli("flush", "conns")
        eventually(lambda: not alarms(scene.daemon), "it is over", 20.0, 0.1)


def test_the_watchdog_is_petted_only_while_packets_move(tmp_path):
    """What systemd sees: WATCHDOG=1 four times a period, none while a worker stands still, and again afterwards."""
    import socket
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.setblocking(False)
        kept = {name: os.environ.get(name) for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC")}
        os.environ.update(NOTIFY_SOCKET=path, WATCHDOG_USEC="2000000")

        def pets():
            count = 0
            while True:
                try:
                    count += notify.recv(4096) == b"WATCHDOG=1"
                except BlockingIOError:
                    return count
        try:
            with Daemon() as daemon:
                eventually(lambda: healthy(daemon), "healthy", 10.0)
                pets()
                eventually(pets, "petted", 5.0)
                with stalled(daemon.pid, "worker-0"):
                    eventually(lambda: health(daemon)[0] == 1, "not healthy", 5.0, 0.05)
                    pets()
                    time.sleep(1.5)  # Three would have come.
                    assert pets() == 0
                eventually(pets, "petted again", 10.0)
        finally:
            for name, value in kept.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
