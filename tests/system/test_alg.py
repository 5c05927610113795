# SPDX-License-Identifier: Apache-2.0
"""FTP and TFTP through the firewall, with sockets of two host stacks: Python's own FTP client in the namespace "client", a
small server in "server", and a default rule that drops what no rule, and no announcement, lets through."""

import contextlib
import ftplib
import io
import socket
import threading

import pytest
from conditions import eventually
from daemon import Daemon
from network import Namespaces

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
CLIENT6, SERVER6 = "2001:db8::1", "2001:db8::2"
TEXT = b"two lines\r\nof text\r\n"
PATIENCE = 10.0


class FtpServer:
    """Serves one file to one client after another: PASV, EPSV, PORT, EPRT and RETR, from port 21."""

    def __init__(self, namespace, address):
        self._address = address
        self._family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._namespace = namespace
        with namespace.inside():
            self._listener = socket.create_server((address, 21), family=self._family)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)

    def _run(self):
        with self._namespace.inside(), contextlib.suppress(OSError):
            while True:
                control, _ = self._listener.accept()
                with control, contextlib.suppress(OSError):
                    self._serve(control)

    def _connect(self, target):
        """From the port that servers use for data, again and again."""
        data = socket.socket(self._family)
        data.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        data.settimeout(1.0)
        data.bind((self._address, 20))
        data.connect(target)
        return data

    def _serve(self, control):
        open_data = None
        say = lambda line: control.sendall(line.encode() + b"\r\n")
        say("220 ready")
        for line in control.makefile("r", newline="\r\n"):
            verb, _, rest = line.strip().partition(" ")
            if verb in ("PASV", "EPSV"):
                listener = socket.create_server((self._address, 0), family=self._family)
                port = listener.getsockname()[1]
                open_data = lambda listener=listener: listener.accept()[0]
                say(f"229 go (|||{port}|)" if verb == "EPSV" else
                    f"227 Entering Passive Mode ({self._address.replace('.', ',')},{port >> 8},{port & 255}).")
            elif verb in ("PORT", "EPRT"):
                if verb == "PORT":
                    parts = rest.split(",")
                    target = (".".join(parts[:4]), int(parts[4]) << 8 | int(parts[5]))
                else:
                    target = (rest.split("|")[2], int(rest.split("|")[3]))
                open_data = lambda target=target: self._connect(target)
                say("200 ok")
            elif verb == "RETR":
                try:
                    data = open_data()
                except OSError:
                    say("425 no data connection")
                    continue
                say("150 here")
                with data:
                    data.sendall(TEXT)
                say("226 done")
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("200 ok")


def document(net, **rule):
    port = {"port_group": "lan", "kind": "kernel", "interface": "eth0"}
    return {"switches": [{"name": "dvs0"}], "port_groups": [{"name": "lan", "switch": "dvs0"}],
            "ports": [{**port, "name": "client", "netns": net["client"].name, "mac": "02:00:00:00:00:01",
                       "addresses": [f"{CLIENT}/24", f"{CLIENT6}/64"]},
                      {**port, "name": "server", "netns": net["server"].name, "mac": "02:00:00:00:00:02",
                       "addresses": [f"{SERVER}/24", f"{SERVER6}/64"]}],
            "dfw": {"default": "drop", "sections": [{"name": "files", "rules": [
                {"name": "ftp", "destination": ["server"], "services": ["tcp/21"], **rule},
                {"name": "tftp", "destination": ["server"], "services": ["udp/69"], "alg": "tftp"}]}]}}


@pytest.fixture(name="stage", scope="module")
def _stage():
    with Namespaces("client", "server", ipv6=("client", "server")) as net, Daemon() as daemon:
        daemon.apply(document(net, alg="ftp"))
        daemon.wait_port("client")
        daemon.wait_port("server")
        for name in ("client", "server"):  # Until duplicate address detection is over.
            eventually(lambda name=name: "tentative" not in net[name].ip("-6", "addr"), f"addresses of {name}")
        yield net, daemon
        daemon.assert_books_balance()


@contextlib.contextmanager
def session(net, address, passive=True):
    """A client that is logged in; its sockets live in its namespace."""
    server = FtpServer(net["server"], address)
    try:
        with net["client"].inside():
            ftp = ftplib.FTP(timeout=PATIENCE)
            ftp.connect(address, 21)
            ftp.login()
            ftp.set_pasv(passive)
            yield ftp
            with contextlib.suppress(ftplib.Error, OSError):
                ftp.quit()
            ftp.close()
    finally:
        server.close()


def fetch(ftp):
    body = io.BytesIO()
    ftp.retrbinary("RETR file", body.write)
    return body.getvalue()


@pytest.mark.parametrize("address", [SERVER, SERVER6])
@pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])
def test_ftp_data_follow_their_control_connection(stage, address, passive):
    net, daemon = stage
    with session(net, address, passive) as ftp:
        assert fetch(ftp) == TEXT
        assert fetch(ftp) == TEXT
        rows = daemon.cli("show", "conns", "client", "--filter", "rule=files/ftp")
        assert {(row["alg"], row["announced"]) for row in rows} == {("ftp", False), ("ftp", True)}
        assert all(row["rule"] == "files/ftp" for row in rows)
    daemon.cli("flush", "conns")


def test_without_alg_only_the_control_connection_passes(stage):
    net, daemon = stage
    daemon.apply(document(net))
    with session(net, SERVER, passive=False) as ftp:
        before = daemon.drops("server").get("dfw_deny", 0)
        with pytest.raises(ftplib.error_temp, match="425"):
            fetch(ftp)
        assert daemon.drops("server").get("dfw_deny", 0) > before
    daemon.apply(document(net, alg="ftp"))


def test_tftp_answers_come_from_another_port(stage):
    net, daemon = stage
    with net["server"].inside():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((SERVER, 69))
        transfer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        transfer.bind((SERVER, 0))
    with net["client"].inside():
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.bind((CLIENT, 0))
    with server, transfer, client:
        for one in (server, transfer, client):
            one.settimeout(PATIENCE)
        client.sendto(b"\0\1file\0octet\0", (SERVER, 69))
        request, asker = server.recvfrom(512)
        assert request.startswith(b"\0\1")
        transfer.sendto(b"\0\3\0\1" + TEXT, asker)
        block, origin = client.recvfrom(512)
        assert block[4:] == TEXT and origin == transfer.getsockname()
        client.sendto(b"\0\4\0\1", origin)
        assert transfer.recvfrom(512)[0] == b"\0\4\0\1"


@pytest.mark.parametrize("rule, why", [
    ({"alg": "ftp", "services": ["udp/21"]}, "alg ftp needs services that are all tcp, like tcp/21"),
    ({"alg": "ftp", "services": ["any"]}, "alg ftp needs services that are all tcp, like tcp/21"),
    ({"alg": "tftp", "services": ["udp/69", "tcp/69"]}, "alg tftp needs services that are all udp, like udp/69"),
    ({"alg": "ftp", "action": "drop"}, "alg ftp needs action allow"),
])
def test_alg_is_refused_where_it_makes_no_sense(stage, rule, why):
    net, daemon = stage
    error = daemon.apply_error(document(net, **rule))
    assert error.error["message"] == f"dfw section files rule ftp: {why}"


def test_alg_needs_a_stateful_section_and_a_known_name(stage):
    net, daemon = stage
    stateless = document(net, alg="ftp")
    stateless["dfw"]["sections"][0]["stateful"] = False
    assert daemon.apply_error(stateless).error["message"] == (
        "dfw section files rule ftp: alg ftp needs a section that is stateful")
    assert "is not one of none, ftp, tftp" in daemon.apply_error(document(net, alg="sip")).error["message"]
