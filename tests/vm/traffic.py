# SPDX-License-Identifier: Apache-2.0
"""Traffic that several VM tests make between two guests."""

import time

MEGABYTE = 1 << 20


def _serve(server, megabytes, port):
    server.check(f"mkdir -p /tmp/www && head -c {megabytes * MEGABYTE} /dev/urandom >/tmp/www/file && "
                 f"(netstat -ltn | grep -q ':{port} ' || httpd -p {port} -h /tmp/www)", 120)


def make_file(server, megabytes, port=80):
    """Puts a random file behind a web server in the guest; returns its SHA-256."""
    _serve(server, megabytes, port)
    return server.check("sha256sum </tmp/www/file", 60).split()[0]


def serve_file(server, megabytes, port=80):
    """As make_file, but returns the file's MD5, which an emulated CPU computes faster."""
    _serve(server, megabytes, port)
    return server.check("md5sum </tmp/www/file", 120).split()[0]


def fetch_sum(client, address, port=80):
    """Fetches the file over TCP and keeps nothing of it; returns (MD5 of what arrived, seconds that it took)."""
    host = f"[{address}]" if ":" in address else address
    begin = time.monotonic()
    output = client.check(f"set -o pipefail; wget -q -O - http://{host}:{port}/file | md5sum", 300)
    return output.split()[0], time.monotonic() - begin


def fetch(client, address, port=80):
    """Fetches the file over TCP; returns (SHA-256 of what arrived, seconds that it took)."""
    host = f"[{address}]" if ":" in address else address
    begin = time.monotonic()
    client.check(f"wget -q -O /tmp/file http://{host}:{port}/file", 300)
    seconds = time.monotonic() - begin
    return client.check("sha256sum </tmp/file; rm -f /tmp/file", 60).split()[0], seconds
