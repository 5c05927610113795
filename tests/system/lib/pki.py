# SPDX-License-Identifier: Apache-2.0
"""Keys and certificates for tests, by ovs-pki(8) as an operator makes them, and the wrong ones that must be refused.

    pki = Pki(directory)
    key, certificate, authority = pki.issue("host-a")
    pki.expired("host-a")
"""

import os
import subprocess


def _run(*command, cwd=None):
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False, timeout=120, cwd=cwd)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr.strip()}"
    return done.stdout


class Pki:
    """An authority of its own in `directory`. What it issues is (private key, certificate, CA certificate), all files."""

    def __init__(self, directory):
        self.directory = str(directory)
        os.makedirs(self.directory, exist_ok=True)
        self._folder = os.path.join(self.directory, "pki")
        self._pki("init")
        self.authority = os.path.join(self._folder, "switchca", "cacert.pem")

    def _pki(self, *arguments):
        return _run("ovs-pki", f"--dir={self._folder}", f"--log={self.directory}/ovs-pki.log", "--batch", "--unique", "--force",
                    *arguments, cwd=self.directory)

    def issue(self, name):
        """Of the common name `name`."""
        key, certificate = (os.path.join(self.directory, f"{name}-{what}.pem") for what in ("privkey", "cert"))
        if not os.path.exists(certificate):
            self._pki("req+sign", name, "switch")
        return key, certificate, self.authority

    def expired(self, name):
        """As issue(), but its time is over."""
        folder = os.path.join(self.directory, "expired")
        os.makedirs(folder, exist_ok=True)
        key, request, certificate = (os.path.join(folder, f"{name}.{end}") for end in ("key", "csr", "pem"))
        _run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj",
             f"/O=Open vSwitch/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
        _run("openssl", "ca", "-batch", "-config", "ca.cnf", "-in", request, "-out", certificate, "-startdate",
             "20200101000000Z", "-enddate", "20200201000000Z", "-notext", cwd=os.path.join(self._folder, "switchca"))
        return key, certificate, self.authority
