# SPDX-License-Identifier: Apache-2.0
"""Kills the daemon under load: guests come back by themselves, and no connection is lost or judged otherwise.

Two guests have established TCP connections by real handshakes, under a firewall that drops by default and is strict. The
daemon is killed with SIGKILL while data goes both ways, and is started again at once, as its unit does. The guests do what
QEMU does: they take the new connection and go on with the rings where the used rings ended.
"""

import os
import threading
import time

from conditions import eventually
from packets import frame
from scene import Scene, ip_of, mac_of

CONNECTIONS = 10000
BATCH = 128
WEB = {"default": "drop", "sections": [{"name": "web", "rules": [
    {"name": "web", "action": "allow", "services": ["tcp/80"], "destination": [ip_of("vm2")]}]}]}
READY = 20.0  # Seconds in which a guest must be back before this is called a failure.


class Talk:
    """TCP connections vm1 -> vm2:80, by number; what each side sends next."""

    def __init__(self, scene, count):
        self.scene = scene
        self.count = count
        self.sent = [0] * count  # Bytes of data, each way, by connection.
        self.rounds = 0

    @staticmethod
    def ports(number):
        return 1024 + number % 60000

    def segment(self, number, from_opener, flags, seq, ack, payload=b""):
        one, other = ("vm1", "vm2") if from_opener else ("vm2", "vm1")
        sport, dport = (self.ports(number), 80) if from_opener else (80, self.ports(number))
        return frame(src=mac_of(one), dst=mac_of(other)).ipv4(ip_of(one), ip_of(other)).tcp(
            sport, dport, flags, seq=seq, ack=ack, payload=payload)

    def carry(self, frames, source, target, timeout=10.0):
        """Sends frames in batches: how many arrived, and how many came twice. What else comes is of no interest: frames
        that were in the rings when the daemon was killed."""
        passed, twice = 0, 0
        for at in range(0, len(frames), BATCH):
            batch = {bytes(one) for one in frames[at:at + BATCH]}
            self.scene.vms[source].send(list(batch), timeout=timeout)
            arrived = set()
            while len(arrived) < len(batch):
                came = self.scene.vms[target].receive(len(batch) - len(arrived), timeout=2.0)
                if not came:
                    break
                ours = [one.frame for one in came if one.frame in batch]
                twice += len(ours) - len(set(ours) - arrived)
                arrived.update(ours)
            passed += len(arrived)
        return passed, twice

    def open_all(self):
        numbers = range(self.count)
        steps = (("vm1", "vm2", [self.segment(n, True, "S", 1000 + n, 0) for n in numbers]),
                 ("vm2", "vm1", [self.segment(n, False, "SA", 5000 + n, 1001 + n) for n in numbers]),
                 ("vm1", "vm2", [self.segment(n, True, "A", 1001 + n, 5001 + n) for n in numbers]))
        for source, target, frames in steps:
            passed, _ = self.carry(frames, source, target)
            assert passed == self.count, f"{passed} of {self.count} segments of a handshake passed"

    def data_both_ways(self, numbers):
        """New data on each of the connections, both ways: connections on which all passed, frames that came twice."""
        mark = b"r%03d" % self.rounds
        sent = self.sent
        there = [self.segment(n, True, "PA", 1001 + n + sent[n], 5001 + n + sent[n], mark) for n in numbers]
        back = [self.segment(n, False, "PA", 5001 + n + sent[n], 1005 + n + sent[n], mark) for n in numbers]
        passed_there, twice_there = self.carry(there, "vm1", "vm2")
        passed_back, twice_back = self.carry(back, "vm2", "vm1")
        self.rounds += 1
        for number in numbers:
            sent[number] += len(mark)
        return min(passed_there, passed_back), twice_there + twice_back


def reattach(scene):
    """Both guests; ends when both have their rings enabled again."""
    for vm in scene.vms.values():
        vm.reconnect(timeout=READY, clear=False)


def time_to_first_packet(scene, probe, killed_at):
    """Milliseconds from the kill until a packet of an established connection arrives at vm2."""
    reattach(scene)
    deadline = killed_at + READY
    wanted = bytes(probe)
    while time.monotonic() < deadline:
        scene.vm1.send([wanted], must_complete=False, timeout=0.05)
        found, _ = scene.vm2.receive_until(wanted, timeout=0.02)
        if found:
            return (time.monotonic() - killed_at) * 1000
    raise AssertionError("no packet arrived after the kill")


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def drain(scene):
    for vm in scene.vms.values():
        while vm.receive(256, 0.01):
            pass


def load_until(stop, talk, numbers, errors):
    """Data on some connections, over and over, until told to stop; losses are the kill's business."""
    at = 0
    while not stop.is_set():
        batch = [bytes(talk.segment(n, True, "A", 1001 + n, 5001 + n)) for n in numbers[at:at + 32]]
        at = (at + 32) % len(numbers)
        try:
            talk.scene.vm1.send(batch, must_complete=False, timeout=0.05)
        except Exception as error:  # A front-end whose device died says so.
            errors.append(error)
            return


def one_kill(torture, scene, talk, sample):
    """One kill in the middle of traffic; figures of it."""
    stop, errors = threading.Event(), []
    load = threading.Thread(target=load_until, args=(stop, talk, sample, errors))
    load.start()
    time.sleep(torture.random.uniform(0.01, 0.1))  # The instant of the kill is what is random here.
    os.kill(scene.daemon.pid, 9)
    killed_at = time.monotonic()
    stop.set()
    load.join()
    scene.daemon.kill()
    scene.daemon.launch()
    gap = time_to_first_packet(scene, talk.segment(sample[0], True, "A", 1001 + sample[0], 5001 + sample[0]), killed_at)
    drain(scene)
    return gap


def buffers_free(daemon):
    return daemon.cli("status")["buffers"]["free"]


def run(torture):
    kills = torture.pick(short=6, long=100)
    count = torture.pick(short=2000, long=CONNECTIONS)
    with Scene(memory=96) as scene:
        scene.apply(dfw=WEB)
        talk = Talk(scene, count)
        talk.open_all()
        torture.say(f"{count} connections are established")
        passed, twice = talk.data_both_ways(range(count))
        torture.figure("connections that pass data both ways before", passed, exactly=count)
        drain(scene)
        at_start = {"fds": descriptors(scene.daemon), "buffers": buffers_free(scene.daemon)}
        gaps, adopted, dropped = [], [], 0
        for _ in torture.progress(range(kills), "kills"):
            sample = torture.random.sample(range(count), 256)
            gaps.append(one_kill(torture, scene, talk, sample))
            status = eventually(lambda: scene.daemon.serves() and scene.daemon.cli("status"), "status", 10.0)
            adopted.append(status["arena"]["connections"])
            dropped += status["arena"]["dropped"]
            passed, more = talk.data_both_ways(sample)
            twice += more
            assert passed == len(sample), f"{len(sample) - passed} connections were lost"
        torture.times("first packet after a kill", gaps, p50_at_most=500, p99_at_most=1000)
        torture.figure("connections adopted, least", min(adopted), at_least=count)
        torture.figure("damaged records", dropped, exactly=0)
        passed, more = talk.data_both_ways(range(count))
        torture.figure("connections that pass data both ways after", passed, exactly=count)
        torture.figure("frames that came twice", twice + more, exactly=0)
        stranger = talk.segment(55000, True, "PA", 1, 1, b"nobody opened this")
        before = sum(scene.daemon.drops("vm1").values())
        scene.vm1.send(stranger)
        eventually(lambda: sum(scene.daemon.drops("vm1").values()) > before, "a drop of what nobody opened")
        torture.figure("packets of no connection that pass", len(scene.vm2.receive(1, 0.2)), exactly=0)
        scene.daemon.assert_books_balance()
        eventually(lambda: descriptors(scene.daemon) <= at_start["fds"], "the last command's descriptor is closed", 5.0)
        torture.figure("descriptors beyond those at the start", descriptors(scene.daemon) - at_start["fds"], at_most=0)
        eventually(lambda: buffers_free(scene.daemon) >= at_start["buffers"], "buffers back", 5.0)
        torture.figure("buffers that are missing", max(0, at_start["buffers"] - buffers_free(scene.daemon)), exactly=0)
