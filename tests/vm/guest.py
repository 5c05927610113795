# SPDX-License-Identifier: Apache-2.0
"""A real guest for tests: QEMU by software emulation with Debian's cloud kernel and a busybox initramfs.

`Guest.boot()` starts QEMU, the server of the vhost-user socket that sluiced connects to; QEMU waits there, so
the guest boots once the daemon has come. Commands go over the guest's second serial port to tests/vm/image/agent,
the console goes to a file. Not thread-safe; QEMU dies with the thread that booted it, so boot from the main one.
"""

import base64
import ctypes
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import time

from qmp import Qmp

ROOT = pathlib.Path(__file__).resolve().parents[2]
IMAGE_DIR = pathlib.Path(os.environ.get("SLUICE_GUEST_IMAGE", ROOT / "build" / "guest"))
BOOT_TIMEOUT_S = 120  # Takes 3 s on an idle machine.
ANSWER_SLACK_S = 30  # Beyond the time that a command itself is given.
NUDGE_S = 2  # An emulated serial port at times holds bytes back until the next one comes: send an empty line.
READY_MARK = b"agent: ready"

# Bits of VIRTIO_NET_F_* (virtio 1.2, 5.1.3).
CSUM, GUEST_CSUM, MTU, GUEST_TSO4, GUEST_TSO6 = 0, 1, 3, 7, 8
HOST_TSO4, HOST_TSO6, MRG_RXBUF, CTRL_VQ, MQ = 11, 12, 15, 17, 22


class GuestError(Exception):
    """The guest is gone, or does not answer."""


def wait_until(condition, timeout_s, what, pause_s=0.05):
    """Calls condition until it returns something true, and returns that; AssertionError after timeout_s."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(pause_s)


def die_with_parent(with_signal):
    """A preexec_fn: the child gets with_signal when the thread that starts it ends."""
    pr_set_pdeathsig = 1
    return lambda: ctypes.CDLL(None).prctl(pr_set_pdeathsig, with_signal)


class Job:
    """A command that runs in the background of a guest (`Guest.start`)."""

    def __init__(self, guest, job_id):
        self._guest, self._id = guest, job_id

    def output(self):
        """What it printed so far."""
        return self._guest.run(f"cat /tmp/{self._id}.out 2>/dev/null")[1]

    def exit_code(self):
        """Its exit status, None while it runs."""
        text = self._guest.run(f"cat /tmp/{self._id}.exit 2>/dev/null")[1].strip()
        return int(text) if text else None

    def wait(self, timeout_s):
        """(exit status, output) at its end; AssertionError if it still runs after timeout_s."""
        wait_until(lambda: self.exit_code() is not None, timeout_s, f"{self._id} ended", 0.2)
        return self.exit_code(), self.output()


class Guest:
    """One guest with one vNIC, or several.

    name         names its files in directory
    socket_path  the vhost-user socket that QEMU serves; or netdev: a whole -netdev argument with id=net0
    ip, ip6      "ADDRESS/LENGTH" set at boot, or None
    queues       queue pairs; the guest uses as many as it has CPUs
    offloads     checksum and TSO offered to the guest
    more_nics    (MAC, vhost-user socket) of further vNICs, which nobody configures
    image        "initramfs-service" has the modules and programs of a service VM
    """

    def __init__(self, name, directory, mac, socket_path=None, netdev=None, ip=None, ip6=None, queues=1, cpus=1,
                 memory_mb=128, host_mtu=None, offloads=True, more_nics=(), image="initramfs"):
        self.name, self.mac, self.socket_path = name, mac, socket_path
        self.ip, self.ip6 = ip, ip6
        self._directory = pathlib.Path(directory)
        self._netdev, self._queues, self._cpus = netdev, queues, cpus
        self._memory_mb, self._host_mtu, self._offloads = memory_mb, host_mtu, offloads
        self._more_nics, self._image = list(more_nics), f"{image}.gz"
        self._process = self._serial = None
        self._received = b""
        self._count = 0

    # Life.

    def boot(self, wait=True):
        """Starts QEMU and, unless wait is False, waits until the guest takes commands."""
        if not (IMAGE_DIR / self._image).exists():
            raise GuestError(f"no guest image in {IMAGE_DIR}: run scripts/guest-image")
        for path in (self.console_path, self._path("serial"), self._path("qmp")):
            path.unlink(missing_ok=True)
        self._received = b""
        with open(self._path("qemu.log"), "wb") as log:
            self._process = subprocess.Popen(self._arguments(), stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=subprocess.STDOUT, preexec_fn=die_with_parent(signal.SIGKILL))
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout_s=BOOT_TIMEOUT_S, boots=1):
        """Waits until the guest has come up `boots` times since `boot()`."""
        wait_until(lambda: self._console().count(READY_MARK) >= boots or not self.alive(), timeout_s,
                   f"guest {self.name} is up; its console says:\n{self.console_tail()}")
        if not self.alive():
            raise GuestError(f"guest {self.name}: QEMU ended: {self._path('qemu.log').read_text()}")
        if self._serial is None:
            self._serial = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._serial.connect(str(self._path("serial")))
        return self

    def alive(self):
        return self._process is not None and self._process.poll() is None

    def kill(self):
        """Ends QEMU at once, as a crash would. Does nothing if it is not running."""
        if self._serial is not None:
            self._serial.close()
            self._serial = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def reset(self):
        """Presses the reset button and waits until the guest is up again."""
        boots = self._console().count(READY_MARK) + 1
        self.qmp("system_reset")
        self._received = b""
        self.wait_ready(boots=boots)

    def qmp(self, command, **arguments):
        """Runs one QMP command."""
        connection = Qmp(str(self._path("qmp")))
        try:
            return connection.execute(command, **arguments)
        finally:
            connection.close()

    # Commands.

    def run(self, command, timeout_s=30):
        """Runs a shell script in the guest. Returns (exit status, both streams as text); a script that does not
        end within timeout_s is killed there and has exit status 137."""
        job_id = self._send(command, max(1, int(timeout_s)))
        return self._answer(job_id, timeout_s + ANSWER_SLACK_S)

    def check(self, command, timeout_s=30):
        """As run, but returns only the output and raises AssertionError if the exit status is not 0."""
        code, output = self.run(command, timeout_s)
        assert code == 0, f"guest {self.name}: `{command}` ended with {code}:\n{output}"
        return output

    def start(self, command):
        """Starts a shell script in the background of the guest and returns its Job."""
        job_id = self._send(command, 0)
        self._answer(job_id, ANSWER_SLACK_S)
        return Job(self, job_id)

    def ping(self, address, count=1, wait_s=2, options=""):
        """True if each of count echo requests was answered."""
        code, output = self.run(f"ping {options} -c {count} -W {wait_s} -i 0.2 {shlex.quote(address)}",
                                count + wait_s + 10)
        return code == 0 and f"{count} packets received" in output

    def interface(self):
        return self.check("cat /run/interface").strip()

    def virtio_features(self):
        """The set of negotiated virtio feature bits."""
        bits = self.check("cat /sys/class/net/$(cat /run/interface)/device/features").strip()
        return {bit for bit, value in enumerate(bits) if value == "1"}

    def rebind_driver(self):
        """Takes the virtio-pci driver off the vNIC and gives it back, then sets the addresses again."""
        self.check("""
            device=$(cd -P /sys/class/net/$(cat /run/interface)/device/.. && pwd)
            address=${device##*/}
            echo $address >/sys/bus/pci/drivers/virtio-pci/unbind || exit 1
            [ ! -e /sys/class/net/$(cat /run/interface) ] || exit 2
            echo $address >/sys/bus/pci/drivers/virtio-pci/bind || exit 3
            net-up""", 60)

    # What it left.

    @property
    def console_path(self):
        return self._path("console")

    def console_tail(self, lines=20):
        return "\n".join(self._console().decode(errors="replace").splitlines()[-lines:])

    @property
    def pid(self):
        return self._process.pid if self._process else None

    def _path(self, kind):
        return self._directory / f"{self.name}.{kind}"

    def _console(self):
        return self.console_path.read_bytes() if self.console_path.exists() else b""

    def _arguments(self):
        words = ["console=ttyS0", "quiet", "panic=1", "ipv6.disable=0"]
        words += [f"sluice.ip={self.ip}"] if self.ip else []
        words += [f"sluice.ip6={self.ip6}"] if self.ip6 else []
        arguments = [
            "qemu-system-x86_64", "-name", self.name, "-machine", "pc,accel=tcg,memory-backend=mem",
            "-cpu", "max", "-smp", str(self._cpus), "-m", str(self._memory_mb), "-nodefaults", "-nographic",
            "-object", f"memory-backend-memfd,id=mem,size={self._memory_mb}M,share=on",
            "-kernel", str(IMAGE_DIR / "vmlinuz"), "-initrd", str(IMAGE_DIR / self._image),
            "-append", " ".join(words),
            "-chardev", f"file,id=console,path={self.console_path}", "-serial", "chardev:console",
            "-chardev", f"socket,id=agent,path={self._path('serial')},server=on,wait=off", "-serial", "chardev:agent",
            "-qmp", f"unix:{self._path('qmp')},server=on,wait=off"]
        return arguments + self._nic_arguments()

    def _nic_arguments(self):
        arguments = []
        netdev = self._netdev
        if netdev is None:
            arguments = ["-chardev", f"socket,id=vhost,path={self.socket_path},server=on,wait=off"]
            netdev = f"vhost-user,id=net0,chardev=vhost,queues={self._queues}"
        # QEMU 7.2 crashes under software emulation with vhost-user and MSI-X: no vectors.
        device = f"virtio-net-pci,netdev=net0,mac={self.mac},vectors=0,mrg_rxbuf=on,romfile="
        if self._queues > 1:
            device += ",mq=on"
        if self._host_mtu:
            device += f",host_mtu={self._host_mtu}"
        if not self._offloads:
            device += ",csum=off,guest_csum=off,host_tso4=off,host_tso6=off,guest_tso4=off,guest_tso6=off"
        arguments += ["-netdev", netdev, "-device", device]
        for number, (mac, socket_path) in enumerate(self._more_nics, 1):
            arguments += ["-chardev", f"socket,id=vhost{number},path={socket_path},server=on,wait=off",
                          "-netdev", f"vhost-user,id=net{number},chardev=vhost{number}",
                          "-device", f"virtio-net-pci,netdev=net{number},mac={mac},vectors=0,mrg_rxbuf=on,romfile="]
        return arguments

    def _send(self, command, seconds):
        if self._serial is None or not self.alive():
            raise GuestError(f"guest {self.name} is not running")
        self._count += 1
        job_id = f"job{self._count}"
        text = base64.b64encode(command.encode()).decode()
        self._serial.settimeout(ANSWER_SLACK_S)
        self._serial.sendall(f"{job_id} {seconds} {text}\n".encode())
        return job_id

    def _answer(self, job_id, timeout_s):
        end = time.monotonic() + timeout_s
        output = None  # None until "OUT" of this job: what comes before belongs to an abandoned one.
        while True:
            line = self._read_line(end, job_id)
            if line == f"OUT {job_id}":
                output = []
            elif line.startswith(f"END {job_id} ") and output is not None:
                text = base64.b64decode("".join(output)).decode(errors="replace")
                return int(line.split()[2]), text
            elif output is not None:
                output.append(line)

    def _read_line(self, end, job_id):
        while b"\n" not in self._received:
            left = end - time.monotonic()
            if left <= 0:
                raise GuestError(f"guest {self.name} does not answer {job_id}; its console says:\n"
                                 f"{self.console_tail()}")
            self._serial.settimeout(min(left, NUDGE_S))
            try:
                data = self._serial.recv(65536)
            except TimeoutError:
                self._serial.sendall(b"\n")  # The agent skips it.
                continue
            if not data:
                raise GuestError(f"guest {self.name}: QEMU closed the serial line")
            self._received += data
        line, self._received = self._received.split(b"\n", 1)
        return line.decode(errors="replace").strip("\r")
