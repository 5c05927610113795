# SPDX-License-Identifier: Apache-2.0
"""Slot 15 between two hosts on one cable: what passes, what a listener sees, what never repeats, who is refused; keys derived in
Python, and scapy's ESP as the other end."""

import base64
import collections
import contextlib
import hashlib
import hmac
import json
import os
import socket
import struct
import subprocess
import threading
import time

import pytest
from conditions import eventually
from daemon import CliError, Daemon
from fleet import Fleet
from network import TcpEcho, Wire, tcp_round_trip
from overlay import Overlay, guest_ip, guest_mac, tunnelled, vtep_ip, vtep_mac
from packets import mac

GROUP_KEY = bytes(range(16))
MARKER = b"sesame-open-sesame-open-sesame-"
ESP = 50
SO_RCVBUFFORCE = 33
ALGORITHMS = {"aes-128-gcm": (0, 16), "aes-256-gcm": (1, 32), "aes-128-gmac": (2, 16)}
SOAK_S = float(os.environ.get("SLUICE_ROTATION_SECONDS", "15"))


# What a second implementation makes of docs/encryption.md

def hkdf(salt, secret, info, size):
    pseudo = hmac.new(salt, secret, hashlib.sha256).digest()
    out, block, number = b"", b"", 1
    while len(out) < size:
        block = hmac.new(pseudo, block + info + bytes([number]), hashlib.sha256).digest()
        out, number = out + block, number + 1
    return out[:size]


class Name(collections.namedtuple("Name", "policy epoch generation worker")):
    """What an SPI says; `epoch` is its low byte."""

    @staticmethod
    def of(spi):
        assert spi >> 30 == 2, hex(spi)
        return Name(spi >> 24 & 63, spi >> 16 & 255, spi >> 4 & 4095, spi & 15)

    def spi(self):
        return 2 << 30 | self.policy << 24 | (self.epoch & 255) << 16 | self.generation << 4 | self.worker


def sender_key(name, epoch, sender, algorithm="aes-128-gcm", rotate_s=86400, group=GROUP_KEY):
    """Key and salt."""
    number, size = ALGORITHMS[algorithm]
    info = struct.pack("!BBIQHBB", name.policy, number, rotate_s, epoch, name.generation, name.worker, 4)
    out = hkdf(b"sluice esp 1", group, info + socket.inet_aton(sender), size + 4)
    return out[:size], out[size:]


# The stage

def policy(key_file, **more):
    return {"name": "kp1", "algorithm": "aes-128-gcm", "key_file": key_file, **more}


def encryption(key_file, action="encrypt", required=True, **more):
    return {"key_policies": [policy(key_file, **more)],
            "rules": [{"name": "all", "action": action, "required": required, "key_policy": "kp1"}]}


def write_key(path, key=GROUP_KEY):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key)
    return str(path)


class Pair(Overlay):
    """Two hosts that seal everything, or what `encryption` says: (host) -> noun."""

    def __init__(self, noun):
        super().__init__(hosts=2, bfd={"enabled": False})
        self._noun = noun

    def document(self, host, **nouns):
        return super().document(host, **{"encryption": self._noun(host), **nouns})


@pytest.fixture(name="key_file", scope="module")
def _key_file(tmp_path_factory):
    return write_key(tmp_path_factory.mktemp("keys") / "kp1.key")


@pytest.fixture(name="pair", scope="module")
def _pair(key_file):
    with Pair(lambda host: encryption(key_file)) as pair:
        pair.ping("h1web", guest_ip(2, "web"))
        yield pair
        for daemon in pair.daemons.values():
            daemon.assert_books_balance()


class Recorder:
    """Everything that both hosts say on the underlay, until it is stopped."""

    def __init__(self, overlay):
        self._wires = [overlay.tap("h1"), overlay.tap("h2")]
        self._frames, self._lock, self._stop = [], threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        for wire in self._wires:
            wire.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self._stop.set()
        self._thread.join()
        for wire in self._wires:
            wire.__exit__(kind, value, trace)

    def _take(self):
        with self._lock:
            for wire in self._wires:
                self._frames += wire.drain()

    def _run(self):
        while not self._stop.wait(0.01):
            self._take()

    def frames(self):
        """All until now."""
        self._take()
        return tunnelled(self._frames)


def inner_ip(one):
    """(protocol, payload of IP) of a tunnelled frame; None if it is no IP."""
    inner = one.inner
    if inner[12:14] == b"\x08\x00":
        return inner[23], inner[14 + (inner[14] & 15) * 4:14 + struct.unpack("!H", inner[16:18])[0]]
    if inner[12:14] == b"\x86\xdd":
        return inner[20], inner[54:]
    return None


def sealed_of(frames):
    """[(outer source, SPI, sequence low, IV, frame)] of those that are sealed."""
    found = []
    for one in frames:
        ip = inner_ip(one)
        if ip is not None and ip[0] == ESP:
            spi, sequence = struct.unpack("!II", ip[1][:8])
            found.append((one.source, spi, sequence, ip[1][8:16], one))
    return found


def is_for_switches(ip):
    """Neighbour discovery, IGMP and MLD (behind a hop-by-hop header): switches read them, so they are not sealed, as ARP."""
    return (ip[0] == 58 and 133 <= ip[1][0] <= 137) or ip[0] == 2 or (ip[0] == 0 and ip[1][0] == 58 and ip[1][8] in (130, 131, 132, 143))


def assert_all_sealed(frames):
    for one in frames:
        ip = inner_ip(one)
        assert ip is None or ip[0] == ESP or is_for_switches(ip), f"in the clear: {one.inner.hex()}"


def assert_no_nonce_twice(frames):
    """A key is (sender, SPI); what must not repeat under it is the IV."""
    seen = collections.Counter((source, spi, iv) for source, spi, _, iv, _ in sealed_of(frames))
    twice = [key for key, count in seen.items() if count > 1]
    assert not twice, twice[:5]


def encryption_of(overlay, host):
    return overlay.daemons[host].cli("show", "encryption")[0]


class UdpStream:
    """Numbered datagrams from one guest to another, answered; what is lost is known at the end."""

    def __init__(self, overlay, source, target, address, gap=0.001):
        self._gap = gap
        with overlay.net[target].inside():
            self._server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._server.bind((address, 9999))
        with overlay.net[source].inside():
            self._client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._client.connect((address, 9999))
        self._client.settimeout(0.2)
        self._server.settimeout(0.2)
        self.sent, self.answered, self._stop = 0, set(), threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._serve, self._hear, self._send)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stop()
        self._client.close()
        self._server.close()

    def stop(self):
        """No more; waits for the last answers."""
        if not self._stop.is_set():
            self._stop.set()
            for thread in self._threads:
                thread.join()

    def _serve(self):
        quiet = 0
        while quiet < 3:
            try:
                data, peer = self._server.recvfrom(2048)
                self._server.sendto(data, peer)
                quiet = 0
            except OSError:
                quiet += self._stop.is_set()

    def _hear(self):
        quiet = 0
        while quiet < 5:
            try:
                self.answered.add(struct.unpack("!I", self._client.recv(2048)[:4])[0])
                quiet = 0
            except OSError:
                quiet += self._stop.is_set()

    def _send(self):
        while not self._stop.is_set():
            with contextlib.suppress(OSError):  # The other end may be down.
                self._client.send(struct.pack("!I", self.sent) + MARKER)
            self.sent += 1
            time.sleep(self._gap)


# Facts

def test_tcp_and_udp_pass_and_nobody_reads_them(pair):
    """Both families, in one network and routed: on the cable there is ESP only, and the marker never."""
    payload = MARKER * 4096
    with Recorder(pair) as recorder:
        for family in (4, 6):
            for target in ("web", "db"):
                address = guest_ip(2, target, family)
                with TcpEcho(pair.net[f"h2{target}"], address):
                    assert tcp_round_trip(pair.net["h1web"], address, payload, timeout=60.0) == payload
        frames = recorder.frames()
    assert len(sealed_of(frames)) > 100
    assert_all_sealed(frames)
    assert_no_nonce_twice(frames)
    assert not any(MARKER[:12] in one.inner for one in frames)
    for daemon in pair.daemons.values():
        assert daemon.drops().get("policy_clear", 0) == 0


def test_names_and_entropy(pair):
    """Each flow has an outer port of its own, taken before sealing; the SPI says who sealed."""
    with Recorder(pair) as recorder:
        for port in range(20):
            with pair.net["h1web"].inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.bind((guest_ip(1, "web"), 20000 + port))
                client.sendto(MARKER, (guest_ip(2, "web"), 7))
        eventually(lambda: len(sealed_of(recorder.frames())) >= 20, "the datagrams on the cable")
        frames = recorder.frames()
    own = [one for one in sealed_of(frames) if one[0] == socket.inet_aton(vtep_ip(1))]
    assert len({one[4].source_port for one in own}) > 10
    row = encryption_of(pair, 1)
    assert {one[1] for one in own} == {row["sending"][0]["spi"]}
    name = Name.of(row["sending"][0]["spi"])
    assert (name.policy, name.epoch, name.worker) == (row["id"], row["epoch"] & 255, 0)
    assert row["epoch"] == int(time.time()) // 86400 and 0 < row["next_rotation_s"] <= 86400
    theirs = [one for one in encryption_of(pair, 2)["receiving"] if one["packets"]]
    assert [one["vtep"] for one in theirs] == [vtep_ip(1)] and theirs[0]["spi"] == own[0][1]


def test_scapy_opens_and_seals(pair):
    """scapy's ESP with keys that Python derived opens what is on the cable, and what it seals is delivered."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.ipsec import ESP as ScapyEsp
    from scapy.layers.ipsec import SecurityAssociation
    row = encryption_of(pair, 1)
    name = Name.of(row["sending"][0]["spi"])
    key, salt = sender_key(name, row["epoch"], vtep_ip(1))

    def association(spi, secret, **more):
        return SecurityAssociation(ScapyEsp, spi=spi, crypt_algo="AES-GCM", crypt_key=secret, esn_en=True, esn=0, **more)
    with Recorder(pair) as recorder:
        with pair.net["h1web"].inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind((guest_ip(1, "web"), 4321))
            client.sendto(MARKER, (guest_ip(2, "web"), 1234))
        eventually(lambda: any(one[0] == socket.inet_aton(vtep_ip(1)) for one in sealed_of(recorder.frames())), "a sealed datagram")
        frames = recorder.frames()
    opened = []
    for source, spi, _, _, one in sealed_of(frames):
        if source == socket.inet_aton(vtep_ip(1)) and one.inner[12:14] == b"\x08\x00":
            opened.append(association(spi, key + salt).decrypt(IP(one.inner[14:])))
    assert any(UDP in packet and bytes(packet[UDP].payload) == MARKER and packet[UDP].dport == 1234 for packet in opened)

    # A start of host 1 that nobody knows: the first packet is asked for, a later one is delivered.
    other = name._replace(generation=(name.generation + 100) & 4095)
    key, salt = sender_key(other, row["epoch"], vtep_ip(1))
    sealer = association(other.spi(), key + salt)
    with pair.net["h2web"].inside():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((guest_ip(2, "web"), 2345))
    server.settimeout(0.3)
    got = None
    with Wire(pair.net["fabric"], "c-h2") as wire:
        for _ in range(20):
            plain = IP(src=guest_ip(1, "web"), dst=guest_ip(2, "web")) / UDP(sport=5, dport=2345) / (b"from scapy")
            sealer.seq_num += 1
            packet = bytes(sealer.encrypt(IP(bytes(plain)), seq_num=sealer.seq_num,
                                          iv=struct.pack("!Q", sealer.seq_num), esn_en=True, esn=0))
            inner = mac(guest_mac(2, "web")) + mac(guest_mac(1, "web")) + b"\x08\x00" + packet
            outer = (mac(vtep_mac(2)) + mac(vtep_mac(1)) + b"\x08\x00" + bytes(
                IP(src=vtep_ip(1), dst=vtep_ip(2), flags="DF") / UDP(sport=50000, dport=4789, chksum=0) /
                (b"\x08\x00\x00\x00" + (5001).to_bytes(3, "big") + b"\x00" + inner)))
            wire.send(outer)
            try:
                got = server.recv(100)
                break
            except OSError:
                continue
    server.close()
    assert got == b"from scapy"


def test_changed_and_repeated_packets_are_dropped(pair):
    """What was changed on its way is no packet, what came before is none twice."""
    with Recorder(pair) as recorder:
        pair.ping("h1web", guest_ip(2, "web"))
        frames = recorder.frames()
    one = next(each for each in sealed_of(frames) if each[0] == socket.inet_aton(vtep_ip(1)))[4]
    whole = (one.outer_destination + one.outer_source + b"\x08\x00" + bytes(rebuilt_outer(one)))
    before = pair.daemons[2].drops()
    with Wire(pair.net["fabric"], "c-h2") as wire:
        wire.send(whole)
        changed = bytearray(whole)
        esp = 14 + 20 + 8 + 8 + 14 + 20
        number = struct.unpack("!I", changed[esp + 4:esp + 8])[0] + 100000  # Did not come yet.
        changed[esp + 4:esp + 16] = struct.pack("!IQ", number, number)
        wire.send(bytes(changed))

    def grew(reason):
        return pair.daemons[2].drops().get(reason, 0) > before.get(reason, 0)
    eventually(lambda: grew("esp_replay") and grew("bad_esp_tag"), "both counted")


def rebuilt_outer(one):
    from scapy.layers.inet import IP, UDP
    return (IP(src=socket.inet_ntoa(one.source), dst=socket.inet_ntoa(one.destination), flags="DF") /
            UDP(sport=one.source_port, dport=4789, chksum=0) / (b"\x08\x00\x00\x00" + one.vni.to_bytes(3, "big") + b"\x00" + one.inner))


def test_restarts_never_repeat_a_nonce(pair):
    """A daemon that is stopped, and one that is killed, under traffic: other generations, no (key, nonce) twice."""
    with Recorder(pair) as recorder:
        generations = [encryption_of(pair, 1)["sending"][0]["generation"]]
        for end in (pair.daemons[1].stop, pair.daemons[1].kill):
            with UdpStream(pair, "h2web", "h1web", guest_ip(1, "web")):
                pair.ping("h2web", guest_ip(1, "web"))
                end()
            pair.daemons[1].start()
            pair.daemons[1].wait_port("h1web", timeout=20.0)
            for net in ("web", "db"):
                pair.add_default_routes(f"h1{net}", net)
            pair.ping("h2web", guest_ip(1, "web"))
            generations.append(encryption_of(pair, 1)["sending"][0]["generation"])
        frames = recorder.frames()
    assert len(set(generations)) == 3
    assert_no_nonce_twice(frames)
    assert_all_sealed(frames)


def test_rotation_under_load_loses_nothing(key_file):
    """An epoch a second: every datagram is answered, nothing is in the clear, no nonce comes twice."""
    with Pair(lambda host: encryption(key_file, rotate_s=1)) as pair:
        pair.ping("h1web", guest_ip(2, "web"))
        with Recorder(pair) as recorder:
            with UdpStream(pair, "h1web", "h2web", guest_ip(2, "web")) as stream:
                eventually(lambda: len(stream.answered) > 10, "answers")
                drops = [pair.daemons[host].drops() for host in (1, 2)]
                time.sleep(SOAK_S)
                stream.stop()
            frames = recorder.frames()
        assert len(stream.answered) == stream.sent
        for host in (1, 2):
            after = pair.daemons[host].drops()
            for reason in ("no_key", "policy_clear", "esp_replay", "bad_esp_tag", "bad_esp"):
                assert after.get(reason, 0) == drops[host - 1].get(reason, 0), (host, reason)
            pair.daemons[host].assert_books_balance()
        assert len({spi for _, spi, _, _, _ in sealed_of(frames)}) >= 2 * int(SOAK_S * 0.8)
        assert_all_sealed(frames)
        assert_no_nonce_twice(frames)


def test_integrity_is_readable_and_authentic(key_file):
    with Pair(lambda host: encryption(key_file, action="integrity", algorithm="aes-128-gmac")) as pair:
        pair.ping("h1web", guest_ip(2, "web"))
        with Recorder(pair) as recorder, TcpEcho(pair.net["h2web"], guest_ip(2, "web")):
            payload = MARKER * 1000
            assert tcp_round_trip(pair.net["h1web"], guest_ip(2, "web"), payload, timeout=60.0) == payload
            frames = recorder.frames()
        assert_all_sealed(frames)
        assert any(MARKER in one.inner for one in frames)


def test_clear_hosts_and_hosts_without_the_key_are_refused(key_file, tmp_path):
    """Who seals nothing is heard as `policy_clear`, who has another key as `bad_esp_tag`, who has none says nothing."""
    with Pair(lambda host: encryption(key_file) if host == 1 else {}) as pair:

        def refused():
            return pair.is_silent("h2web", guest_ip(1, "web")) and pair.daemons[1].drops().get("policy_clear", 0) > 0
        eventually(refused, "what came in the clear is dropped", 20.0)
        pair.daemons[2].apply(pair.document(2, encryption=encryption(write_key(tmp_path / "other.key", bytes(16)))))

        def noticed():
            return pair.is_silent("h2web", guest_ip(1, "web")) and pair.daemons[1].drops().get("bad_esp_tag", 0) > 0
        eventually(noticed, "another key noticed", 20.0)
        sealed = [{"epoch": 0, "hosts": {}}]
        nothing = {"key_policies": [{"name": "kp1", "keys": sealed}],
                   "rules": [{"name": "all", "action": "encrypt", "key_policy": "kp1"}]}
        pair.daemons[2].apply(pair.document(2, encryption=nothing))
        assert pair.is_silent("h2web", guest_ip(1, "web"))
        assert pair.daemons[2].drops()["no_key"] > 0
        assert "why" in encryption_of(pair, 2)
        pair.daemons[2].apply(pair.document(2, encryption=encryption(key_file)))
        pair.ping("h2web", guest_ip(1, "web"))


# Keys

def key_cli(daemon, *words):
    return daemon.cli("key", *words)


def document_with(noun):
    return {"encryption": noun}


def test_wrong_keys_are_refused_by_name(tmp_path):
    with Daemon() as daemon:
        for content, words in ((b"x" * 15, "has 15 bytes"), (b"00" * 17, "17 bytes in hex"), (b"[]x", "sealed keys are")):
            path = write_key(tmp_path / "kp1.key", content)
            with pytest.raises(CliError) as refused:
                daemon.apply(document_with(encryption(path)))
            assert words in refused.value.error["message"] and path in refused.value.error["message"]
            assert refused.value.error["object"] == "key_policy kp1"
        os.chmod(path, 0o644)
        with pytest.raises(CliError, match="open to others"):
            daemon.apply(document_with(encryption(path)))
        with pytest.raises(CliError, match="No such file"):
            daemon.apply(document_with(encryption(str(tmp_path / "none"))))
        assert daemon.cli("show", "encryption") == [] and daemon.cli("status")["generation"] == 0


def test_a_key_file_is_rotated_for_two_hosts(tmp_path):
    """In the clear at first, sealed afterwards; both hosts hold the same keys, in force two epochs later."""
    path = write_key(tmp_path / "kp1.key", GROUP_KEY.hex().encode() + b"\n")
    with Daemon() as here, Daemon() as there:
        for daemon in (here, there):
            daemon.apply(document_with(encryption(path, rotate_s=1000)))
        first = key_cli(here, "show", "kp1")[0]
        assert first["keys"][0]["key_id"] == key_cli(there, "show")[0]["keys"][0]["key_id"]
        with pytest.raises(CliError, match="key init"):
            key_cli(here, "rotate", "kp1", "--state-dir", here.state_dir)
        public = [key_cli(daemon, "init", "--state-dir", daemon.state_dir) for daemon in (here, there)]
        again = key_cli(there, "init", "--state-dir", there.state_dir)
        assert again == {"public_key": public[1]["public_key"], "made": False}
        done = key_cli(here, "rotate", "kp1", "--state-dir", here.state_dir, "--for", public[1]["public_key"])
        assert done["hosts"] == 2 and done["from_epoch"] - first["epoch"] in (2, 3) and 0 < done["in_s"] <= 3000
        assert GROUP_KEY.hex() not in (tmp_path / "kp1.key").read_text() and (tmp_path / "kp1.key").stat().st_mode & 0o777 == 0o600
        key_cli(there, "reload")
        rows = [key_cli(daemon, "show", "kp1")[0]["keys"] for daemon in (here, there)]
        assert rows[0] == rows[1] and len(rows[0]) == 2
        assert rows[0][0]["key_id"] == first["keys"][0]["key_id"] and rows[0][0]["in_force"]
        assert key_cli(here, "rotate", "kp1", "--state-dir", here.state_dir)["hosts"] == 2, "they are known from the file"
        for daemon in (here, there):
            assert GROUP_KEY.hex() not in daemon.log_tail(1000)


def test_keys_in_the_document(tmp_path):
    """A policy without a key may be there as long as nothing requires it; rotate puts one into the document."""
    with Daemon() as daemon:
        noun = {"key_policies": [{"name": "kp1", "rotate_s": 1000}], "rules": []}
        daemon.apply(document_with(noun))
        key_cli(daemon, "init", "--state-dir", daemon.state_dir)
        assert key_cli(daemon, "rotate", "kp1", "--state-dir", daemon.state_dir)["from_epoch"] == 0
        assert key_cli(daemon, "show")[0]["keys"][0]["in_force"]
        text = json.dumps(daemon.cli("export"))
        assert key_cli(daemon, "rotate", "kp1", "--state-dir", daemon.state_dir)["from_epoch"] > 0
        assert len(key_cli(daemon, "show")[0]["keys"]) == 2
        sealed = json.loads(text)["encryption"]["key_policies"][0]["keys"][0]["hosts"]
        assert len(base64.b64decode(list(sealed.values())[0])) == 1 + 32 + 16 + 16
        daemon.restart()
        eventually(lambda: len(key_cli(daemon, "show")[0]["keys"]) == 2, "the keys are read after a restart")


def test_a_fleet_gets_its_keys_sealed():
    """Hosts report public keys, `key rotate` seals to all that do; then a rule requires it, and VMs talk. Who has no key drops
    and says why; it gets one with the next rotation."""
    policy_alone = {"key_policies": [{"name": "kp1", "rotate_s": 3600}], "rules": []}
    rule = {"name": "all", "action": "encrypt", "key_policy": "kp1"}
    with Fleet(hosts=2, cluster=1, relays=0) as fleet:
        def init(host):
            public = key_cli(fleet.daemons[host], "init", "--state-dir", fleet.daemons[host].state_dir)["public_key"]
            key_cli(fleet.daemons[host], "reload")
            fleet.databases.wait_host(f"host-{host}", 20.0, public_key=public)
        init(1)
        fleet.apply(encryption=policy_alone)
        with pytest.raises(CliError, match="nobody"):
            fleet.sluice("key", "rotate", "nobody")
        assert fleet.sluice("key", "rotate", "kp1")["hosts"] == 1
        shown = fleet.sluice("key", "show", "kp1")[0]["keys"][0]
        assert shown["hosts"] == ["host-1"] and shown["hosts_without"] == []
        eventually(lambda: key_cli(fleet.daemons[1], "show")[0]["keys"], "host 1 has its key", 20.0)

        def why():
            rows = key_cli(fleet.daemons[2], "show")
            return rows and "key init" in rows[0].get("why", "")
        eventually(why, "host 2 says why it has none", 20.0)
        init(2)
        assert fleet.sluice("key", "show", "kp1")[0]["keys"][0]["hosts_without"] == ["host-2"]
        # Where somebody can open the present key, the newcomer gets it at once.
        done = fleet.sluice("key", "rotate", "kp1", "--state-dir", fleet.daemons[1].state_dir)
        assert done["hosts"] == 2 and done["from_epoch"] > 0
        eventually(lambda: len(key_cli(fleet.daemons[2], "show")[0]["keys"]) == 2, "host 2 has both keys", 20.0)
        ids = [[key["key_id"] for key in key_cli(fleet.daemons[host], "show")[0]["keys"]] for host in (1, 2)]
        assert ids[0] == ids[1]
        document = fleet.sluice("export")
        document["encryption"]["rules"] = [rule]
        fleet.apply(document)
        fleet.attach()
        fleet.passes(1, 2)
        fleet.passes(2, 1)
        with fleet.talk():
            time.sleep(2)
        for host in (1, 2):
            row = fleet.daemons[host].cli("show", "encryption")[0]
            assert row["sending"][0]["packets"] > 100 and sum(one["packets"] for one in row["receiving"]) > 100


def test_table_output(tmp_path):
    """What people see."""
    path = write_key(tmp_path / "kp1.key")
    with Daemon(document=document_with(encryption(path))) as daemon:
        def table(*words):
            line = [os.path.join(os.environ["SLUICE_BIN"], "sluice"), "--socket", daemon.admin_socket, *words]
            return subprocess.run(line, capture_output=True, text=True, check=True, timeout=30).stdout
        assert "kp1" in table("show", "encryption") and "aes-128-gcm" in table("show", "encryption")
        assert "in force" in table("key", "show")
        assert GROUP_KEY.hex() not in table("key", "show") + table("show", "encryption")
