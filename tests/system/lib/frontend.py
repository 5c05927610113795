# SPDX-License-Identifier: Apache-2.0
"""vhost-user front-ends for tests: each plays QEMU and its guest on one port.

    with FrontendProcess() as guests:
        vm1 = guests.open("vm1", socket_path)
        vm1.send(bytes(frame(...).ipv4(...).udp(...)))
        vm2.expect(the_frame)

One process (tests/frontend, program sluice-frontend) holds any number of front-ends; it is started here, spoken to in
JSON lines and ended by closing its input. Times are in seconds.
"""

import json
import os
import select
import subprocess
import time
from dataclasses import dataclass

from packets import describe

REPLY_SLACK = 15.0  # Seconds that a reply may come after the operation's own timeout.


def program(name):
    """Path of a built program: folder SLUICE_BIN, else build/release/bin of this tree."""
    tree = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    return os.path.join(os.environ.get("SLUICE_BIN") or os.path.join(tree, "build", "release", "bin"), name)


class FrontendError(RuntimeError):
    """What a front-end could not do, in one sentence."""


@dataclass(frozen=True)
class Received:
    """One frame as the guest got it: bytes from the destination MAC on, and its virtio-net header."""

    frame: bytes
    header: dict
    buffers: int = 1
    broken: bool = False

    def __str__(self):
        return describe(self.frame)


def _received(reply):
    return Received(bytes.fromhex(reply["hex"]), reply["header"], reply["buffers"], reply["broken"])


def _listing(frames):
    return "".join(f"\n  {one}" for one in frames) or " nothing"


def _hexes(frames):
    if isinstance(frames, (bytes, bytearray)) or hasattr(frames, "__bytes__"):
        frames = [frames]
    return [bytes(one).hex() for one in frames]


class Frontend:
    """One port's guest. Made by FrontendProcess.open."""

    def __init__(self, process, name):
        self._process = process
        self.name = name
        self.features = []

    def call(self, op, timeout=5.0, **fields):
        """One raw operation; the fields of tests/frontend/README.md. FrontendError if it fails."""
        fields = {key: value for key, value in fields.items() if value is not None}
        return self._process.call({"op": op, "id": self.name, "timeout_ms": int(timeout * 1000), **fields}, timeout)

    # Life

    def wait_ready(self, timeout=5.0):
        """After open(wait=False): connected, negotiated, every queue enabled."""
        self.features = self.call("wait", timeout)["features"]
        return self

    def reset(self):
        """The guest's driver is unbound and bound again: rings start afresh."""
        self.call("reset")

    def stop(self):
        """The VM is paused: the device gives the rings back. resume() hands them over again."""
        self.call("stop")

    def resume(self, clear=False):
        self.call("resume", clear=clear)

    def reconnect(self, timeout=5.0, clear=True):
        """Takes the device's next connection, as QEMU does after the switch was restarted. `clear`: fresh rings."""
        self.features = self.call("reconnect", timeout, clear=clear)["features"]

    def move(self, socket, timeout=5.0):
        """After stop(): the VM goes on at another switch, its rings and memory as they are, over the socket there."""
        self.features = self.call("move", timeout, socket=str(socket))["features"]

    def start_log(self):
        """Live migration begins: the device gets a dirty log while it runs."""
        self.call("log", on=True)

    def stop_log(self):
        self.call("log", on=False)

    def check_log(self):
        """{"changed", "unmarked", "marked_alike"}: pieces of pages since start_log()."""
        return self.call("log_check")

    def send_rarp(self, mac):
        """As QEMU on arrival: the device is asked to announce the MAC (text)."""
        self.call("rarp", mac=int.from_bytes(bytes.fromhex(mac.replace(":", "")), "little"))

    def drop(self):
        """QEMU is killed: the connection ends without a word. The listening socket stays for reconnect()."""
        self.call("drop")

    def close(self, abrupt=False):
        """The VM is shut down (`abrupt`: killed); a socket that we listened on is removed."""
        self.call("close", abrupt=abrupt)
        self._process.forget(self)

    def wait_disconnected(self, timeout=5.0):
        """AssertionError unless the device closes its connection in time."""
        gone = self.call("wait_disconnected", timeout)["disconnected"]
        assert gone, f"{self.name}: device still connected after {timeout} s"

    def enable_queues(self, count):
        """As `ethtool -L combined COUNT` in the guest."""
        self.call("queues", count=count)

    def hold_buffers(self, on=True):
        """A guest that takes frames but gives no receive buffer back, until hold_buffers(False)."""
        self.call("hold", on=on)

    # Traffic

    def send(self, frames, layout="single", queue=0, piece_bytes=None, timeout=5.0, must_complete=True, **header):
        """Sends one frame or a list (bytes or packets.Frame), then waits until the device has taken them.

        layout: single, chained, indirect, split_header; piece_bytes: how the frame is cut in the last three.
        header: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset of virtio_net_hdr (Frame.offload gives them).
        Returns how many the device used; with must_complete, AssertionError unless all.
        """
        hexes = _hexes(frames)
        reply = self.call("send", timeout, frames=hexes, layout=layout, queue=queue, piece_bytes=piece_bytes, **header)
        if must_complete:
            assert reply["completed"] == len(hexes), f"{self.name}: sent {len(hexes)} frames, device took {reply}"
        return reply["completed"]

    def receive(self, count=1, timeout=5.0):
        """Up to `count` frames, fewer if `timeout` passes."""
        return [_received(one) for one in self.call("recv", timeout, count=count)["frames"]]

    def receive_until(self, match, timeout=5.0):
        """Takes frames until one contains the bytes `match`: (that one or None, the frames before it)."""
        reply = self.call("recv_until", timeout, match=bytes(match).hex())
        others = [_received(one) for one in reply["others"]]
        return (_received(reply["frame"]) if reply["found"] else None), others

    def expect(self, match, timeout=5.0, alone=True):
        """The next frame must contain the bytes (or be the Frame) `match`; alone=False lets others come before it."""
        found, others = self.receive_until(match, timeout)
        assert found, f"{self.name}: {describe(bytes(match))} did not arrive; came:{_listing(others)}"
        assert not alone or not others, f"{self.name}: unexpected before it:{_listing(others)}"
        return found

    def expect_silence(self, within=0.1):
        """Nothing must arrive for `within` seconds. Where a frame can be sent that does arrive, expect() it instead:
        one worker keeps order, so what was not before it was dropped, and no time is lost."""
        frames = self.receive(1, within)
        assert not frames, f"{self.name}: unexpected:{_listing(frames)}"

    def drain(self, quiet=0.05):
        """Takes whatever there is until nothing comes for `quiet` seconds."""
        frames = []
        while more := self.receive(256, quiet):
            frames += more
        return frames

    def stats(self):
        """Counters: tx_frames, rx_frames, kicks, missed_calls, ... and the negotiated features."""
        return self.call("stats")

    # Load

    def flood(self, frames=(), seconds=1.0, count=None, pps=None, flows=None, receivers=(), senders=None, **options):
        """Sends `frames` over and over; this front-end and `receivers` count what arrives. Returns {name: result}.

        count: stop after so many; pps: pace; flows: make so many flows of each frame; senders: {Frontend: frames} that
        send at the same time. Options: burst, read_lengths, measure_gap, drain_ms, and the virtio_net_hdr fields. A result has sent,
        unsent, received, sent_pps, received_pps, seconds.
        """
        request = self._flood_request(frames, seconds, count, pps, flows, receivers, senders, options)
        return self.call("flood", seconds + 30, **request)["results"]

    def start_flood(self, frames=(), seconds=3600.0, count=None, pps=None, flows=None, receivers=(), senders=None, **options):
        """As flood, in the background: these front-ends are busy until finish_flood()."""
        request = self._flood_request(frames, seconds, count, pps, flows, receivers, senders, options)
        self.call("flood", background=True, **request)

    def finish_flood(self, let_it_end=False, timeout=60.0):
        """Stops the background flood (or waits for its end) and returns its results."""
        return self.call("flood_stop", timeout, finish=let_it_end)["results"]

    @staticmethod
    def _flood_request(frames, seconds, count, pps, flows, receivers, senders, options):
        others = [{"id": one.name} for one in receivers]
        for one, its_frames in (senders or {}).items():
            others.append({"id": one.name, "frames": _hexes(its_frames), "count": count or 0, "pps": pps or 0,
                           "flows": flows or 0})
        return {"frames": _hexes(frames) if frames else [], "seconds": float(seconds), "count": count, "pps": pps,
                "flows": flows, "with": others, **options}

    # Hostility

    def attack(self, name, seed=1, frame=None, wait=0.05):
        """Does what a hostile guest does; names: FrontendProcess.attacks(). Returns used, connected, sent,
        destroys_memory."""
        return self.call("attack", name=name, seed=seed, wait_ms=int(wait * 1000),
                         frame=None if frame is None else bytes(frame).hex())


    # Feeling what others do

    def start_probe(self, other, there, back, schedstat="", pause=0.0002):
        """This guest and `other` send one small UDP frame after the other, and time each. Both are busy until
        stop_probe(). `schedstat`: path of the worker thread's, whose waits for a core are taken off `stalled_us`."""
        self.call("probe_start", other=other.name, there=bytes(there).hex(), back=bytes(back).hex(),
                  schedstat=schedstat, pause_us=int(pause * 1e6))

    def read_probe(self):
        """What the probe saw since it was last asked: frames, lost, took_us (of each), stalled_us (the longest)."""
        return self.call("probe_read")

    def stop_probe(self):
        """Ends the probe; as read_probe."""
        return self.call("probe_stop")


class FrontendProcess:
    """Owns one sluice-frontend process. A context manager: leaving it ends every front-end and the process."""

    def __init__(self, path=None):
        self._process = subprocess.Popen([path or program("sluice-frontend")], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, bufsize=0)
        self._unread = b""
        self._open = {}

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()

    def open(self, name, socket, mode="server", wait=True, timeout=5.0, **options):
        """A front-end on `socket`. mode "server": we listen and the switch connects (its socket_mode "client");
        "client": the other way round. Options: queues, queue_size, features (list of names), mtu, rx_buffer_bytes,
        rx_layout, rx_posted, regions, flood_bytes, huge_pages, force_features.
        wait=False returns when the socket is there; wait_ready() is the rest."""
        front_end = Frontend(self, name)
        reply = front_end.call("open", timeout, socket=str(socket), mode=mode, wait=wait, **options)
        front_end.features = reply["features"]
        self._open[name] = front_end
        return front_end

    def forget(self, front_end):
        self._open.pop(front_end.name, None)

    def attacks(self):
        """Names of all attacks."""
        return self.call({"op": "attacks"})["attacks"]

    def attack_sentences(self):
        """{name: what it does} of all attacks, in the program's order."""
        reply = self.call({"op": "attacks"})
        return {name: reply["what"][name] for name in reply["attacks"]}

    @property
    def pid(self):
        return self._process.pid

    def call(self, request, timeout=5.0):
        """One raw request; FrontendError with the program's sentence if it fails."""
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            raise FrontendError(f"sluice-frontend ended with code {self._process.wait(5)}") from None
        reply = json.loads(self._read_line(time.monotonic() + timeout + REPLY_SLACK, request))
        if not reply.pop("ok"):
            raise FrontendError(f"{request.get('id', '')} {request['op']}: {reply['error']}")
        return reply

    def _read_line(self, deadline, request):
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            ready = select.select([self._process.stdout], [], [], max(left, 0))[0]
            if not ready:
                raise FrontendError(f"no reply to {request['op']} in time")
            data = os.read(self._process.stdout.fileno(), 1 << 16)
            if not data:
                raise FrontendError(f"sluice-frontend ended with code {self._process.wait(5)} in {request['op']}")
            self._unread += data
        line, self._unread = self._unread.split(b"\n", 1)
        return line

    def close(self):
        """Ends the process: by the end of its input, or, if it does not listen, by a signal to it alone."""
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
