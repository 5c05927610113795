# SPDX-License-Identifier: Apache-2.0
"""The Debian package in a machine of its own: installed, serving guests under its unit, upgraded, removed, purged.

The tests of TestLife are one life and run in their order.
"""

import glob
import json
import os
import re
import shutil
import subprocess

import pytest
from conditions import eventually
from frontend import FrontendProcess, program
from machine import Machine
from packets import frame

BUILD = os.path.dirname(os.path.dirname(program("sluiced")))
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBVIRT_SCHEMA = "/usr/share/libvirt/schemas/domain.rng"
EXPOSURE_MAX = 2.0  # Of systemd-analyze security: 0 to 10.
VMS = {"vm1": "02:00:00:00:00:01", "vm2": "02:00:00:00:00:02"}
DOCUMENT = {"switches": [{"name": "dvs0"}], "port_groups": [{"name": "web", "switch": "dvs0"}],
            "ports": [{"name": name, "port_group": "web", "socket": f"/run/sluice/vhost/{name}.sock", "mac": mac}
                      for name, mac in VMS.items()]}
OWN = ("/etc/sluice", "/etc/default/sluiced", "/etc/logrotate.d/sluice", "/var/lib/sluice", "/var/log/sluice", "/usr/share/doc/sluice", "/run/sluice")
# What dpkg and systemd write about any package, which stays by their own rules.
OTHERS = re.compile(r"/(var/lib/(dpkg|systemd|man-db)|var/cache|var/log|etc/(group|gshadow|passwd|shadow|subuid|subgid)-?$|etc/\."
                    r"|usr/share/man/|etc/machine-id)")


def pack(folder, revision):
    """A package of the programs that are built, as Debian revision `revision`."""
    subprocess.run(["cpack", "-G", "DEB", "-D", f"CPACK_DEBIAN_PACKAGE_RELEASE={revision}",
                    "-D", f"CPACK_OUTPUT_FILE_PREFIX={folder}"], cwd=BUILD, check=True, capture_output=True)
    [path] = glob.glob(f"{folder}/sluice_*-{revision}_*.deb")
    return path


@pytest.fixture(name="packages", scope="module")
def _packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    yield [pack(folder, revision) for revision in (1, 2)]
    shutil.rmtree(os.path.join(BUILD, "_CPack_Packages"), ignore_errors=True)


@pytest.fixture(name="machine", scope="module")
def _machine():
    with Machine() as machine:
        machine.before = machine.written()
        yield machine


@pytest.fixture(name="guests", scope="module")
def _guests():
    mask = os.umask(0o002)  # As libvirt starts QEMU: its group may connect.
    try:
        with FrontendProcess() as guests:
            yield guests
    finally:
        os.umask(mask)


def field(package, name):
    return subprocess.run(["dpkg-deb", "--field", package, name], check=True, capture_output=True, text=True).stdout.strip()


def test_depends_on_what_it_links(packages):
    needed = subprocess.run(["objdump", "-p", program("sluiced")], check=True, capture_output=True, text=True).stdout
    depends = field(packages[0], "Depends")
    for library in ("libnuma", "libspdlog", "libsystemd"):
        assert f"NEEDED               {library}.so" in needed and library in depends
    assert "libdpdk" not in depends and "librte" not in depends, "DPDK is linked statically"


def test_lintian_has_nothing_to_say(packages, tmp_path):
    # lintian forgets databases in TMPDIR now and then.
    done = subprocess.run(["lintian", "--allow-root", "--tag-display-limit", "0", packages[0]], capture_output=True, text=True,
                          check=False, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert [line for line in done.stdout.splitlines() if line[:2] in ("E:", "W:")] == []


def test_manual_pages_know_every_option_and_command():
    options = subprocess.run([program("sluiced"), "--help"], check=True, capture_output=True, text=True).stdout
    with open(os.path.join(TREE, "packaging", "man", "sluiced.8"), encoding="utf-8") as file:
        text = file.read()
    for option in re.findall(r"--([a-z][a-z-]+)", options.split("Options:", 1)[1]):
        assert f"Fl \\-{option}" in text, f"--{option} is not in sluiced.8"
    with open(os.path.join(TREE, "packaging", "man", "sluice-load.1"), encoding="utf-8") as file:
        load = file.read()
    for mode in ("flood", "crr", "latency", "tso", "noise"):
        options = subprocess.run([program("sluice-load"), mode, "--help"], check=True, capture_output=True, text=True).stdout
        for option in re.findall(r"^ +(?:-h,)?--([a-z-]+)", options, re.MULTILINE):
            assert f"Fl \\-{option}" in load, f"--{option} of {mode} is not in sluice-load.1"
    manual = subprocess.run([os.path.join(BUILD, "packaging", "sluice_manual")], check=True, capture_output=True, text=True).stdout
    for line in subprocess.run([program("sluice"), "--help"], check=True, capture_output=True, text=True).stdout.splitlines():
        if line.startswith("  "):
            words = re.match(r"  ([a-z-]+(?: [a-z-]+)*)", line).group(1)
            assert f'.It Cm "{words}"'.replace("-", "\\-") in manual, f"{words} is not in sluice.1"
    for source in (text, load, manual):
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=source, capture_output=True, text=True,
                              check=False)
        assert lint.stdout == ""


def test_libvirt_page_has_a_valid_domain(tmp_path):
    with open(os.path.join(TREE, "docs", "libvirt.md"), encoding="utf-8") as page:
        domain = re.search(r"```xml\n(.*?)```", page.read(), re.DOTALL).group(1)
    for name, mode in (("server", domain), ("client", domain.replace("mode='server'/>",
                       "mode='client'><reconnect enabled='yes' timeout='1'/></source>"))):
        assert f"mode='{name}'" in mode
        (tmp_path / name).write_text(mode, encoding="utf-8")
        subprocess.run(["xmllint", "--noout", "--relaxng", LIBVIRT_SCHEMA, tmp_path / name], check=True, capture_output=True)


class TestLife:
    """One machine's package, from its installation to the purge."""

    def passes(self, guests, one="vm1", other="vm2"):
        datagram = frame(src=VMS[one], dst=VMS[other]).ipv4("10.0.0.1", "10.0.0.2").udp(1000, 2000, b"through the package")
        guests[other].drain()  # A kernel port's host reports its multicast groups.
        guests[one].send(datagram)
        assert guests[other].expect(datagram).frame == bytes(datagram)

    def wait_ports(self, machine):
        eventually(lambda: {row["state"] for row in json.loads(machine.run("sluice", "-o", "json", "show", "ports"))} == {"up"},
                   "both guests attached", 10.0, 0.05)

    def test_installs_and_starts(self, machine, packages):
        machine.install(packages[0])
        machine.wait_unit("active")
        assert machine.run("systemctl", "is-enabled", "sluiced").strip() == "enabled"
        assert machine.run("sluiced", "--version").split()[0] == "sluiced"
        assert machine.run("sluice-load", "--version").split()[0] == "sluice-load"
        assert json.loads(machine.run("sluice", "-o", "json", "status"))["ports"] == 0
        assert machine.run("getent", "group", "sluice").startswith("sluice:")
        assert machine.run("stat", "-c", "%A %U %G", "/run/sluice/vhost").split() == ["drwxrws---", "sluice", "kvm"]

    def test_unit_is_right_and_confined(self, machine):
        assert machine.run("systemd-analyze", "verify", "--man=no", "/lib/systemd/system/sluiced.service") == ""
        security = machine.run("systemd-analyze", "--no-pager", "security", "--offline=true",
                               "/lib/systemd/system/sluiced.service", check=False)
        exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", security).group(1))
        print(f"exposure {exposure}")
        assert exposure <= EXPOSURE_MAX
        machine.run("systemd-analyze", "security", "--offline=true", f"--threshold={int(EXPOSURE_MAX * 10)}",
                    "/lib/systemd/system/sluiced.service")
        status = machine.read(f"/proc/{machine.unit('MainPID')['MainPID']}/status")
        user = machine.run("id", "-u", "sluice").strip()
        assert f"Uid:\t{user}\t{user}\t{user}\t{user}\n" in status
        assert "CapEff:\t0000000000000000\n" in status, "no uplink, no rights"
        assert "NoNewPrivs:\t1\n" in status and "Seccomp:\t2\n" in status

    def test_serves_guests(self, machine, guests):
        machine.vms = {}
        machine.run("sluice", "apply", "-", stdin=json.dumps(DOCUMENT))
        for name in VMS:
            machine.vms[name] = guests.open(name, f"{machine.root}/run/sluice/vhost/{name}.sock", timeout=10.0)
        self.wait_ports(machine)
        self.passes(machine.vms)

    def test_enters_a_network_namespace(self, machine):
        """What the unit leaves is enough for a kernel port: TUN device, setns, netlink."""
        machine.run("ip", "netns", "add", "storage")
        port = {"name": "vmk0", "port_group": "web", "kind": "kernel", "interface": "vmk0", "netns": "storage",
                "addresses": ["10.0.0.9/24"]}
        machine.run("sluice", "apply", "-", stdin=json.dumps({**DOCUMENT, "ports": [*DOCUMENT["ports"], port]}))
        eventually(lambda: "10.0.0.9/24" in machine.run("ip", "-n", "storage", "address", "show", check=False),
                   "vmk0 in its namespace", 10.0, 0.1)
        machine.run("sluice", "apply", "-", stdin=json.dumps(DOCUMENT))
        machine.run("ip", "netns", "del", "storage")
        self.passes(machine.vms)

    def test_reload_lets_go_of_the_log(self, machine):
        """As logrotate does; the next line to be logged opens a new file."""
        log = "/var/log/sluice/firewall.log"
        files = ("ls", "-l", f"/proc/{machine.unit('MainPID')['MainPID']}/fd")
        machine.run("mv", log, f"{log}.1")
        assert log in machine.run(*files)
        machine.run("systemctl", "reload", "sluiced")
        eventually(lambda: log not in machine.run(*files), "the old log is let go", 10.0, 0.05)

    def test_a_crash_is_mended(self, machine):
        pid = machine.unit("MainPID")["MainPID"]
        machine.run("kill", "-KILL", pid)
        eventually(lambda: machine.unit("NRestarts", "ActiveState") == {"NRestarts": "1", "ActiveState": "active"},
                   "started again", 30.0, 0.05)
        self.return_of_the_guests(machine)

    def return_of_the_guests(self, machine):
        for vm in machine.vms.values():
            vm.reconnect(10.0)
        self.wait_ports(machine)
        self.passes(machine.vms)

    def test_upgrade_keeps_what_the_administrator_has(self, machine, packages):
        machine.write("/etc/default/sluiced", 'SLUICED_OPTIONS="--memory 128 --log-level debug"\n')
        machine.write("/etc/sluice/host.json", '{"host": {"name": "host-a"}}\n')
        generation = json.loads(machine.run("sluice", "-o", "json", "status"))["generation"]
        pid = machine.unit("MainPID")["MainPID"]
        machine.install(packages[1])
        machine.wait_unit("active")
        assert machine.unit("MainPID")["MainPID"] != pid
        assert "-2" in machine.run("dpkg-query", "-W", "-f", "${Version}", "sluice")
        assert "--memory 128" in machine.read("/etc/default/sluiced") and "host-a" in machine.read("/etc/sluice/host.json")
        machine.run("systemctl", "restart", "sluiced")  # An upgrade without a gap goes on with the options that it finds running.
        machine.wait_unit("active")
        assert "--memory\x00128" in machine.read(f"/proc/{machine.unit('MainPID')['MainPID']}/cmdline")
        assert json.loads(machine.run("sluice", "-o", "json", "status"))["generation"] == generation
        self.return_of_the_guests(machine)

    def test_a_second_installation_changes_nothing(self, machine, packages):
        machine.install(packages[1])
        machine.wait_unit("active")
        self.return_of_the_guests(machine)

    def test_a_disabled_service_stays_disabled(self, machine, packages):
        machine.run("systemctl", "disable", "--now", "sluiced")
        for vm in machine.vms.values():
            vm.wait_disconnected()
        machine.install(packages[1])
        assert machine.run("systemctl", "is-enabled", "sluiced", check=False).strip() == "disabled"
        machine.run("systemctl", "enable", "--now", "sluiced")
        self.return_of_the_guests(machine)

    def test_removal_stops_and_keeps_state(self, machine):
        machine.run("dpkg", "-r", "sluice")
        assert machine.status("systemctl", "is-active", "--quiet", "sluiced") != 0
        assert machine.status("pgrep", "-x", "sluiced") == 1
        assert not machine.exists("/usr/sbin/sluiced") and not machine.exists("/run/sluice/sluiced.sock")
        assert machine.exists("/var/lib/sluice/host.json") and machine.exists("/etc/sluice/host.json")
        for vm in machine.vms.values():
            vm.close()

    def test_purge_leaves_nothing(self, machine):
        machine.run("dpkg", "-P", "sluice")
        for path in OWN:
            assert not machine.exists(path), f"{path} is still there"
        left = {path for path in machine.written() - machine.before if not OTHERS.match(path)}
        ours = {path for path in left if "sluice" in path}
        assert ours == set(), "left behind"
        assert machine.status("getent", "group", "sluice") == 2
        assert machine.run("systemctl", "list-unit-files", "sluiced.service", "--no-legend", check=False) == ""
