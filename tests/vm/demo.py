# SPDX-License-Identifier: Apache-2.0
"""What scripts/demo shows: two guests talk through their IOChains, and a rule, typed at the CLI, stops them.

Prints PASS or FAIL for each step and ends with exit status 1 if one failed. Everything lives in one temporary
folder; guests and daemon end with the program, however it ends.
"""

import signal
import sys
import time

import traffic
from guest import Guest, wait_until
from host import Host, document, vnic

FILE_MB = 20
ONE, TWO = vnic(1), vnic(2)
DROP_ALL = {"name": "demo", "rules": [
    {"name": "stop-everything", "action": "drop", "source": [ONE["name"]], "destination": ["any"]},
    {"name": "stop-replies", "action": "drop", "source": [TWO["name"]], "destination": ["any"]}]}


class Demo:
    """The steps. Each method that `steps` lists raises AssertionError (or any error) if its claim is false."""

    def __init__(self):
        self.host = Host()
        self.guests = []
        self.failed = 0

    def run(self):
        try:
            for title, step in self.steps():
                self._step(title, step)
                if self.failed and not self._alive():
                    break  # Without guests and daemon, the other steps say nothing new.
            self._step("sluiced stops cleanly", self.stop)
        finally:
            self.close()
        return 1 if self.failed else 0

    def steps(self):
        return [
            ("sluiced starts and takes a document with two ports", self.start),
            ("two guests boot and both ports come up", self.boot),
            ("the guests ping each other over IPv4", self.ping_ipv4),
            ("the guests ping each other over IPv6", self.ping_ipv6),
            (f"{FILE_MB} MB over TCP arrive with the same SHA-256", self.transfer),
            ("show chain and show conns show the running traffic", self.show_tables),
            ("a drop rule stops running and new traffic", self.drop_rule),
            ("with the rule removed, traffic returns", self.remove_rule),
            ("a spoofed IP address is dropped, with its reason", self.spoof_ip),
            ("a spoofed MAC address is dropped, with its reason", self.spoof_mac),
            ("the books balance", self.audit),
        ]

    # Steps.

    def start(self):
        self.host.start()
        print(f"     applied: {self.host.apply(self._document())}")

    def boot(self):
        for vm in (ONE, TWO):
            guest = Guest(vm["name"], self.host.directory, vm["mac"], self.host.directory / f"{vm['name']}.sock",
                          ip=f"{vm['ip']}/24", ip6=f"{vm['ip6']}/64")
            self.guests.append(guest)
            guest.boot(wait=False)
        for guest in self.guests:
            guest.wait_ready()
            self.host.wait_port(guest.name, "up")
        self._show("show", "ports")

    def ping_ipv4(self):
        assert self.guests[0].ping(TWO["ip"], count=5), "vm1 gets no answer from vm2"
        assert self.guests[1].ping(ONE["ip"], count=5), "vm2 gets no answer from vm1"

    def ping_ipv6(self):
        assert self.guests[0].ping(TWO["ip6"], count=5), "vm1 gets no answer from vm2"
        assert self.guests[1].ping(ONE["ip6"], count=5), "vm2 gets no answer from vm1"

    def transfer(self):
        server, client = self.guests
        sent = traffic.make_file(server, FILE_MB)
        received, seconds = traffic.fetch(client, ONE["ip"])
        assert sent == received, f"sent {sent} received {received}"
        print(f"     {FILE_MB} MB in {seconds:.1f} s, SHA-256 {sent}")

    def show_tables(self):
        self._keep_talking()
        self._show("show", "chain", ONE["name"])
        self._show("show", "conns")
        slots = self.host.json("show", "chain", ONE["name"])["slots"]
        assert len(slots) == 16, f"{len(slots)} slots"
        dfw = slots[2]
        assert dfw["name"] == "dfw" and dfw["from_vm"]["packets"] > 0, f"slot 2 says {dfw}"
        conns = self.host.json("show", "conns")
        assert any(c["proto"] == "tcp" and 9000 in (c["sport"], c["dport"]) for c in conns), f"no tcp/9000: {conns}"

    def drop_rule(self):
        before = self._received_bytes()
        wait_until(lambda: self._received_bytes() > before, 20, "the stream runs before the rule")
        self.host.apply(self._document(sections=[DROP_ALL]))
        time.sleep(1)  # What the guest had in its own buffers.
        stopped_at = self._received_bytes()
        time.sleep(3)
        assert self._received_bytes() == stopped_at, "the running stream goes on"
        assert not self.guests[0].ping(TWO["ip"]), "a new IPv4 ping is answered"
        assert not self.guests[1].ping(ONE["ip6"]), "a new IPv6 ping is answered"
        self._show("show", "rules")

    def remove_rule(self):
        self.host.apply(self._document())
        wait_until(lambda: self.guests[0].ping(TWO["ip"]), 30, "vm1 pings vm2")
        wait_until(lambda: self.guests[1].ping(ONE["ip6"]), 30, "vm2 pings vm1 over IPv6")
        self._stop_talking()
        self._keep_talking()
        before = self._received_bytes()
        wait_until(lambda: self._received_bytes() > before, 30, "a new stream runs")
        self._stop_talking()

    def spoof_ip(self):
        guest, before = self.guests[0], self._drops(ONE["name"])
        guest.check("ip addr add 192.0.2.77/24 dev $(cat /run/interface)")
        code, output = guest.run(f"ping -c 2 -W 2 -I 192.0.2.77 {TWO['ip']}")
        guest.check("ip addr del 192.0.2.77/24 dev $(cat /run/interface)")
        assert code != 0, f"a ping from a foreign address was answered:\n{output}"
        self._assert_spoof_drop(before)
        wait_until(lambda: guest.ping(TWO["ip"]), 20, "vm1 talks with its own address")

    def spoof_mac(self):
        guest, before = self.guests[0], self._drops(ONE["name"])
        self._set_mac("02:00:00:00:00:66")
        answered = guest.ping(TWO["ip"])
        self._set_mac(ONE["mac"])
        assert not answered, "a ping from a foreign MAC address was answered"
        self._assert_spoof_drop(before)
        wait_until(lambda: guest.ping(TWO["ip"]), 20, "vm1 talks with its own MAC address")

    def audit(self):
        books = wait_until(self._balanced_books, 10, "show drops --audit: nothing unaccounted", 0.5)
        print(f"     {books}")

    def stop(self):
        for guest in self.guests:
            guest.kill()
        status = self.host.stop()
        assert status == 0, f"exit status {status}"

    def close(self):
        for guest in self.guests:
            guest.kill()
        self.host.stop()

    # Parts of steps.

    def _step(self, title, step):
        try:
            step()
        except Exception as error:  # pylint: disable=broad-except; a step that fails must not hide the others
            self.failed += 1
            print(f"FAIL {title}\n     {type(error).__name__}: {error}", flush=True)
            print("     sluiced's log ends:\n" + self.host.log_tail(20), flush=True)
        else:
            print(f"PASS {title}", flush=True)

    def _alive(self):
        return self.host.alive() and len(self.guests) == 2 and all(guest.alive() for guest in self.guests)

    def _document(self, sections=()):
        return document(self.host.directory, spoofguard="manual", sections=sections)

    def _show(self, *words):
        print(f"     $ sluice {' '.join(words)}")
        print("".join(f"     {line}\n" for line in self.host.table(*words).splitlines()), end="", flush=True)

    def _keep_talking(self):
        """A TCP stream from vm1 to vm2, 40 KB a second, that runs until _stop_talking."""
        sender, receiver = self.guests
        # tail keeps the listener's standard input open; at its end nc would close the connection.
        receiver.start("tail -f /dev/null | nc -l -p 9000 >/tmp/stream")
        receiver.check("until netstat -ltn | grep -q :9000; do sleep 0.1; done")
        sender.start(f"while head -c 4096 /dev/zero; do sleep 0.1; done | nc {TWO['ip']} 9000")
        wait_until(lambda: self._received_bytes() > 0, 30, "the stream from vm1 to vm2 runs")

    def _stop_talking(self):
        self.guests[0].run("killall nc")
        self.guests[1].run("killall nc tail; rm -f /tmp/stream")

    def _received_bytes(self):
        return int(self.guests[1].run("wc -c </tmp/stream 2>/dev/null || echo 0")[1].strip() or 0)

    def _set_mac(self, mac):
        self.guests[0].check(f"i=$(cat /run/interface); ip link set $i down; ip link set $i address {mac}; "
                             "ip link set $i up; ip -6 addr flush dev $i; ip addr flush dev $i; net-up")

    def _drops(self, port):
        return self.host.json("show", "drops", port)

    def _assert_spoof_drop(self, before):
        after = self._drops(ONE["name"])
        more = {reason: count - before.get(reason, 0) for reason, count in after.items()}
        assert any("spoof" in reason and count > 0 for reason, count in more.items()), f"new drops: {more}"
        self._show("show", "drops", ONE["name"])

    def _balanced_books(self):
        books = self.host.json("show", "drops", "--audit")
        return books if books["unaccounted"] == 0 else None


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # So that `finally` runs.
    demo = Demo()
    status = demo.run()
    print("demo: " + ("all steps passed" if status == 0 else f"{demo.failed} steps failed"))
    return status


if __name__ == "__main__":
    sys.exit(main())
