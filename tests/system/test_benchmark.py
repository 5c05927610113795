# SPDX-License-Identifier: Apache-2.0
"""scripts/bench on real switches, as short as it gets: it ends with figures or reasons, and takes nothing with it. A firewall
that does not hold, a worker that is not saturated and a peer that can't start are told as such and fail."""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cases
import pytest
import switch_ovs
from frontend import program
from main import contestants
from policy import Policy
from rounds import CaseRunner, Settings
from statistics_of_runs import valid

BENCH = Path(__file__).parents[1] / "bench"
BINARIES = Path(program("sluiced")).parent
SHORT = Settings(rounds=1, seconds=0.3, tries_variants=False)
CASE = dataclasses.replace(cases.BY_NAME["flood-1k"], fill_s=0.1, warmup_s=0.1)


@pytest.fixture(name="tmp_path")
def _tmp_path():
    """A folder with a short name: sockets in folders of folders of it must fit a socket's path."""
    with tempfile.TemporaryDirectory(prefix="b-") as folder:
        yield Path(folder)


def command_of(tmp_path, *arguments):
    return [sys.executable, str(BENCH / "main.py"), "--output", str(tmp_path), "--binaries", str(BINARIES), "--no-hugepages",
            *arguments]


def environment_of(tmp_path):
    return {**os.environ, "TMPDIR": str(tmp_path), "SLUICE_BIN": str(BINARIES),
            "PYTHONPATH": f"{BENCH}:{Path(__file__).parent / 'lib'}"}


def bench(tmp_path, *arguments):
    """Runs it as the script does; (exit status, stdout, stderr)."""
    done = subprocess.run(command_of(tmp_path, *arguments), capture_output=True, text=True, timeout=120, check=False,
                          env=environment_of(tmp_path))
    return done.returncode, done.stdout, done.stderr


def hugepages():
    try:
        return int(Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages").read_text())
    except OSError:
        return 0


def test_a_short_run_ends_with_figures_or_reasons(tmp_path):
    before = hugepages()
    status, out, errors = bench(tmp_path, "--quick", "--contestants", "floor,slots", "--rounds", "1", "--seconds", "0.3")
    assert (tmp_path / "bench.json").exists(), errors
    made = json.loads((tmp_path / "bench.json").read_text())
    both = made["cases"][0]["contestants"]
    assert status == (0 if made["valid"] else 1), errors
    for name in ("floor", "slots"):  # On a machine that is busy otherwise no run may count, but each was made.
        failure = both[name]["failure"]
        assert (both[name]["figure"] is None) == (failure is not None)
        assert failure is None or "bottleneck" in failure or "other processes" in failure, failure
        assert ("FAILED" if failure else f"{both[name]['figure']['median']:,.0f}") in out
    runs = made["cases"][0]["runs"]
    assert {run["contestant"] for run in runs} == {"floor", "slots"} and all(run["figures"]["received"] > 0 for run in runs)
    assert (tmp_path / "bench.svg").read_text().startswith("<svg")
    assert hugepages() == before
    assert sorted(os.listdir(tmp_path)) == ["bench.json", "bench.svg"]


def test_an_interrupt_leaves_nothing_behind(tmp_path):
    before = hugepages()
    process = subprocess.Popen(command_of(tmp_path, "--cases", "flood-1k", "--contestants", "slots", "--rounds", "500"),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment_of(tmp_path))
    try:
        line = next(line for line in process.stderr if "round 1" in line)
        process.terminate()
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and "the machine is as it was" in errors, f"{line}{errors}"
    assert hugepages() == before
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("arguments, why", [(("--cases", "flood-2"), "no case 'flood-2'"),
                                            (("--contestants", "vpp"), "no contestant 'vpp'"),
                                            (("--rounds", "0"), "--rounds is at least 1"),
                                            (("--seconds", "-1"), "--seconds between 0.1 and 600")])
def test_what_makes_no_sense_is_refused_with_a_sentence(tmp_path, arguments, why):
    status, _, errors = bench(tmp_path, *arguments)
    assert status == 2 and why in errors


class Leaky(Policy):
    """Telnet is not denied any more, and everything may be opened."""

    def sluice_document(self, has_chain, socket_of, generation=0):
        document = super().sluice_document(has_chain, socket_of, generation)
        del document["acls"]
        document["dfw"]["default"] = "allow"
        return document


def run_case(tmp_path, case, *names):
    """The result of a case with real switches; contestants that did not start are in its failures."""
    failures = {}
    with contestants(names, tmp_path / "switches", BINARIES, failures) as started:
        result = CaseRunner(BINARIES, started, SHORT, lambda *_: None, []).run(case)
    result.failures.update(failures)
    return result


def test_a_firewall_that_does_not_hold_is_not_measured(tmp_path):
    result = run_case(tmp_path, dataclasses.replace(CASE, policy=Leaky()), "slots")
    assert "the firewall test of slots failed: TCP to a port that no rule allows arrived" in result.failures["slots"]
    assert not result.runs


def test_a_worker_that_is_not_saturated_is_not_counted(tmp_path):
    paced = dataclasses.replace(CASE, arguments=(*CASE.arguments, "--pps", "20000"))
    result = run_case(tmp_path, paced, "slots")
    assert "the load was the bottleneck" in result.failures["slots"]
    assert not valid(result.runs, "slots")


def test_a_peer_that_can_not_start_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(switch_ovs, "VSWITCHD", "/usr/bin/false")
    result = run_case(tmp_path, CASE, "normal")
    assert "ended with code 1" in result.failures["normal"] and not result.runs


def test_a_peer_that_is_not_installed_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(switch_ovs, "VSWITCHD", "/usr/lib/nothing-here")
    assert "install openvswitch-switch-dpdk" in run_case(tmp_path, CASE, "ct").failures["ct"]


def test_the_load_s_own_failure_is_the_reason(tmp_path):
    impossible = dataclasses.replace(CASE, arguments=("flood", "--size", "9999"))
    result = run_case(tmp_path, impossible, "slots")
    assert result.failures["slots"].startswith("sluice-load")


def test_a_policy_that_the_switch_refuses_is_told(tmp_path):
    class Wrong(Policy):
        def sluice_document(self, has_chain, socket_of, generation=0):
            return {"ports": 7}
    result = run_case(tmp_path, dataclasses.replace(CASE, policy=Wrong()), "empty")
    assert result.failures["empty"].startswith("empty: apply:")
