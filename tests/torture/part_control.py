# SPDX-License-Identifier: Apache-2.0
"""Hostile clients: malformed requests, slow and greedy peers, users without rights, forged audit lines, slow HTTP.

All of it goes to the admin socket and the metrics port of one daemon, while somebody asks for `status` in a process of its
own and times the answers. Descriptors and memory of the daemon are counted before and after.
"""

import contextlib
import json
import multiprocessing
import os
import re
import select
import socket
import time
import traceback

from asker import Asker
from conditions import eventually
from control import Control, open_files, resident_mb
from daemon import Daemon
from torture import percentile

NOBODY, SOMEBODY = 65534, 65533
ANSWER_MS = 100.0
ADMIN_LIMIT, READER_LIMIT = 256 << 20, 4 << 20
RSS_SLACK_MB = 24.0
BATCH = 500
END = {"jsonrpc": "2.0", "id": "the end", "method": "no.such.method"}
# Methods that wait, stream, or would silence the log that is checked later.
LEFT_OUT = re.compile(r"capture|log|upgrade|export|import|key")


def as_user(uid, work):
    """Runs work() in a process of another user, with that user's groups alone; what it returns."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()

    def run():
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        try:
            there.send((work(), None))
        except Exception:  # pylint: disable=broad-except
            there.send((None, traceback.format_exc()))
    process = context.Process(target=run, daemon=True)
    process.start()
    there.close()
    try:
        result, error = here.recv()
    except EOFError:
        result, error = None, "its process ended"
    process.join(10)
    assert error is None, f"uid {uid}: {error}"
    return result


# Malformed requests

class Mutations:
    """Lines made from right ones by a seed."""

    def __init__(self, chance, methods):
        self._chance = chance
        params = [{}, {"port": "vm1"}, {"name": "vm1"}, {"limit": 3, "offset": 1}, {"audit": True}, {"top": 2},
                  {"port": "vm1", "to_mac": "02:00:00:00:00:01", "src": "10.0.0.1", "dst": "10.0.0.2", "proto": "tcp"},
                  {"op": "set", "kind": "port", "name": "vm1", "patch": {"enabled": True}}, {"document": {"ports": []}}]
        self._right = [json.dumps({"jsonrpc": "2.0", "id": n, "method": method, "params": one}).encode()
                       for n, method in enumerate(methods) for one in params]
        self._bad = [b"\\u0000", b"\xff\xfe", b"\\ud800", b"1e999999", b"-", b"null", b"[" * 100, b'{"a":' * 70, b"9" * 400, b"\0",
                     b'"' * 3, b"tru", b"{}" * 9, b"\\", b'"jsonrpc":"2.0",', b"/* */", b"[1,2", b"18446744073709551616", b"-0.0"]

    def line(self):
        """One of them, without a newline in it."""
        chance = self._chance
        line = bytearray(chance.choice(self._right))
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(len(line) + 1)
            kind = chance.randrange(5)
            if kind == 0 and at < len(line):
                line[at] = chance.choice(b"\x00\x09\"\\{}[]:,0aZ\x7f\x80\xff")
            elif kind == 1:
                line[at:at] = chance.choice(self._bad)
            elif kind == 2:
                del line[at:at + chance.randrange(1, 20)]
            elif kind == 3:
                line[at:at] = line[max(0, at - 30):at]
            else:
                del line[at:]
            if not line:
                break
        return bytes(line).replace(b"\n", b" ")


def exchange(connection, data, is_end):
    """Sends while it reads, until is_end(line); every line that came."""
    connection.setblocking(False)
    lines, rest, sent = [], b"", 0
    while not lines or not is_end(lines[-1]):
        want = [connection] if sent < len(data) else []
        readable, writable, _ = select.select([connection], want, [], 30)
        assert readable or writable, "no answer within 30 s"
        if writable:
            sent += connection.send(data[sent:sent + 65536])
        if readable:
            more = connection.recv(1 << 20)
            assert more, f"cut off after {len(lines)} answers"
            *whole, rest = (rest + more).split(b"\n")
            lines += whole
    return lines


def malformed(torture, daemon, methods):
    """(sent, answers) of mutated requests over one connection after the other."""
    mutations = Mutations(torture.random, [name for name, changes in methods.items()
                                           if not changes and not LEFT_OUT.search(name)])
    total = torture.pick(short=50_000, long=1_000_000)
    answered = 0
    with contextlib.ExitStack() as stack:
        for batch in torture.progress(range(total // BATCH), "batches of malformed requests"):
            if batch % 20 == 0:
                stack.close()
                connection = stack.enter_context(socket.socket(socket.AF_UNIX))
                connection.connect(daemon.admin_socket)
            data = b"\n".join(mutations.line() for _ in range(BATCH)) + b"\n" + json.dumps(END).encode() + b"\n"
            lines = exchange(connection, data, lambda line: b'"the end"' in line)
            for line in lines:
                answer = json.loads(line)
                assert ("error" in answer) != ("result" in answer), f"an answer that is none: {line[:200]}"
            answered += len(lines) - 1
            assert daemon.alive, daemon.log_tail()
    return total, answered


def absurd(daemon):
    """Deep, long and huge ones, each of which must be answered by an error or end the connection; how many."""
    shapes = [b"[" * 5_000_000, b'{"a":' * 1_000_000, b"[" + b"[]," * 1_000_000 + b"[]]", b'"' + b"x" * 30_000_000 + b'"',
              b"[" + b"0," * 5_000_000 + b"0]", b'{"id":1,"method":"' + b"m" * 2_000_000 + b'","jsonrpc":"2.0"}',
              b'{"jsonrpc":"2.0","id":' + b"9" * 1_000_000 + b',"method":"status"}', b"\0" * 1_000_000, b"\xff" * 1_000_000,
              b'{"jsonrpc":"2.0","id":1,"method":"show.port","params":{' + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}}",
              b'{"jsonrpc":"2.0","id":1,"method":"show.port","params":{"name":"' + b"x" * 3_000_000 + b'"}}']
    for shape in shapes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(daemon.admin_socket)
            line = exchange(connection, shape + b"\n", lambda line: True)[0]
            assert "error" in json.loads(line), f"{shape[:40]}: {line[:200]}"
        assert daemon.alive, daemon.log_tail()
    return len(shapes)


def oversize(daemon, limit):
    """A request larger than the limit ends with an error and the connection's end."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(daemon.admin_socket)
        piece, sent = b" " * (1 << 20), 0
        with contextlib.suppress(OSError):
            while sent < limit + (2 << 20):
                connection.sendall(piece)
                sent += len(piece)
        with connection.makefile("rb") as answer:
            line = b""
            with contextlib.suppress(OSError):
                line = answer.readline()
    assert sent >= limit, f"cut off after {sent} bytes"
    assert not line or json.loads(line)["error"]["data"]["code"] == "limit", line
    return sent


# Slow clients

def hold(path, count):
    """Connections that begin a request and rest; those that were turned away are closed."""
    held = []
    for _ in range(count):
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(5.0)
        with contextlib.suppress(OSError):
            one.connect(path)
            one.send(b'{"jsonrpc":"2.0","method":"status","id":')
            held.append(one)
    return held


def ask_status(path):
    """Milliseconds until `status` is answered on a connection of its own; AssertionError if it is refused."""
    began = time.monotonic()
    with Control(path, timeout=10.0) as control:
        control.ask("status")
    return (time.monotonic() - began) * 1000


class SlowClients:
    """Another user's process that holds connections, until it is ended."""

    def __init__(self, path, uid, count):
        context = multiprocessing.get_context("fork")
        self._here, there = context.Pipe()
        self._process = context.Process(target=self._run, args=(path, uid, count, there), daemon=True)
        self._process.start()
        there.close()
        self.count = self._here.recv()

    @staticmethod
    def _run(path, uid, count, pipe):
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        held = hold(path, count)
        pipe.send(len(held))
        pipe.recv()  # They are held until then.

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self._here.send(True)
        self._process.join(10)


def slow_clients(torture, daemon):
    """1 000 slow clients of a reader, then of root: who else is let in, and how fast."""
    path = daemon.admin_socket
    with SlowClients(path, NOBODY, 1000) as slow:
        torture.figure("slow clients of one user, of 1000 that tried", slow.count, at_least=1)
        torture.figure("root's answer beside them", ask_status(path), "ms", at_most=ANSWER_MS * 5)
        torture.figure("another user's answer beside them", as_user(SOMEBODY, lambda: ask_status(path)), "ms",
                       at_most=ANSWER_MS * 5)
    held = hold(path, 1000)
    began = time.monotonic()

    def let_in():
        with contextlib.suppress(AssertionError, OSError, ValueError):
            return ask_status(path)
        return None
    eventually(let_in, "root is let in beside root's slow clients", 10)
    torture.figure("root's wait beside 1 000 slow clients of root", (time.monotonic() - began) * 1000, "ms", at_most=3000)
    for one in held:
        one.close()


# Rights and the audit log

def audit_lines(daemon):
    with open(daemon.log_path, encoding="utf-8", errors="replace") as log:
        return [line.rstrip("\n") for line in log if " audit: " in line]


def refused_methods(daemon, changing):
    """Calls every changing method without the right to; how many were refused."""
    def work():
        refused = 0
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(daemon.admin_socket)
            with connection.makefile("rb") as answers:
                for name in changing:
                    request = {"jsonrpc": "2.0", "id": 1, "method": name, "params": {}}
                    connection.sendall(json.dumps(request).encode() + b"\n")
                    answer = json.loads(answers.readline())
                    refused += answer.get("error", {}).get("data", {}).get("code") == "denied"
        return refused
    return as_user(NOBODY, work)


def check_rights(torture, daemon, methods):
    """Every changing method, asked from the daemon itself, is refused to a stranger and written down."""
    changing = [name for name, changes in methods.items() if changes]
    before = len(audit_lines(daemon))
    refused = refused_methods(daemon, changing)
    torture.figure("changing methods", len(changing), at_least=5)
    torture.figure("of these refused to a stranger", refused, exactly=len(changing))
    eventually(lambda: len(audit_lines(daemon)) >= before + len(changing), "audit lines of the refused")
    lines = audit_lines(daemon)[before:]
    written = sum(any(f"audit: {name} " in line and f"uid {NOBODY}" in line and "denied" in line for line in lines)
                  for name in changing)
    torture.figure("of these in the audit log", written, exactly=len(changing))


def check_audit(torture, daemon):
    """One line a change, with method, uid, pid and outcome; none can be forged by a name."""
    forged = "x\naudit: apply by uid 0 pid 1: ok"
    before = len(audit_lines(daemon))
    changes = torture.pick(short=40, long=1000)
    with Control(daemon.admin_socket) as control:
        for n in range(changes):
            if n % 4 == 3:
                with contextlib.suppress(AssertionError):
                    control.edit("set", "port", forged, patch={"enabled": True})
            elif n % 4 == 2:
                control.ask("flush.conns")
            else:
                control.edit("set", "port", "vm1", patch={"enabled": bool(n % 2)})
    eventually(lambda: len(audit_lines(daemon)) >= before + changes, "an audit line a change")
    lines = audit_lines(daemon)[before:]
    by_us = [line for line in lines if f"by uid 0 pid {os.getpid()}: " in line]
    torture.figure("changes", changes)
    torture.figure("audit lines", len(lines), exactly=changes)
    torture.figure("of these with our uid and pid", len(by_us), exactly=changes)


def check_audit_of_a_quiet_log(torture):
    """Changes are written down at whatever level the log is."""
    with Daemon(args=("--log-level", "error")) as daemon:
        daemon.apply({})
        daemon.rpc("flush.conns")
        torture.figure("audit lines at log level error", len(audit_lines(daemon)), exactly=2)


# The metrics port

def scrape(port):
    """Milliseconds until the metrics have come."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = b""
        while more := connection.recv(1 << 16):
            data += more
    assert data.startswith(b"HTTP/1.1 200"), data[:100]
    return (time.monotonic() - began) * 1000


def slow_http(torture, port):
    """Slow and senseless HTTP; the longest that a scraper waited beside it, in ms."""
    held = []
    for n in range(torture.pick(short=200, long=2000)):
        one = socket.create_connection(("127.0.0.1", port), timeout=10)
        with contextlib.suppress(OSError):
            one.sendall((b"GET /metrics HTTP/1.1\r\nX-", b"G", b"\0" * 100, b"GET /metrics HTTP/1.1\r\n" * 50,
                         b"POST /metrics HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n",
                         b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000,
                         b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100)[n % 7])
        held.append(one)
    took = [scrape(port) for _ in range(torture.pick(short=20, long=200))]
    for one in held:
        one.close()
    return max(took)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def attack(torture, daemon, port, methods):
    """Everything that has no figures of its own."""
    sent, answers = malformed(torture, daemon, methods)
    torture.figure("malformed requests", sent, at_least=50_000)
    torture.figure("of these answered (the others are notifications or empty)", answers, at_least=sent // 2)
    torture.figure("absurd requests", absurd(daemon))
    torture.figure("bytes taken before an oversize request was cut off", oversize(daemon, ADMIN_LIMIT))
    torture.figure("the same of one who may only read", as_user(NOBODY, lambda: oversize(daemon, READER_LIMIT)))
    torture.figure("scraper's longest wait beside slow HTTP", slow_http(torture, port), "ms", at_most=1000)


def ask_in_process(path):
    control = Control(path)
    return [lambda: control.ask("status")]


def run(torture):
    port = free_port()
    with Daemon(args=("--metrics", f"127.0.0.1:{port}")) as daemon:
        os.chmod(daemon.directory, 0o711)  # So that other users reach the admin socket.
        daemon.apply({"switches": [{"name": "dvs0"}], "port_groups": [{"name": "net", "switch": "dvs0"}],
                      "ports": [daemon.port("vm1", "net"), daemon.port("vm2", "net")]})
        methods = {row["name"]: row["changes"] for row in daemon.rpc("methods")["result"]}
        check_rights(torture, daemon, methods)
        check_audit(torture, daemon)
        absurd(daemon)  # Warm: what is allocated once is there.
        fds_before, rss_before = open_files(daemon.pid), resident_mb(daemon.pid)
        with Asker(lambda: ask_in_process(daemon.admin_socket)) as asker:
            time.sleep(0.5)
            torture.figure("status beside it, quiet, p99", percentile(asker.read()[0], 99), "ms")
            attack(torture, daemon, port, methods)
            torture.times("status beside it, attacked", asker.read()[0], p99_at_most=ANSWER_MS)
        slow_clients(torture, daemon)
        torture.figure("deaths of the daemon", 0 if daemon.alive else 1, exactly=0)
        with contextlib.suppress(AssertionError):  # The figures say so.
            eventually(lambda: open_files(daemon.pid) <= fds_before
                       and resident_mb(daemon.pid) <= rss_before + RSS_SLACK_MB, "descriptors and memory as before", 15)
        torture.figure("descriptors before", fds_before)
        torture.figure("descriptors after", open_files(daemon.pid), at_most=fds_before)
        torture.figure("memory before", rss_before, "MB")
        torture.figure("memory after", resident_mb(daemon.pid), "MB", at_most=rss_before + RSS_SLACK_MB)
    check_audit_of_a_quiet_log(torture)
