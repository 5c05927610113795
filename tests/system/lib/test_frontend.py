# SPDX-License-Identifier: Apache-2.0
"""The Python wrapper of sluice-frontend against frontend-loopback, a device that sends every frame back."""

import os
import subprocess
import time

import pytest
from frontend import FrontendError, FrontendProcess, program
from packets import frame

FRAME = frame(dst="02:00:00:00:00:02").ipv4("10.0.0.1", "10.0.0.2").udp(payload=b"hello")


class Loopback:
    """One looping device."""

    def __init__(self, socket, *args):
        self.process = subprocess.Popen([program("frontend-loopback"), str(socket), *args], stdin=subprocess.PIPE)

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(5) == 0


@pytest.fixture(name="guests")
def _guests():
    with FrontendProcess() as process:
        yield process


@pytest.fixture(name="vm")
def _vm(guests, tmp_path):
    device = Loopback(tmp_path / "vm.sock")
    yield guests.open("vm", tmp_path / "vm.sock")
    device.end()


def test_frame_comes_back_in_every_layout(vm):
    for layout in ("single", "chained", "indirect", "split_header"):
        vm.send(FRAME, layout=layout)
        assert vm.expect(FRAME).frame == bytes(FRAME)


def test_header_is_carried(vm):
    partial, header = frame().ipv4("10.0.0.1", "10.0.0.2").tcp(payload=b"x" * 4000).offload(gso_size=1000)
    vm.send(partial, layout="indirect", **header)
    received = vm.expect(partial)
    assert received.header["gso_size"] == 1000 and received.header["csum_start"] == 34
    assert received.buffers == received.header["num_buffers"] == 2


def test_others_are_reported_with_the_failure(vm):
    vm.send([FRAME, FRAME.pad(100)])
    with pytest.raises(AssertionError, match="10.0.0.1:1000>10.0.0.2:53 udp"):
        vm.expect(FRAME.pad(100))
    vm.expect_silence(0.05)
    vm.send(FRAME)
    with pytest.raises(AssertionError, match="unexpected"):
        vm.expect_silence(1)


def test_flood_counts_and_background_flood_stops(vm):
    result = vm.flood(FRAME, count=5000, seconds=20)["vm"]
    assert result["sent"] == 5000 and result["unsent"] == 0
    vm.start_flood(FRAME, flows=1000)
    with pytest.raises(FrontendError, match="is in the flood"):
        vm.send(FRAME)
    time.sleep(0.05)
    assert vm.finish_flood()["vm"]["sent"] > 0
    vm.send(FRAME)
    vm.expect(FRAME)


def test_listens_before_the_device_comes(guests, tmp_path):
    vm = guests.open("late", tmp_path / "late.sock", wait=False, queues=2, features=["version_1", "mrg_rxbuf", "mq"])
    assert os.path.exists(tmp_path / "late.sock")
    device = Loopback(tmp_path / "late.sock")
    assert vm.wait_ready().features == ["mrg_rxbuf", "mq", "protocol_features", "version_1"]
    vm.send(FRAME, queue=1)
    vm.expect(FRAME)
    vm.enable_queues(1)
    vm.close()
    assert not os.path.exists(tmp_path / "late.sock")
    device.end()


def test_client_mode_and_device_restart(guests, tmp_path):
    device = Loopback(tmp_path / "s.sock", "server")
    vm = guests.open("vm", tmp_path / "s.sock", mode="client")
    device.end()
    vm.wait_disconnected()
    device = Loopback(tmp_path / "s.sock", "server")
    vm.reconnect()
    vm.send(FRAME)
    vm.expect(FRAME)
    vm.reset()
    vm.send(FRAME)
    vm.expect(FRAME)
    vm.close(abrupt=True)
    device.end()


def test_attacks_are_named_and_run(guests, vm):
    assert len(guests.attacks()) > 40
    assert vm.attack("short_header") == {"used": 1, "connected": True, "sent": True, "destroys_memory": False}
    vm.attack("chain_loop", frame=FRAME)
    vm.reset()
    vm.send(FRAME)
    vm.expect(FRAME)


@pytest.mark.parametrize("request_, sentence", [
    ({"op": "dance"}, "not open"), ({"op": "send", "id": "x"}, "not open"), ({}, "must be string"),
    ({"op": "open", "socket": "/nowhere/x.sock", "timeout_ms": 10}, "bind /nowhere/x.sock: No such file"),
    ({"op": "open", "socket": "x", "queue_size": 100}, "power of two"),
    ({"op": "open", "socket": "x", "features": ["warp"]}, "warp"),
])
def test_bad_requests_get_a_sentence(guests, request_, sentence):
    with pytest.raises(FrontendError, match=sentence):
        guests.call({**request_, "op": request_.get("op", None)})


def test_nothing_is_left_behind(tmp_path):
    with FrontendProcess() as process:
        process.open("vm", tmp_path / "vm.sock", wait=False)
        pid = process.pid
    assert os.listdir(tmp_path) == []
    assert not os.path.exists(f"/proc/{pid}")
