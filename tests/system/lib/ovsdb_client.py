# SPDX-License-Identifier: Apache-2.0
"""A plain second client of OVSDB (RFC 7047) for tests: what is in a database, asked independently of ours.

    with Connection("unix:/run/x/db.sock") as connection:
        connection.transact("Sluice_Config", [{"op": "insert", ...}])
        rows = connection.select("Sluice_Config", "Port")

Rows come as dictionaries of Python's values: sets as lists (at most one member of a scalar: that or None), maps as dictionaries.
"""

import json
import socket
import ssl

CONFIG, STATUS = "Sluice_Config", "Sluice_Status"


class Refused(RuntimeError):
    """The server's word and details."""

    def __init__(self, error):
        super().__init__(f"{error.get('error')}: {error.get('details', '')}")
        self.word, self.details = error.get("error"), error.get("details", "")


def plain(value):
    """A datum of the wire as Python's value."""
    if not isinstance(value, list) or len(value) != 2:
        return value
    kind, content = value
    if kind == "set":
        return [plain(one) for one in content]
    if kind == "map":
        return {plain(key): plain(one) for key, one in content}
    return content if kind in ("uuid", "named-uuid") else value


def text_map(content):
    """A dictionary as the wire's map."""
    return ["map", [[key, value] for key, value in content.items()]]


class Connection:
    """One connection, to the first of `remotes` that answers (with leader_only: and leads that database). `tls`: (key,
    certificate, CA certificate)."""

    def __init__(self, remotes, timeout=10.0, leader_only=None, tls=None):
        self._timeout, self._tls, self._unread, self._number = timeout, tls, "", 0
        self._socket = None
        errors = []
        for remote in remotes.split(","):
            try:
                self._socket = self._open(remote)
                if leader_only is None or self._leads(leader_only):
                    return
                errors.append(f"{remote}: no leader")
            except (OSError, RuntimeError) as error:
                errors.append(f"{remote}: {error}")
            self.close()
        raise ConnectionError("; ".join(errors))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()

    def close(self):
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._unread = ""

    def _open(self, remote):
        kind, _, rest = remote.partition(":")
        if kind == "unix":
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(self._timeout)
            try:
                connection.connect(rest)
            except OSError:
                connection.close()
                raise
            return connection
        host, _, port = rest.rpartition(":")
        connection = socket.create_connection((host, int(port)), self._timeout)
        if kind == "ssl":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.load_cert_chain(self._tls[1], self._tls[0])
            context.load_verify_locations(self._tls[2])
            return context.wrap_socket(connection)
        return connection

    def _leads(self, database):
        rows = self.select("_Server", "Database")
        return any(row["name"] == database and row["connected"] and row["leader"] for row in rows)

    def call(self, method, params):
        """One request; its result. Answers echo requests, leaves out what else comes in between."""
        self._number += 1
        self._socket.sendall(json.dumps({"method": method, "params": params, "id": self._number}).encode())
        while True:
            message = self._message()
            if message.get("method") == "echo":
                reply = {"result": message["params"], "error": None, "id": message["id"]}
                self._socket.sendall(json.dumps(reply).encode())
            elif message.get("id") == self._number and "method" not in message:
                if message.get("error"):
                    raise Refused(message["error"] if isinstance(message["error"], dict) else {"error": str(message["error"])})
                return message["result"]

    def _message(self):
        decoder = json.JSONDecoder()
        while True:
            try:
                message, end = decoder.raw_decode(self._unread)
            except ValueError:
                data = self._socket.recv(1 << 20)
                if not data:
                    raise ConnectionError("the server closed the connection") from None
                self._unread += data.decode()
                continue
            self._unread = self._unread[end:].lstrip()
            return message

    def transact(self, database, operations):
        """One transaction; its results. Refused if it, or one operation, is."""
        results = self.call("transact", [database, *operations])
        for one in results:
            if one and one.get("error"):
                raise Refused(one)
        return results

    def select(self, database, table, where=(), columns=None):
        """Rows of a table."""
        operation = {"op": "select", "table": table, "where": list(where)}
        if columns is not None:
            operation["columns"] = list(columns)
        (result,) = self.transact(database, [operation])
        return [{name: plain(value) for name, value in row.items()} for row in result["rows"]]


def rows_of(remotes, database, table, columns=None):
    """All rows of a table, on a connection of its own; of a cluster, as its leader has them."""
    with Connection(remotes, leader_only=database if "," in remotes else None) as connection:
        return connection.select(database, table, columns=columns)
