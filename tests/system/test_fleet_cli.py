# SPDX-License-Identifier: Apache-2.0
"""The controller's side of the command line against real ovsdb-servers: a fleet's document applied, exported, compared and
refused; what hosts report, shown; TLS."""

import copy
import json
import os
import subprocess
import time

import pytest
from conditions import eventually
from frontend import program

SCHEMAS = os.path.join(os.path.dirname(__file__), "..", "..", "controller-agent", "schema")
FLEET = {
    "hosts": [{"name": "h1"}, {"name": "h2"}],
    "switches": [{"name": "dvs0", "uplinks": ["up0"]}],
    "port_groups": [{"name": "web", "switch": "dvs0", "vni": 5001}],
    "ports": [{"name": "vm1", "host": "h1", "port_group": "web", "ips": ["10.0.0.1"]},
              {"name": "vm2", "host": "h2", "port_group": "web", "ips": ["10.0.0.2"]}],
    "dfw": {"default": "drop", "sections": [{"name": "app", "rules": [
        {"name": "web-in", "source": ["vm2"], "destination": ["vm1"], "services": ["tcp/80"]}]}]}}


class Server:
    """One ovsdb-server with a new database, on a Unix socket and on whatever `remotes` adds."""

    def __init__(self, folder, name, schema, *options):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.socket = f"{self.folder}/{name}.sock"
        self.database = f"Sluice_{'Config' if schema == 'sluice-config' else 'Status'}"
        self.control = f"{self.folder}/{name}.ctl"
        file = f"{self.folder}/{name}.db"
        subprocess.run(["ovsdb-tool", "create", file, f"{SCHEMAS}/{schema}.ovsschema"], check=True)
        self.process = subprocess.Popen(
            ["ovsdb-server", "--no-chdir", f"--unixctl={self.control}", f"--log-file={self.folder}/{name}.log", "-vconsole:off",
             f"--remote=punix:{self.socket}", *options, file])
        eventually(lambda: os.path.exists(self.socket), f"{name} listens")

    @property
    def remote(self):
        return f"unix:{self.socket}"

    def transact(self, *operations):
        """The answer of ovsdb-client; no operation may fail."""
        text = json.dumps([self.database, *operations])
        answer = subprocess.run(["ovsdb-client", "transact", self.remote, text], check=True, capture_output=True, text=True)
        results = json.loads(answer.stdout)
        assert not any("error" in result for result in results), results
        return results

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Fleet:
    """Both databases, and `sluice` that knows them."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.config = Server(folder, "c", "sluice-config")
        self.status = Server(folder, "s", "sluice-status")

    def run(self, *words, document=None, timeout=60):
        """Exit status, output and error of one call of `sluice --db`."""
        command = [program("sluice"), "--db", self.config.remote, *words]
        done = subprocess.run(command, input=json.dumps(document) if document is not None else None, capture_output=True,
                              text=True, timeout=timeout, check=False)
        return done.returncode, done.stdout, done.stderr

    def ask(self, *words, document=None):
        """The JSON result of a call that succeeds."""
        code, out, err = self.run("-o", "json", *words, document=document)
        assert code == 0, err or out
        return json.loads(out)

    def refused(self, *words, document=None):
        """The sentence of a call that is refused."""
        code, _, err = self.run(*words, document=document)
        assert code == 1, (code, err)
        return err.strip()

    def report(self, host, generation, heard=None, **columns):
        """Host and heartbeat rows as that host would write them."""
        at = int((time.time() if heard is None else heard) * 1000)
        where = [["host", "==", host]]
        row = {"host": host, "generation": generation, "state": "live", **columns}
        self.status.transact({"op": "delete", "table": "Host", "where": where},
                             {"op": "delete", "table": "Heartbeat", "where": where},
                             {"op": "insert", "table": "Host", "row": row},
                             {"op": "insert", "table": "Heartbeat", "row": {"host": host, "at_ms": at}})

    def stop(self):
        self.config.stop()
        self.status.stop()


@pytest.fixture(name="fleet")
def _fleet(tmp_path_factory):
    fleet = Fleet(tmp_path_factory.mktemp("f"))
    yield fleet
    fleet.stop()


def changed(change):
    document = copy.deepcopy(FLEET)
    change(document)
    return document


def test_what_is_applied_is_exported_and_applying_it_again_changes_nothing(fleet):
    assert fleet.ask("apply", "-", document=FLEET)["generation"] == 1
    exported = fleet.ask("export")
    assert {host["name"] for host in exported["hosts"]} == {"h1", "h2"}
    for document in (FLEET, exported):
        again = fleet.ask("apply", "-", document=document)
        assert (again["changed"], again["generation"]) == (0, 1)
    assert fleet.ask("export") == exported


def test_people_read_the_export_and_apply_reads_it_back(fleet):
    fleet.ask("apply", "-", document=FLEET)
    code, text, _ = fleet.run("export")
    assert code == 0 and list(json.loads(text)) == ["hosts", "switches", "port_groups", "ports", "dfw"]
    code, out, _ = fleet.run("apply", "-", document=json.loads(text))
    assert (code, out) == (0, "nothing to change, generation 1\n")


def test_diff_names_what_apply_would_change(fleet):
    fleet.ask("apply", "-", document=FLEET)
    document = changed(lambda fleet: fleet["ports"][1].update(ips=["10.0.0.7"], host="h1"))
    assert fleet.ask("diff", "-", document=document) == [
        {"op": "modify", "kind": "port", "name": "vm2", "host": "h1",
         "fields": ["host: h2 -> h1", 'ips: ["10.0.0.2"] -> ["10.0.0.7"]']}]
    assert fleet.ask("apply", "-", "--dry-run", document=document) == {
        "changed": 1, "generation": 1, "epoch": 0, "merged": False}
    assert fleet.ask("diff", "-", document=FLEET) == [], "neither diff nor a dry run writes"


def test_an_export_of_one_host_is_a_fleet_of_one(fleet):
    document = {"host": {"name": "h1"}, "switches": [{"name": "s"}], "port_groups": [{"name": "g"}], "ports": [{"name": "vm1"}]}
    fleet.ask("apply", "-", document=document)
    exported = fleet.ask("export")
    assert exported["hosts"] == [{"name": "h1"}]
    assert exported["ports"] == [{"name": "vm1", "host": "h1", "port_group": "g"}]


@pytest.mark.parametrize("change, sentence", [
    (lambda fleet: fleet["ports"][1].update(ips=["10.0.0.300"]), 'host h2: port vm2: ips holds "10.0.0.300"'),
    (lambda fleet: fleet["ports"][1].update(port_group="ghost"), 'host h2: port vm2: port_group "ghost" does not exist'),
    (lambda fleet: fleet["ports"][1].update(host="h9"), 'port vm2: host "h9" is not one of hosts'),
    (lambda fleet: fleet["ports"][1].update(name="vm1"), "port vm1: hosts h1 and h2 both have a port of that name"),
    (lambda fleet: fleet["dfw"]["sections"][0]["rules"][0].update(source=["nobody"]), 'rule web-in: source "nobody" is no'),
    (lambda fleet: fleet.update(colour="red"), 'document: unknown key "colour"'),
])
def test_a_refused_document_names_object_and_host_and_changes_nothing(fleet, change, sentence):
    fleet.ask("apply", "-", document=FLEET)
    for command in ("apply", "diff"):
        assert sentence in fleet.refused(command, "-", document=changed(change))
    assert fleet.ask("status")["generation"] == 1


def test_editors_at_once_end_in_one_state(fleet):
    """Of several that want the same one writes; all succeed."""
    command = [program("sluice"), "--db", fleet.config.remote, "-o", "json", "apply", "-"]
    editors = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for _ in range(6)]
    answers = [editor.communicate(json.dumps(FLEET), timeout=60) for editor in editors]
    assert [editor.returncode for editor in editors] == [0] * 6, answers
    results = [json.loads(out) for out, _ in answers]
    assert {result["generation"] for result in results} == {1}
    assert sum(result["changed"] > 0 for result in results) == 1


def test_wait_returns_when_every_reachable_host_runs_it(fleet):
    fleet.ask("fleet", "remotes", fleet.status.remote)
    fleet.report("h1", 0)
    command = [program("sluice"), "--db", fleet.config.remote, "-o", "json", "apply", "-", "--wait", "60"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as editor:
        editor.stdin.write(json.dumps(FLEET))
        editor.stdin.close()
        eventually(lambda: fleet.ask("status")["generation"] == 1, "the commit", timeout=30)
        assert editor.poll() is None, "h1 does not run it yet"
        fleet.report("h1", 1)
        result = json.loads(editor.stdout.read())
    assert editor.returncode == 0
    assert result["hosts"] == {"ready": ["h1"], "behind": [], "unreachable": ["h2"]}


def test_wait_names_who_is_behind_and_who_is_silent(fleet):
    fleet.ask("fleet", "remotes", fleet.status.remote)
    fleet.report("h1", 0)
    fleet.report("h2", 1, heard=time.time() - 3600)
    sentence = fleet.refused("apply", "-", "--wait", "1", document=FLEET)
    assert "generation 1 is committed, but does not run yet on h1; not reachable: h2" in sentence
    fleet.report("h1", 7)  # Of the database that was there before this one was made.
    assert "does not run yet on h1" in fleet.refused("apply", "-", "--wait", "1", document=FLEET)
    assert [row["in_step"] for row in fleet.ask("fleet", "hosts", "--host", "h1")] == [False]


def test_wait_without_servers_of_reports_says_so(fleet):
    assert "--status-db" in fleet.refused("apply", "-", "--wait", document=FLEET)
    code, _, err = fleet.run("apply", "-", "--wait", "soon", document=FLEET)
    assert code == 2, err


def test_hosts_and_what_they_realized(fleet):
    fleet.ask("apply", "-", document=FLEET)
    fleet.ask("fleet", "remotes", fleet.status.remote)
    fleet.report("h1", 1, problems=1, alarms=["set", ["a flood"]], ports=3)
    fleet.status.transact({"op": "insert", "table": "Problem", "row": {
        "host": "h1", "chunk": 0, "items": ["map", [["port vm1", "its folder does not exist"]]]}})
    h1, h2 = fleet.ask("fleet", "realized")
    assert (h1["generation"], h1["wanted_generation"], h1["in_step"]) == (1, 1, True)
    assert h1["problems"] == [{"object": "port vm1", "reason": "its folder does not exist"}]
    assert (h2["host"], h2["reachable"], h2["heard_s"]) == ("h2", False, None)
    assert [row["host"] for row in fleet.ask("fleet", "hosts", "--host", "h1")] == ["h1"]
    code, text, _ = fleet.run("fleet", "realized")
    assert code == 0 and "h1: generation 1 of 1, live\n  ! a flood\n  - port vm1: its folder does not exist\n" in text
    assert "host h9" in fleet.refused("fleet", "hosts", "--host", "h9")
    assert fleet.ask("status")["hosts"] == {"ready": 1, "behind": 0, "unreachable": 1}


def test_ports_and_bindings_with_duplicates(fleet):
    mac = "02:00:00:00:00:01"
    for host, claim in (("h1", "3 1000 10.0.0.1"), ("h2", "4 900 10.0.0.1 10.0.0.9")):
        fleet.status.transact(
            {"op": "insert", "table": "Binding", "row": {"host": host, "segment": "dvs0/vni5001", "vtep": f"172.16.0.{host[1]}",
                                                         "chunk": 0, "items": ["map", [[mac, claim]]]}},
            {"op": "insert", "table": "Port", "row": {"host": host, "chunk": 0, "items": [
                "map", [[f"vm{host[1]}", json.dumps({"state": "up", "mac": mac, "ips": []})]]]}})
    status = ("--status-db", fleet.status.remote)
    rows = fleet.ask("fleet", "bindings", *status)
    assert [(row["host"], row["sequence"], row["state"]) for row in rows] == [("h2", 4, "active"), ("h1", 3, "duplicate")]
    assert rows[0]["ips"] == ["10.0.0.1", "10.0.0.9"] and rows[0]["vtep"] == "172.16.0.2"
    assert fleet.ask("fleet", "bindings", "dvs0/vni1", *status) == []
    assert [(row["name"], row["host"]) for row in fleet.ask("fleet", "ports", *status)] == [("vm1", "h1"), ("vm2", "h2")]
    assert [row["name"] for row in fleet.ask("fleet", "ports", "--host", "h2", *status)] == ["vm2"]


def test_a_host_is_forgotten_once_it_is_silent(fleet):
    fleet.ask("fleet", "remotes", fleet.status.remote)
    fleet.report("h9", 1)
    assert "h9 gives signs of life" in fleet.refused("fleet", "forget", "h9")
    fleet.report("h9", 1, heard=time.time() - 3600)
    assert fleet.ask("fleet", "forget", "h9") == {"removed": 2}
    assert fleet.ask("fleet", "hosts") == []


def test_no_server_is_a_sentence(fleet):
    code, _, err = fleet.run("--db", f"unix:{fleet.folder}/none.sock", "export")
    assert code == 1 and "none.sock" in err and "No such file" in err
    code, _, err = fleet.run("--db", "none.sock", "export")
    assert code == 2 and "none.sock" in err


@pytest.fixture(name="pki", scope="module")
def _pki(tmp_path_factory):
    """Two authorities, `good` and `other`, each with a certificate of 127.0.0.1."""
    folder = tmp_path_factory.mktemp("p")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

    def openssl(where, *words):
        subprocess.run(["openssl", *words], cwd=where, check=True, capture_output=True)

    for name in ("good", "other"):
        where = folder / name
        where.mkdir()
        (where / "names").write_text("subjectAltName=IP:127.0.0.1\n", encoding="ascii")
        openssl(where, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "2")
        openssl(where, "req", *key, "-keyout", "me.key", "-out", "me.csr", "-subj", "/CN=me")
        openssl(where, "x509", "-req", "-in", "me.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "me.pem",
                "-days", "2", "-extfile", "names")
    return str(folder)


def test_tls_wants_the_right_authority(fleet, pki):
    good = f"{pki}/good"
    server = Server(f"{fleet.folder}/tls", "t", "sluice-config", "--remote=pssl:0:127.0.0.1", f"--private-key={good}/me.key",
                    f"--certificate={good}/me.pem", f"--ca-cert={good}/ca.pem")
    try:
        port = eventually(lambda: tls_port(server.process.pid), "the TLS port")

        def call(authority, *words, **more):
            return fleet.run("--db", f"ssl:127.0.0.1:{port}", "--private-key", f"{good}/me.key", "--certificate", f"{good}/me.pem",
                             "--ca-cert", f"{pki}/{authority}/ca.pem", *words, **more)

        assert call("good", "apply", "-", document=FLEET)[:2] == (0, "changed 9 objects, generation 1\n")
        assert json.loads(call("good", "export")[1])["hosts"] == FLEET["hosts"]
        code, _, err = call("other", "export")
        assert code == 1 and "certificate" in err, err
        code, _, err = call("good", "--private-key", f"{good}/none.key", "export")
        assert code == 1 and "none.key" in err, err
    finally:
        server.stop()


def tls_port(pid):
    """The TCP port that a process listens on, from /proc."""
    inodes = set()
    for number in os.listdir(f"/proc/{pid}/fd"):
        link = os.readlink(f"/proc/{pid}/fd/{number}")
        if link.startswith("socket:["):
            inodes.add(link[8:-1])
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table.readlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                return int(words[1].split(":")[1], 16)
    return None
