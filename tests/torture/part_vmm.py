# SPDX-License-Identifier: Apache-2.0
"""Hostile VMMs: memory that is not there or goes away, descriptors of every kind, silence, floods, messages in any order.

While each goes on, a well-behaved VMM of another port asks the daemon again and again, in a process of its own, and times
the answers; so does somebody at the admin socket. Descriptors and memory of the daemon are counted before and after.
"""

import os
import socket
import struct
import tempfile
import threading
import time

import vmm
from asker import Asker
from conditions import eventually
from control import Control, open_files, resident_mb
from daemon import Daemon
from torture import percentile
from vmm import Listeners, Memory, Vmm, number, state, table

PORTS = 24
ANSWER_MS = 100.0
MESSAGE_TIMEOUT = 2.0  # Of the relay, for a message once begun.
RSS_SLACK_MB = 8.0


def questions(path, admin_path):
    """A well-behaved VMM that asks for features, and somebody who asks for `status`."""
    guest = Vmm.connect(path)
    assert guest.bring_up(Memory())
    control = Control(admin_path)

    def ask_port():
        assert guest.ask(vmm.GET_FEATURES) is not None, "the well-behaved VMM was cut off"
    return [ask_port, lambda: control.ask("status")]


class Attacks:
    """Each public method is one attack; its docstring's first line says what it does."""

    def __init__(self, torture, daemon, listeners):
        self._torture = torture
        self._daemon = daemon
        self._ports = listeners
        self.open_path = daemon.vhost_socket("open")

    def _refused(self, what, request, payload, fds=(), settled=True):
        """After SET_OWNER: this message must end the connection."""
        memory = Memory()
        with self._ports.next() as one:
            for step in one.steps(memory)[:5 if settled else 0]:
                one.send(*step)
                if step[0] in vmm.ANSWERED:
                    one.receive()
            one.send(request, payload, fds)
            assert one.is_cut(), f"{what} was not refused"
        memory.close()

    def memory_table_lies(self):
        """Regions larger than their file, wrapped, empty, overlapping, too many, too few descriptors."""
        memory = Memory()
        size, user, top = memory.size, memory.USER, 1 << 64
        lies = {"longer than its file": [(0, size + 1, user, 0)], "behind its file": [(0, 4096, user, size)],
                "offset wraps": [(0, size, user, top - 4096)], "guest address wraps": [(top - 4096, size, user, 0)],
                "user address wraps": [(0, size, top - 4096, 0)], "empty": [(0, 0, user, 0)],
                "all of 64 bits": [(0, top - 1, 0, 0)], "offset and size wrap to the file's": [(0, top - size, user, size * 2)],
                "overlap in the guest": [(0, size, user, 0), (4096, size, user + (1 << 32), 0)],
                "overlap in the user's": [(0, size, user, 0), (1 << 32, size, user + 4096, 0)],
                "nine": [(n << 32, size, user + (n << 32), 0) for n in range(9)]}
        for what, regions in lies.items():
            self._refused(f"a table whose regions are {what}", vmm.SET_MEM_TABLE, table(regions),
                          [memory.fd] * min(len(regions), 8))
        for count in (0, 2, 7):
            self._refused(f"one region with {count} descriptors", vmm.SET_MEM_TABLE, table(memory.regions()),
                          [memory.fd] * count)
        memory.close()

    def wrong_descriptors(self):
        """Pipes, sockets, directories, devices, sealed and read-only files as memory, kick and call."""
        with tempfile.TemporaryDirectory() as folder:
            wrong = vmm.wrong_descriptors(folder)
            try:
                for what, fd in wrong.items():
                    self._refused(f"{what} as memory", vmm.SET_MEM_TABLE, table([(0, 1 << 20, Memory.USER, 0)]), [fd])
                    if what != "eventfd":
                        for request in (vmm.SET_VRING_KICK, vmm.SET_VRING_CALL, vmm.SET_VRING_ERR):
                            self._refused(f"{what} as {request}", request, number(1), [fd])
            finally:
                for fd in wrong.values():
                    os.close(fd)

    def memory_cut_while_attaching(self):
        """The memory's file is cut to nothing at each step of the handshake, and in the middle of it by a thread."""
        steps = len(Vmm(socket.socketpair()[0]).steps(Memory()))
        for cut_at in list(range(5, steps + 1)) * self._torture.pick(short=2, long=40):
            memory = Memory()
            with self._ports.next() as one:
                for index, step in enumerate(one.steps(memory)):
                    if index == cut_at:
                        os.ftruncate(memory.fd, 0)
                    one.send(*step)
            memory.close()
        for _ in range(self._torture.pick(short=40, long=4000)):
            self._cut_by_thread(self._torture.random.random() * 0.002)

    def _cut_by_thread(self, delay):
        memory = Memory()
        with self._ports.next() as one:
            thread = threading.Timer(delay, lambda: os.ftruncate(memory.fd, 0))
            thread.start()
            for step in one.steps(memory):
                one.send(*step)
            thread.join()
        memory.close()

    def memory_swapped_and_cut(self):
        """A running guest's memory table is replaced, and the new file is cut."""
        for _ in range(self._torture.pick(short=8, long=400)):
            memory, other = Memory(), Memory(1 << 21)
            with self._ports.next() as one:
                one.bring_up(memory)
                one.send(vmm.SET_MEM_TABLE, table(other.regions()), (other.fd,))
                os.ftruncate(other.fd, 0)
                for ring in (0, 1):
                    one.send(vmm.SET_VRING_ADDR, other.ring(ring))
                one.send(vmm.GET_VRING_BASE, state(0, 0))
                one.is_cut(0.05)
            memory.close()
            other.close()

    def payload_withheld(self):
        """Headers whose payload never comes, on every port at once: each is cut off after two seconds."""
        held = [self._ports.next() for _ in range(PORTS // 2)]
        began = time.monotonic()
        for one in held:
            one.raw(struct.pack("<III", vmm.SET_FEATURES, vmm.VERSION, 8) + b"\0" * 3)
        for one in held:
            assert one.is_cut(MESSAGE_TIMEOUT + 3), "a peer that withholds its payload was not cut off"
            one.close()
        assert time.monotonic() - began >= MESSAGE_TIMEOUT / 2, "cut off before its time"

    def message_by_bytes(self):
        """A whole handshake, byte by byte, is served; a byte a second is not."""
        memory = Memory()
        with self._ports.next() as one:
            for request, payload, fds in one.steps(memory):
                message = struct.pack("<III", request, vmm.VERSION, len(payload)) + payload
                one.raw(message[:1], fds)
                for byte in message[1:]:
                    one.raw(bytes([byte]))
                assert request not in vmm.ANSWERED or one.receive(), f"request {request} in pieces was not answered"
        memory.close()

    def stray_descriptors(self):
        """1 000 descriptors with messages that carry none, up to 253 at once, sockets that hold sockets."""
        pair = socket.socketpair()
        nested = socket.socketpair()
        socket.send_fds(nested[0], [b"x"], [pair[0].fileno(), nested[1].fileno()])
        stray = [fd.fileno() for fd in (*pair, *nested)]
        sent = 0
        while sent < 1000:
            for count in (1, 8, 9, 64, 253):
                with self._ports.next() as one:
                    one.send(vmm.GET_FEATURES, fds=[stray[n % 4] for n in range(count)])
                    sent += count
                    assert one.is_cut(), f"{count} stray descriptors were not refused"
        for one in (*pair, *nested):
            one.close()

    def connect_flood(self):
        """Thousands of connections to a port that listens, closed at once; then 300 that stay and are silent."""
        for _ in range(self._torture.pick(short=3000, long=10000)):
            self._knock()
        waiting = [one for one in (self._knock(keep=True) for _ in range(300)) if one]
        for one in waiting:
            one.close()

    def _knock(self, keep=False):
        one = socket.socket(socket.AF_UNIX)
        one.setblocking(False)
        try:
            one.connect(self.open_path)
        except BlockingIOError:  # Its backlog is full.
            time.sleep(0.001)
        if keep:
            return one
        one.close()
        return None

    def replies_unread(self):
        """Questions without end from a peer that reads no answer."""
        with self._ports.next() as one:
            one.socket.setblocking(False)
            question = struct.pack("<III", vmm.GET_FEATURES, vmm.VERSION, 0) * 100
            deadline = time.monotonic() + MESSAGE_TIMEOUT + 3
            is_cut = False
            while not is_cut and time.monotonic() < deadline:
                try:
                    one.socket.send(question)
                except BlockingIOError:
                    time.sleep(0.01)
                except OSError:
                    is_cut = True
            assert is_cut, "a peer that reads nothing was not cut off"

    def every_first_message(self):
        """Each request of the protocol and beyond as the first message, with payloads of several sizes."""
        for request in range(vmm.LAST_REQUEST):
            with self._ports.next() as one:
                one.send(request, bytes(self._torture.random.choice((0, 4, 8, 40, 272))))
                one.send(vmm.GET_FEATURES)
                one.is_cut(0.01)

    def wrong_order(self):
        """The handshake's messages in an order of chance, each there once."""
        for _ in range(self._torture.pick(short=40, long=2000)):
            memory = Memory()
            with self._ports.next() as one:
                steps = one.steps(memory)
                self._torture.random.shuffle(steps)
                for step in steps:
                    if not one.send(*step):
                        break
            memory.close()

    def random_sequences(self):
        """Sequences of messages from a seed: mostly right ones, some with a field, a size, flags or descriptors changed."""
        for _ in range(self._torture.pick(short=160, long=5000)):
            memory = Memory()
            with self._ports.next() as one:
                self._random_sequence(one, memory)
            memory.close()

    def _random_sequence(self, one, memory):
        chance = self._torture.random
        steps = one.steps(memory)
        for place in range(chance.randrange(4, 60)):
            request, payload, fds = steps[place] if place < len(steps) and chance.random() < 0.8 else chance.choice(steps)
            flags, size = vmm.VERSION, None
            kind = chance.random()
            if kind < 0.06 and payload:
                at = chance.randrange(len(payload))
                payload = payload[:at] + bytes([chance.randrange(256)]) + payload[at + 1:]
            elif kind < 0.08:
                flags = chance.choice((0, 2, 3, 5, 9, 0xffffffff))
            elif kind < 0.10:
                size = chance.choice((0, len(payload) + 1, 4096, 4097, 1 << 31))
            elif kind < 0.12:
                fds = [memory.fd] * chance.randrange(0, 9)
            elif kind < 0.14:
                request = chance.randrange(vmm.LAST_REQUEST)
            elif kind < 0.15:
                os.ftruncate(memory.fd, 0)
            if not one.send(request, payload, fds, flags, size):
                return


def attacks_of(attacks):
    """[(name, sentence, callable)] in the order in which they are written."""
    return [(name, method.__doc__.splitlines()[0], getattr(attacks, name)) for name, method in vars(Attacks).items()
            if not name.startswith("_")]


def document(daemon):
    ports = [daemon.port(f"h{n}", "net") for n in range(PORTS)]
    ports += [daemon.port(name, "net", socket_mode="server") for name in ("calm", "open")]
    return {"switches": [{"name": "dvs0"}], "port_groups": [{"name": "net", "switch": "dvs0"}], "ports": ports}


def run_all(torture, daemon, calm, attacks):
    """Every attack once; (answers of the calm port, of the admin socket) in ms."""
    answers, asked = [], []
    for name, sentence, attack in attacks_of(attacks):
        torture.say(f"{name}: {sentence}")
        attack()
        assert daemon.alive, f"{name}: {daemon.log_tail()}"
        more, more_asked = calm.read()
        answers += more
        asked += more_asked
    return answers, asked


def run(torture):
    with Daemon() as daemon:
        daemon.apply(document(daemon))
        with Asker(lambda: questions(daemon.vhost_socket("calm"), daemon.admin_socket)) as calm:
            daemon.wait_port("calm")
            fds_before = open_files(daemon.pid)  # Without a guest but the calm one.
            with Listeners([daemon.vhost_socket(f"h{n}") for n in range(PORTS)]) as ports:
                attacks = Attacks(torture, daemon, ports)
                calm.read()
                time.sleep(1.0)
                quiet, _ = calm.read()
                attacks.wrong_order()  # Warm: what is allocated once is there.
                rss_before = resident_mb(daemon.pid)
                answers, asked = run_all(torture, daemon, calm, attacks)
            try:
                eventually(lambda: open_files(daemon.pid) <= fds_before, "descriptors as before", 10)
            except AssertionError:
                pass  # The figure says so.
            torture.figure("attacks run", len(attacks_of(attacks)), at_least=10)
            torture.figure("deaths of the daemon", 0 if daemon.alive else 1, exactly=0)
            torture.figure("another port's answers, quiet, p99", percentile(quiet, 99), "ms")
            torture.times("another port's answers, attacked", answers, p99_at_most=ANSWER_MS)
            torture.times("admin socket's answers, attacked", asked, p99_at_most=ANSWER_MS)
            torture.figure("descriptors before", fds_before)
            torture.figure("descriptors after", open_files(daemon.pid), at_most=fds_before)
            torture.figure("memory before", rss_before, "MB")
            torture.figure("memory after", resident_mb(daemon.pid), "MB", at_most=rss_before + RSS_SLACK_MB)
