# SPDX-License-Identifier: Apache-2.0
"""The schemas as servers enforce them: who may write what over TLS, what a row's identity is, one row of Global."""

import json
import ssl

import pytest
from conditions import eventually
from ovsdb import RBAC, Databases, free_port, standalone
from ovsdb_client import CONFIG, STATUS, Connection, Refused, rows_of, text_map
from pki import Pki

TABLES = {
    "Host": {"state": "live", "generation": 7},
    "Heartbeat": {"at_ms": 1},
    "Binding": {"segment": "dvs0/vni5001", "vtep": "172.16.0.1", "items": text_map({"02:00:00:00:00:01": "1 1 10.0.0.1"})},
    "Port": {"items": text_map({"vm1": "{}"})},
    "Problem": {"items": text_map({"port vm1": "it is not there"})},
}


@pytest.fixture(name="pki", scope="module")
def _pki(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("pki"))


class Guarded:
    """A status server whose TLS listener gives everybody the role "host", and a configuration server whose listener only
    reads, set up as docs/fleet.md says."""

    def __init__(self, directory, pki):
        self.pki = pki
        key, certificate, authority = pki.issue("fleet-server")
        files = [f"--private-key={key}", f"--certificate={certificate}", f"--ca-cert={authority}"]
        self.status = standalone(f"{directory}/status", STATUS, arguments=[*files, f"--remote=db:{STATUS},Global,connections"])
        self.config = standalone(f"{directory}/config", CONFIG, arguments=[*files, f"--remote=db:{CONFIG},Global,connections"])
        self.status_port, self.config_port = free_port(), free_port()

    def __enter__(self):
        self.status.start()
        self.config.start()
        with open(RBAC, encoding="utf-8") as file:
            rbac = json.load(file)
        with self.status.connect() as connection:
            for _ in range(2):  # The file may be sent again.
                connection.transact(STATUS, rbac[1:])
            connection.transact(STATUS, listener(self.status_port, {"role": "host"}))
        with self.config.connect() as connection:
            connection.transact(CONFIG, listener(self.config_port, {"read_only": True}))
        return self

    def __exit__(self, kind, value, trace):
        self.status.kill()
        self.config.kill()

    def as_host(self, name, port=None):
        return Connection(f"ssl:127.0.0.1:{port or self.status_port}", tls=self.pki.issue(name))


def listener(port, columns):
    """Operations that make a server listen for TLS on `port`."""
    return [{"op": "insert", "table": "Connection", "uuid-name": "new", "row": {"target": f"pssl:{port}:127.0.0.1", **columns}},
            {"op": "insert", "table": "Global", "row": {"connections": ["set", [["named-uuid", "new"]]]}}]


@pytest.fixture(name="guarded", scope="module")
def _guarded(tmp_path_factory, pki):
    with Guarded(tmp_path_factory.mktemp("guarded"), pki) as guarded:
        yield guarded


def insert(table, host):
    return {"op": "insert", "table": table, "row": {"host": host, **TABLES[table]}}


def of_host(host):
    return [["host", "==", host]]


@pytest.mark.parametrize("table", TABLES)
def test_a_host_writes_its_own_rows(guarded, table):
    column, value = next(iter(TABLES[table].items()))
    with guarded.as_host("host-a") as connection:
        connection.transact(STATUS, [insert(table, "host-a")])
        done = connection.transact(STATUS, [{"op": "update", "table": table, "where": of_host("host-a"), "row": {column: value}}])
        assert done[0]["count"] == 1
        done = connection.transact(STATUS, [{"op": "delete", "table": table, "where": of_host("host-a")}])
        assert done[0]["count"] == 1


@pytest.mark.parametrize("table", TABLES)
def test_a_host_writes_no_other_host_s_rows(guarded, table):
    """Not by inserting, changing, deleting, nor by giving an own row another name."""
    column, value = next(iter(TABLES[table].items()))
    with guarded.status.connect() as controller:
        controller.transact(STATUS, [insert(table, "host-b")])
        before = controller.select(STATUS, table)
    with guarded.as_host("host-a") as connection:
        connection.transact(STATUS, [insert(table, "host-a")])
        for refused in (insert(table, "host-c"),
                        {"op": "update", "table": table, "where": of_host("host-b"), "row": {column: value}},
                        {"op": "delete", "table": table, "where": of_host("host-b")},
                        {"op": "delete", "table": table, "where": []},
                        {"op": "update", "table": table, "where": of_host("host-a"), "row": {"host": "host-c"}}):
            with pytest.raises(Refused) as error:
                connection.transact(STATUS, [refused])
            assert error.value.word == "permission error", refused
        connection.transact(STATUS, [{"op": "delete", "table": table, "where": of_host("host-a")}])
    assert rows_of(guarded.status.remotes, STATUS, table) == before
    with guarded.status.connect() as controller:
        controller.transact(STATUS, [{"op": "delete", "table": table, "where": []}])


@pytest.mark.parametrize("operation", [
    {"op": "insert", "table": "RBAC_Permission", "row": {"table": "Host", "insert_delete": True}},
    {"op": "update", "table": "RBAC_Role", "where": [], "row": {"name": "nobody"}},
    {"op": "delete", "table": "RBAC_Permission", "where": []},
    {"op": "update", "table": "Connection", "where": [], "row": {"role": ""}},
    {"op": "delete", "table": "Connection", "where": []},
    {"op": "update", "table": "Global", "where": [], "row": {"connections": ["set", []]}},
], ids=lambda operation: f"{operation['op']}-{operation['table']}")
def test_a_host_changes_no_permissions_and_no_listeners(guarded, operation):
    with guarded.as_host("host-a") as connection, pytest.raises(Refused) as error:
        connection.transact(STATUS, [operation])
    assert error.value.word == "permission error"


def test_a_host_reads_the_configuration_and_writes_none_of_it(guarded):
    with guarded.as_host("host-a", guarded.config_port) as connection:
        assert len(connection.select(CONFIG, "Global")) == 1
        with pytest.raises(Refused) as error:
            connection.transact(CONFIG, [{"op": "update", "table": "Global", "where": [], "row": {"generation": 1}}])
        assert "read only" in f"{error.value.word} {error.value.details}"


@pytest.mark.parametrize("which", ["expired", "foreign"])
def test_a_server_takes_no_other_certificate(guarded, pki, tmp_path, which):
    files = pki.expired("host-a") if which == "expired" else (*Pki(tmp_path / "other").issue("host-a")[:2], pki.authority)
    with pytest.raises((ssl.SSLError, OSError)):
        with Connection(f"ssl:127.0.0.1:{guarded.status_port}", tls=files) as connection:
            connection.select(STATUS, "Host")


def test_a_row_is_its_scope_and_chunk(tmp_path):
    row = {"op": "insert", "table": "Port", "row": {"scope": "host-a", "chunk": 1}}
    with standalone(str(tmp_path / "db"), CONFIG) as server, server.connect() as connection:
        connection.transact(CONFIG, [row])
        with pytest.raises(Refused) as error:
            connection.transact(CONFIG, [row])
        assert error.value.word == "constraint violation"
        connection.transact(CONFIG, [{**row, "row": {"scope": "host-a", "chunk": 2}}, {**row, "table": "Vtep"}])
        connection.transact(CONFIG, [{"op": "insert", "table": "Global", "row": {}}])
        with pytest.raises(Refused):
            connection.transact(CONFIG, [{"op": "insert", "table": "Global", "row": {}}])


def test_two_editors_cannot_both_write_generation_two(tmp_path):
    """The compare-and-set that every commit has: whoever comes second is refused whole."""
    with standalone(str(tmp_path / "db"), CONFIG) as server, server.connect() as one, server.connect() as other:
        one.transact(CONFIG, [{"op": "insert", "table": "Global", "row": {"generation": 1}}])

        def commit(name):
            return [{"op": "wait", "table": "Global", "where": [], "columns": ["generation"], "until": "==", "timeout": 0,
                     "rows": [{"generation": 1}]},
                    {"op": "insert", "table": "Group", "row": {"scope": name, "chunk": 0}},
                    {"op": "update", "table": "Global", "where": [], "row": {"generation": 2}}]
        one.transact(CONFIG, commit("first"))
        with pytest.raises(Refused) as error:
            other.transact(CONFIG, commit("second"))
        assert error.value.word == "timed out"
        assert [row["scope"] for row in one.select(CONFIG, "Group")] == ["first"]


def test_relays_show_what_the_cluster_holds():
    with Databases(cluster=3, relays=2) as databases:
        with Connection(databases.db, leader_only=CONFIG) as connection:
            connection.transact(CONFIG, [{"op": "insert", "table": "Switch", "row": {"items": text_map({"dvs0": "{}"})}}])
        for server in databases.relays:
            eventually(lambda: [row["items"] for row in rows_of(server.remotes, CONFIG, "Switch")] == [{"dvs0": "{}"}],
                       "the switch at the relay")
        assert [row["status_remotes"] for row in databases.rows(CONFIG, "Global")] == [databases.status.remotes]
