# SPDX-License-Identifier: Apache-2.0
"""--user: no thread of the daemon keeps a right that it does not need, and everything still works."""

import grp
import os
import pwd
import socket
import stat
import subprocess
import tempfile
import threading

import pytest
from conditions import eventually
from daemon import Daemon
from frontend import program
from network import Namespaces
from scene import Scene
from stall import threads
from uplinks import UplinkStage, to_far

USER = "nobody"
IDS = pwd.getpwnam(USER)
NO_RIGHTS = "0000000000000000"
UPLINK_RIGHTS = f"{1 << 12 | 1 << 13:016x}"  # NET_ADMIN, NET_RAW
HELPER_RIGHTS = f"{1 << 12 | 1 << 21:016x}"  # NET_ADMIN, SYS_ADMIN

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="to become another user takes root")


def status_of(pid, thread=None):
    with open(f"/proc/{pid}/task/{thread or pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def assert_confined(pid, rights=NO_RIGHTS):
    """Every thread, those of DPDK and of helpers too."""
    for name, thread in threads(pid).items():
        now = status_of(pid, thread)
        for line, wanted in (("Uid", str(IDS.pw_uid)), ("Gid", str(IDS.pw_gid))):
            assert set(now[line].split()) == {wanted}, (name, line, now[line])
        for line in ("CapPrm", "CapEff", "CapBnd"):
            assert now[line] == rights, (name, line, now[line])
        assert (now["CapInh"], now["CapAmb"]) == (NO_RIGHTS, NO_RIGHTS), name
        assert (now["NoNewPrivs"], now["Seccomp"]) == ("1", "2"), name


def helper_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        found = [int(child) for child in file.read().split()]
    return next(child for child in found if status_of(child)["Name"] == "sluiced-helper")


@pytest.fixture(name="umask", scope="module", autouse=True)
def _umask():
    """As libvirt starts QEMU, and further: whoever may enter the folder may connect."""
    mask = os.umask(0)
    yield
    os.umask(mask)


@pytest.fixture(name="scene", scope="module")
def _scene():
    server = {"vm3": {"socket_mode": "server"}}
    with Scene(vms=("vm1", "vm2", "vm3"), ports=server, guests={"vm3": {"mode": "client"}}, user=USER) as scene:
        yield scene


def test_every_thread_has_nothing(scene):
    assert_confined(scene.daemon.pid)
    assert {"worker-0", "watch"} <= set(threads(scene.daemon.pid))


def test_the_helper_has_what_interfaces_need_and_no_more(scene):
    helper = status_of(helper_of(scene.daemon.pid))
    assert set(helper["Uid"].split()) == {str(IDS.pw_uid)}
    assert helper["CapEff"] == helper["CapPrm"] == HELPER_RIGHTS
    assert (helper["NoNewPrivs"], helper["Seccomp"]) == ("1", "2")


def test_guests_are_served(scene):
    scene.passes(scene.udp("vm1", "vm2"), "vm1", "vm2")
    scene.passes(scene.udp("vm2", "vm1"), "vm2", "vm1")
    scene.passes(scene.udp("vm3", "vm1"), "vm3", "vm1")
    scene.vm1.drop()
    scene.daemon.wait_port("vm1", "down")
    scene.vm1.reconnect()
    scene.daemon.wait_port("vm1")
    scene.passes(scene.udp("vm1", "vm2"), "vm1", "vm2")


def test_what_it_writes_is_its_own(scene):
    for path in (scene.daemon.admin_socket, os.path.join(scene.daemon.state_dir, "host.json")):
        assert os.stat(path).st_uid == IDS.pw_uid, path
    assert stat.S_ISSOCK(os.stat(scene.daemon.admin_socket).st_mode)


def test_starts_again_on_what_root_left():
    """A daemon that was root wrote its state; one with --user takes it over."""
    with Daemon(user=USER, start=False) as daemon:
        os.chown(daemon.state_dir, 0, 0)
        os.chmod(daemon.state_dir, 0o700)
        daemon.start()
        assert_confined(daemon.pid)
        daemon.apply({"switches": [{"name": "dvs1"}]})
        daemon.restart()
        assert [one["name"] for one in daemon.cli("export")["switches"]] == ["dvs1"]


def test_a_kernel_port_in_a_namespace():
    with Daemon(user=USER) as daemon, Namespaces("storage") as net:
        space = net["storage"]
        port = {"name": "vmk0", "port_group": "web", "kind": "kernel", "interface": "vmk0", "netns": space.name,
                "addresses": ["10.0.0.9/24"]}
        document = {"switches": [{"name": "dvs0"}], "port_groups": [{"name": "web", "switch": "dvs0"}], "ports": [port]}
        daemon.apply(document)
        assert space.interfaces()["vmk0"][2] == ["10.0.0.9/24"]
        port["addresses"] = ["10.0.0.10/24"]
        daemon.apply(document)
        eventually(lambda: space.interfaces()["vmk0"][2] == ["10.0.0.10/24"], "the other address")
        daemon.apply({**document, "ports": []})
        eventually(lambda: space.interfaces() == {}, "it is gone")


def test_an_af_packet_uplink():
    with UplinkStage(1, {"policy": "explicit", "active": ["up0"]}, user=USER, args=("--allow-uplinks", "af_packet")) as stage:
        assert_confined(stage.daemon.pid, UPLINK_RIGHTS)
        eventually(lambda: stage.daemon.cli("show", "uplinks")[0]["state"] == "up", "the uplink is up", 10.0)
        stage.vms["vm1"].send(to_far("vm1"))
        stage.wires["eth0"].expect(to_far("vm1"))
        stage.daemon.restart()
        assert_confined(stage.daemon.pid, UPLINK_RIGHTS)


def test_without_rights_an_uplink_is_refused():
    with UplinkStage(1, {"policy": "explicit", "active": ["up0"]}, vms=(), user=USER, args=("--allow-uplinks", "af_packet")) as stage:
        document = stage.document()
        stage.daemon.apply({})
        stage.daemon._args[stage.daemon._args.index("af_packet")] = "none"
        stage.daemon.restart()
        assert_confined(stage.daemon.pid)
        for device in ("net_af_packet0,iface=up0", "net_af_xdp0,iface=up0"):
            document["uplinks"][0]["device"] = device
            assert "uplink up0" in str(stage.daemon.apply_error(document)), device
        assert stage.daemon.alive
        eventually(lambda: "passed in" in stage.daemon.rpc("health")["result"]["checks"][0]["detail"], "packets move")


def test_rights_for_uplinks_are_kept_for_the_stored_document_that_has_them():
    with UplinkStage(1, {"policy": "explicit", "active": ["up0"]}, vms=(), user=USER, args=("--allow-uplinks", "af_packet")) as stage:
        stage.daemon._args[stage.daemon._args.index("af_packet")] = "auto"
        stage.daemon.restart()
        assert_confined(stage.daemon.pid, UPLINK_RIGHTS)
        for name in ("one", "two"):  # The one before is what a damaged file gives way to: it counts, too.
            stage.daemon.apply({"switches": [{"name": name}]})
        stage.daemon.restart()
        assert_confined(stage.daemon.pid)


class ServiceDaemon(Daemon):
    """As the package's unit starts it: already that user, with ambient rights, and a helper behind a socket."""

    def command(self):
        rights = "+net_admin,+net_raw"
        return ["setpriv", "--reuid", USER, "--regid", "kvm" if _has_kvm() else str(IDS.pw_gid), "--clear-groups", "--inh-caps", rights,
                "--ambient-caps", rights, "--bounding-set", "-all," + rights, "--no-new-privs", *super().command()]


def _has_kvm():
    return subprocess.run(["getent", "group", "kvm"], capture_output=True, check=False).returncode == 0


class HelperSocket:
    """What sluiced-helper.socket is: a process for each that connects."""

    def __init__(self, path):
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listening.bind(path)
        os.chown(path, IDS.pw_uid, -1)
        os.chmod(path, 0o600)
        self._listening.listen()
        self.helpers = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                self.helpers.append(subprocess.Popen([program("sluiced-helper"), USER], stdin=connection))

    def close(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


def test_as_a_service_with_a_helper_of_its_own():
    with Namespaces("storage") as net, tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "helper.sock")
        helpers = HelperSocket(path)
        try:
            with ServiceDaemon(user=USER, args=("--helper", path)) as daemon:
                for name, thread in threads(daemon.pid).items():
                    now = status_of(daemon.pid, thread)
                    assert now["CapEff"] == now["CapPrm"] == now["CapAmb"] == NO_RIGHTS, name
                    assert (now["NoNewPrivs"], now["Seccomp"]) == ("1", "2"), name
                port = {"name": "vmk0", "port_group": "web", "kind": "kernel", "interface": "vmk0",
                        "netns": net["storage"].name, "addresses": ["10.0.0.9/24"]}
                daemon.apply({"switches": [{"name": "dvs0"}], "port_groups": [{"name": "web", "switch": "dvs0"}],
                              "ports": [port]})
                assert net["storage"].interfaces()["vmk0"][2] == ["10.0.0.9/24"]
                [helper] = helpers.helpers
                assert status_of(helper.pid)["CapEff"] == HELPER_RIGHTS
            assert helper.wait(5) == 0, "it ends with its daemon"
        finally:
            helpers.close()


CONNECT = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"


def test_a_folder_of_a_vm_is_closed_to_users_of_other_vms():
    """Two users of QEMU, both in its group; the folder is one's own, and group "sluice" (here: adm) lets the daemon in."""
    own, other, qemu, switch = 64001, 64002, 64003, grp.getgrnam("adm").gr_gid

    class GroupDaemon(Daemon):
        def command(self):
            return ["setpriv", "--reuid", USER, "--regid", str(qemu), "--groups", str(switch), "--bounding-set", "-all",
                    "--no-new-privs", *super().command()]

    def connect(uid, path):
        return subprocess.run(["/usr/bin/python3", "-c", CONNECT, path], user=uid, group=qemu, extra_groups=[], cwd="/",
                              capture_output=True, text=True, timeout=30, check=False)

    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        helper = os.path.join(folder, "helper.sock")
        helpers = HelperSocket(helper)
        vm = os.path.join(folder, "vm1")
        os.mkdir(vm)
        os.chown(vm, own, switch)
        os.chmod(vm, 0o770)
        with GroupDaemon(user=USER, args=("--helper", helper)) as daemon:
            path = os.path.join(vm, "vm1.sock")
            port = {"name": "vm1", "port_group": "web", "kind": "vhost", "socket": path, "socket_mode": "server"}
            daemon.apply({"switches": [{"name": "dvs0"}], "port_groups": [{"name": "web", "switch": "dvs0"}], "ports": [port]})
            eventually(lambda: os.path.exists(path), "the socket")
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o660 and os.stat(path).st_gid == qemu
            eventually(lambda: connect(own, path).returncode == 0, "its own user connects")
            refused = connect(other, path)
            assert refused.returncode != 0 and "PermissionError" in refused.stderr
            daemon.apply({})
        helpers.close()


def test_unknown_users_and_root_are_refused(tmp_path):
    for name, sentence in (("no-such-user-here", "does not exist"), ("root", "is root")):
        done = subprocess.run([program("sluiced"), "--no-huge", "--socket", tmp_path / "s", "--state-dir", tmp_path / "state",
                               "--user", name], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 1 and sentence in done.stderr and f'user "{name}"' in done.stderr


def test_a_folder_that_is_not_its_own_is_a_sentence(tmp_path):
    tmp_path.chmod(0o755)
    done = subprocess.run([program("sluiced"), "--no-huge", "--socket", tmp_path / "s", "--state-dir", tmp_path / "state",
                           "--user", USER], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and "can't write there" in done.stderr, done.stderr
