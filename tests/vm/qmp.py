# SPDX-License-Identifier: Apache-2.0
"""The few lines of QEMU's machine protocol (QMP) that the guests of the tests need."""

import json
import socket


class Qmp:
    """One connection to a QMP socket. Blocking, one command at a time; events are skipped."""

    def __init__(self, path, timeout_s=20):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        self._socket.connect(path)
        self._stream = self._socket.makefile("rw", encoding="utf-8")
        self._read()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command, **arguments):
        """Runs one command and returns its `return` value; raises RuntimeError with QEMU's words."""
        request = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        self._stream.write(json.dumps(request) + "\n")
        self._stream.flush()
        while True:
            answer = self._read()
            if "error" in answer:
                raise RuntimeError(f"qmp {command}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def close(self):
        self._stream.close()
        self._socket.close()

    def _read(self):
        line = self._stream.readline()
        if not line:
            raise RuntimeError("qmp: QEMU closed the connection")
        return json.loads(line)
