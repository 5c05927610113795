# SPDX-License-Identifier: Apache-2.0
"""Transactions one after another, from a thread: what a controller under load does to a database, and what it was promised.

    with Stream(databases.db) as stream:
        databases.config.leader().kill()
        stream.wait_more(200)
    stream.assert_kept(databases.rows(CONFIG, "Port"))
"""

import json
import threading
import time

from conditions import eventually
from ovsdb_client import CONFIG, Connection, text_map

CHUNKS = 4


class Stream:
    """`per_second` transactions, if the servers take them: items of Port of a host that does not exist come, change and go,
    so that no agent has to look. `promised`: items that must be there at the end, {(chunk, name): text}; `unknown`: those
    whose fate the server did not tell."""

    def __init__(self, remotes, scope="host-elsewhere", per_second=200):
        self._remotes, self._scope, self._period = remotes, scope, 1.0 / per_second
        self.promised, self.unknown, self.failures, self.count = {}, set(), 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stop()

    def stop(self):
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the stream does not stop"

    def wait_more(self, count, timeout=40.0):
        """Until so many more transactions were committed."""
        goal = self.count + count
        eventually(lambda: self.count >= goal, f"{count} more transactions", timeout, 0.02)

    def _run(self):
        connection, number, due = None, 0, time.monotonic()
        while not self._stop.is_set():
            due = max(due + self._period, time.monotonic() - 1.0)
            self._stop.wait(max(0.0, due - time.monotonic()))
            number += 1
            try:
                connection = connection or self._connect()
                self._write(connection, number)
            except (OSError, RuntimeError):
                self.failures += 1
                if connection is not None:
                    connection.close()
                connection = None
                self._stop.wait(0.05)
        if connection is not None:
            connection.close()

    def _connect(self):
        connection = Connection(self._remotes, leader_only=CONFIG, timeout=3.0)
        held = {row["chunk"] for row in connection.select(CONFIG, "Port") if row["scope"] == self._scope}
        missing = [{"op": "insert", "table": "Port", "row": {"scope": self._scope, "chunk": chunk}}
                   for chunk in range(CHUNKS) if chunk not in held]
        if missing:
            connection.transact(CONFIG, missing)
        return connection

    def _write(self, connection, number):
        name, chunk, is_removal = f"vm-elsewhere-{number % 7}-{number % 64}", number % CHUNKS, number % 5 == 0
        text = json.dumps({"name": name, "port_group": "web", "tags": {"number": str(number)}})
        changes = [["items", "delete", ["set", [name]]]]
        if not is_removal:
            changes.append(["items", "insert", text_map({name: text})])
        self.unknown.add((chunk, name))
        self.promised.pop((chunk, name), None)
        where = [["scope", "==", self._scope], ["chunk", "==", chunk]]
        connection.transact(CONFIG, [{"op": "mutate", "table": "Port", "where": where, "mutations": changes}])
        self.unknown.discard((chunk, name))
        if not is_removal:
            self.promised[(chunk, name)] = text
        self.count += 1

    def difference(self, rows):
        """What `rows` of Port lack or have too much; empty: they hold what was promised and nothing that was not asked
        for."""
        held = {(row["chunk"], name): text for row in rows if row["scope"] == self._scope
                for name, text in row["items"].items()}
        lost = sorted(key for key, text in self.promised.items() if held.get(key) != text)
        back = sorted(set(held) - set(self.promised) - self.unknown)
        return {what: keys[:5] for what, keys in (("promised and lost", lost), ("deleted and back", back)) if keys}

    def assert_kept(self, rows):
        difference = self.difference(rows)
        assert not difference, difference
