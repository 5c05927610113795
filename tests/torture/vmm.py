# SPDX-License-Identifier: Apache-2.0
"""QEMU's side of vhost-user, message by message, right or wrong: for those who attack the relay.

    with Listeners(paths) as ports:                   # ports in client mode: the daemon connects to us
        with ports.next() as vmm:
            vmm.bring_up(Memory())
            vmm.send(SET_VRING_NUM, state(1, 3))

Times are in seconds. Nothing here waits for an answer unless it says so.
"""

import array
import fcntl
import os
import select
import socket
import struct
import time

GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE = 1, 2, 3, 4, 5
SET_LOG_BASE, SET_LOG_FD, SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 6, 7, 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR, GET_PROTOCOL, SET_PROTOCOL, GET_QUEUE_NUM = 12, 13, 14, 15, 16, 17
SET_VRING_ENABLE, SEND_RARP, NET_SET_MTU = 18, 19, 20
LAST_REQUEST = 45  # Behind every number that the protocol has.

VERSION, REPLY, NEED_REPLY = 1, 4, 8
FEATURES = 1 << 32 | 1 << 30 | 1 << 15  # version_1, protocol_features, mrg_rxbuf
PROTOCOL = 1 << 0 | 1 << 3              # mq, reply_ack
ANSWERED = {GET_FEATURES, GET_PROTOCOL, GET_QUEUE_NUM, GET_VRING_BASE}
RING_BYTES = 16384
RING_SIZE = 256


def state(index, value):
    return struct.pack("<II", index, value)


def number(value):
    return struct.pack("<Q", value)


def table(regions):
    """Payload of SET_MEM_TABLE: (guest address, bytes, user address, offset) each."""
    return struct.pack("<II", len(regions), 0) + b"".join(struct.pack("<QQQQ", *region) for region in regions)


class Memory:
    """One region of guest memory in a memfd, room for the rings of one pair."""

    USER = 0x7000_0000_0000

    def __init__(self, size=1 << 20):
        self.size = size
        self.fd = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, size)

    def close(self):
        os.close(self.fd)

    def regions(self):
        return [(0, self.size, self.USER, 0)]

    def ring(self, index):
        """Payload of SET_VRING_ADDR."""
        at = self.USER + 4096 + index * RING_BYTES
        return struct.pack("<IIQQQQ", index, 0, at, at + 8192, at + 4096, 0)


class Vmm:
    """One connection to a port of the daemon. A context manager: leaving it closes the connection, as a killed QEMU."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(5.0)
        self._own = []

    @classmethod
    def connect(cls, path):
        """To a port in server mode."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(5.0)
        connection.connect(path)
        return cls(connection)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()

    def close(self):
        self.socket.close()
        while self._own:
            os.close(self._own.pop())

    def eventfd(self, blocking=False):
        self._own.append(os.eventfd(0, os.EFD_CLOEXEC | (0 if blocking else os.EFD_NONBLOCK)))
        return self._own[-1]

    def send(self, request, payload=b"", fds=(), flags=VERSION, size=None):
        """One message; `size`: what the header claims. False: the daemon has closed."""
        return self.raw(struct.pack("<III", request, flags, len(payload) if size is None else size) + payload, fds)

    def raw(self, data, fds=()):
        """Bytes with descriptors, as they are."""
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            sent = self.socket.sendmsg([data], control)
            self.socket.sendall(data[sent:])
            return True
        except OSError:
            return False

    def receive(self):
        """(request, payload); None: the daemon has closed, or says nothing for 5 s."""
        try:
            head = self._exactly(12)
            request, _, size = struct.unpack("<III", head)
            return request, self._exactly(size)
        except OSError:
            return None

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("closed")
            data += more
        return data

    def ask(self, request, payload=b"", **more):
        """Sends and waits for the answer's payload; None: there is none."""
        answer = self.receive() if self.send(request, payload, **more) else None
        return answer[1] if answer else None

    def is_cut(self, timeout=5.0):
        """Has the daemon closed, within `timeout`?"""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                if select.select([self.socket], [], [], 0.05)[0] and not self.socket.recv(4096):
                    return True
            except OSError:
                return True
        return False

    def steps(self, memory, rings=(0, 1)):
        """(request, payload, fds) of a whole handshake."""
        out = [(GET_FEATURES, b"", ()), (SET_FEATURES, number(FEATURES), ()), (GET_PROTOCOL, b"", ()),
               (SET_PROTOCOL, number(PROTOCOL), ()), (SET_OWNER, b"", ()),
               (SET_MEM_TABLE, table(memory.regions()), (memory.fd,))]
        for ring in rings:
            out += [(SET_VRING_NUM, state(ring, RING_SIZE), ()), (SET_VRING_BASE, state(ring, 0), ()),
                    (SET_VRING_ADDR, memory.ring(ring), ()), (SET_VRING_KICK, number(ring), (self.eventfd(),)),
                    (SET_VRING_CALL, number(ring), (self.eventfd(),))]
        return out + [(SET_VRING_ENABLE, state(ring, 1), ()) for ring in rings]

    def bring_up(self, memory):
        """The whole handshake, in order; False: the daemon cut it off."""
        for request, payload, fds in self.steps(memory):
            if not self.send(request, payload, fds) or (request in ANSWERED and self.receive() is None):
                return False
        return True


class Listeners:
    """Sockets of ports in client mode. Each connection is used once; then the socket is made anew, which ends the pause
    that the daemon makes after a refused peer."""

    def __init__(self, paths):
        self._paths = list(paths)
        self._sockets = {}

    def __enter__(self):
        for path in self._paths:
            self._listen(path)
        return self

    def __exit__(self, kind, value, trace):
        for path, listener in self._sockets.items():
            listener.close()
            os.unlink(path)
        self._sockets = {}

    def _listen(self, path):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)
        self._sockets[path] = listener

    def next(self, timeout=15.0):
        """The next connection that the daemon makes, to whichever port."""
        by_socket = {listener: path for path, listener in self._sockets.items()}
        ready = select.select(list(by_socket), [], [], timeout)[0]
        assert ready, f"the daemon connected to none of {len(by_socket)} ports for {timeout} s"
        connection, _ = ready[0].accept()
        path = by_socket[ready[0]]
        ready[0].close()
        os.unlink(path)
        self._listen(path)
        return Vmm(connection)


def wrong_descriptors(folder):
    """{what: descriptor} of things that are no guest memory, or cannot be written. The caller closes them."""
    read_end, write_end = os.pipe()
    one, other = socket.socketpair()
    path = os.path.join(folder, "file")
    with open(path, "wb") as file:
        file.truncate(1 << 20)
    sealed, shrinking = (os.memfd_create("x", os.MFD_ALLOW_SEALING) for _ in range(2))
    for memfd in (sealed, shrinking):
        os.ftruncate(memfd, 1 << 20)
    fcntl.fcntl(sealed, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    out = {"read end of a pipe": read_end, "write end of a pipe": write_end, "socket": one.detach(), "its peer": other.detach(),
           "directory": os.open(folder, os.O_RDONLY), "path only": os.open(path, os.O_PATH),
           "read-only file": os.open(path, os.O_RDONLY), "write-only file": os.open(path, os.O_WRONLY),
           "sealed memory": sealed, "null device": os.open("/dev/null", os.O_RDWR),
           "zero device": os.open("/dev/zero", os.O_RDWR), "eventfd": os.eventfd(0), "proc file": os.open("/proc/self/maps", os.O_RDONLY),
           "memory that was cut": shrinking}
    os.ftruncate(shrinking, 0)
    os.unlink(path)
    return out
