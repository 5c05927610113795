# SPDX-License-Identifier: Apache-2.0
"""Network namespaces, veth pairs and machines for tests of kernel ports and uplinks.

    with Namespaces("host", "machine") as net:
        net.veth("host", "up0", "machine", "eth0")
        wire = Wire(net["machine"], "eth0")          # frames with their tags, as they are on the cable
        with net["machine"].inside():                # sockets made here live there
            server = socket.create_server(("10.0.0.3", 80))

Names carry the process's number, so that tests run beside each other. Everything is removed at the end.
"""

import contextlib
import ctypes
import errno
import fcntl
import itertools
import os
import select
import socket
import struct
import subprocess
import threading
import time

from packets import describe

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING = 263, 8, 4
TP_STATUS_VLAN_VALID = 0x10
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_numbers = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


def run(*command):
    """Runs a command that must succeed; its output."""
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr.strip()}"
    return done.stdout


def _setns(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """One network namespace, `name` below /run/netns. IPv6 is off in it unless asked for."""

    def __init__(self, name, ipv6=False):
        self.name = name
        self._ipv6 = ipv6
        self.add()

    def add(self):
        run("ip", "netns", "add", self.name)
        if not self._ipv6:
            with self.inside():
                for which in ("all", "default"):
                    with open(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6", "w", encoding="ascii") as file:
                        file.write("1")
        self.ip("link", "set", "lo", "up")

    def delete(self):
        run("ip", "netns", "del", self.name)

    def ip(self, *command):
        return run("ip", "-n", self.name, *command)

    @contextlib.contextmanager
    def inside(self):
        """The calling thread is in the namespace for the block."""
        with open("/proc/thread-self/ns/net", "rb") as home, open(f"/run/netns/{self.name}", "rb") as there:
            _setns(there.fileno())
            try:
                yield self
            finally:
                _setns(home.fileno())

    def interfaces(self):
        """{name: (mtu, mac, [addresses])} of everything but lo."""
        found = {}
        for line in self.ip("-o", "link", "show").splitlines():
            words = line.split()
            name = words[1].rstrip(":").split("@")[0]
            if name != "lo":
                found[name] = (int(words[words.index("mtu") + 1]), words[words.index("link/ether") + 1], [])
        for line in self.ip("-o", "addr", "show").splitlines():
            words = line.split()
            if words[1] in found and "link" not in words[4:]:
                found[words[1]][2].append(words[3])
        return found


class Namespaces:
    """Some namespaces by short names."""

    def __init__(self, *names, ipv6=()):
        self._names, self._ipv6 = names, ipv6
        self._made = {}

    def __enter__(self):
        try:
            for name in self._names:
                self._made[name] = Namespace(f"sl{os.getpid()}x{next(_numbers)}{name}", name in self._ipv6)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        for one in self._made.values():
            subprocess.run(["ip", "netns", "del", one.name], capture_output=True, check=False)

    def __getitem__(self, name):
        return self._made[name]

    def veth(self, one, interface, other, peer):
        """A cable between two namespaces; the end in `other` is up and leaves no checksum to others."""
        self[one].ip("link", "add", interface, "type", "veth", "peer", "name", peer, "netns", self[other].name)
        run("ip", "netns", "exec", self[other].name, "ethtool", "-K", peer, "tx", "off")
        self[one].ip("link", "set", interface, "up")
        self[other].ip("link", "set", peer, "up")


class Wire:
    """The end of a cable, frame by frame: tags that the kernel took off are put back where they were."""

    def __init__(self, namespace, interface):
        with namespace.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            self.socket.bind((interface, ETH_P_ALL))
        self.socket.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.socket.close()

    def send(self, *frames):
        for one in frames:
            self.socket.send(bytes(one))

    def next(self):
        """A frame that waits, None if none does."""
        while True:
            try:
                data, ancillary, _, address = self.socket.recvmsg(65536, 256)
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno != errno.ENETDOWN:  # Said once after the cable was down.
                    raise
                continue
            if address[2] == PACKET_OUTGOING:
                continue
            for level, kind, content in ancillary:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", content)
                    if status & TP_STATUS_VLAN_VALID:
                        return data[:12] + struct.pack("!HH", tpid or 0x8100, tci) + data[12:]
            return data

    def expect(self, match, timeout=5.0):
        """The frame that is `match`, byte for byte; others before it are let go."""
        match, others, deadline = bytes(match), [], time.monotonic() + timeout
        while time.monotonic() < deadline:
            select.select([self.socket], [], [], 0.05)
            while (one := self.next()) is not None:
                if one == match:
                    return one
                others.append(describe(one))
        raise AssertionError(f"{describe(match)} did not come; came:\n  " + "\n  ".join(others))

    def count(self, match, frames):
        """How many of `frames` (taken until now) are `match`."""
        return sum(1 for one in frames if one == bytes(match))

    def drain(self):
        frames = []
        while (one := self.next()) is not None:
            frames.append(one)
        return frames


class Machine:
    """A machine on the cable that lives in one VLAN: a real stack on an interface of its own in the namespace, whose
    frames are tagged and untagged here (the test's kernels have no VLAN interfaces). A context manager."""

    def __init__(self, namespace, cable, interface, vid, address, mac):
        self.namespace, self.vid, self.mac = namespace, vid, mac
        self._wire = Wire(namespace, cable)
        with namespace.inside():
            self._tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(self._tap, TUNSETIFF, struct.pack("16sH22x", interface.encode(), IFF_TAP | IFF_NO_PI))
        namespace.ip("link", "set", interface, "address", mac, "up")
        namespace.ip("addr", "add", address, "dev", interface)
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        os.write(self._stop_write, b"x")
        self._thread.join()
        for descriptor in (self._tap, self._stop_read, self._stop_write):
            os.close(descriptor)
        self._wire.socket.close()

    def _relay(self):
        tag = struct.pack("!HH", 0x8100, self.vid)
        while True:
            ready = select.select([self._tap, self._wire.socket, self._stop_read], [], [])[0]
            if self._stop_read in ready:
                return
            with contextlib.suppress(OSError):  # The cable may be down, or the queue full.
                while self._tap in ready:
                    data = os.read(self._tap, 65536)
                    self._wire.send(data[:12] + tag + data[12:])
            with contextlib.suppress(OSError):
                while (data := self._wire.next()) is not None:
                    if data[12:14] == b"\x81\x00" and struct.unpack("!H", data[14:16])[0] & 0xFFF == self.vid:
                        os.write(self._tap, data[:12] + data[16:])


def family_of(address):
    """Of an address as text."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class TcpEcho:
    """A host service: for each connection it reads `size` bytes and sends them back. Runs in a thread."""

    def __init__(self, namespace, address, port=8080):
        with namespace.inside():
            self._server = socket.create_server((address, port), family=family_of(address))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)

    def _serve(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    @staticmethod
    def _answer(connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            while data := connection.recv(1 << 18):
                connection.sendall(data)


def tcp_round_trip(namespace, address, payload, port=8080, timeout=30.0):
    """Sends `payload` to a TcpEcho from a namespace while it reads what comes back; returns that."""
    with namespace.inside():
        connection = socket.create_connection((address, port), timeout=timeout)
    with connection:
        writer = threading.Thread(target=connection.sendall, args=(payload,), daemon=True)
        writer.start()
        back = bytearray()
        while len(back) < len(payload):
            data = connection.recv(1 << 18)
            if not data:
                break
            back += data
        writer.join(timeout)
    return bytes(back)


def tcp_fails(namespace, address, port=8080, timeout=1.0):
    """True if no connection can be made."""
    with namespace.inside(), contextlib.suppress(OSError):
        socket.create_connection((address, port), timeout=timeout).close()
        return False
    return True
