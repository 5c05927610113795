# SPDX-License-Identifier: Apache-2.0
"""Rounds with switches and a load that are made up: turns, extra rounds, and what is never a number."""

import firewall
import load
import pytest
from cases import BY_NAME
from machine import Failure
from rounds import CaseRunner, Settings

CASE = BY_NAME["flood-1k"]


class FakeSwitch:
    def __init__(self, name, pps=10e6, busy=0.99, waited=0.0):
        self.name, self.pps, self.busy, self.waited = name, pps, busy, waited
        self.awake = False
        self.log = []

    def configure(self, policy, _place):
        self.log.append("policy")

    def prove(self, _policy, _place):
        self.log.append("proof")

    def forget_connections(self):
        self.log.append("forget")

    def resume(self):
        self.awake = True

    def pause(self):
        self.awake = False


class Stage:
    """Replaces the load, the noise and the firewall test."""

    def __init__(self, monkeypatch):
        self.round_trips, self.switches, self.loads = iter(lambda: 140.0, None), {}, []
        monkeypatch.setattr(load, "measure_noise", lambda _: self.noise())
        monkeypatch.setattr(load, "Load", self.load)
        monkeypatch.setattr(firewall, "check", lambda switch: None)

    def noise(self):
        assert not any(switch.awake for switch in self.switches.values()), "a switch ran while noise was measured"
        return next(self.round_trips)

    def load(self, _binaries, switch, _arguments, _seconds, _warmup, _policy, _place):
        assert [one.name for one in self.switches.values() if one.awake] == [switch.name]
        self.loads.append(switch.name)
        return self.Running(switch)

    class Running:
        def __init__(self, switch):
            self._switch = switch

        def finish(self):
            if self._switch.pps is None:
                raise Failure("sluice-load ct: no frame arrived")
            return {"pps": self._switch.pps, "tsc_hz": 2.6e9, "busy": self._switch.busy,
                    "worker_waited_share": self._switch.waited}

    def run(self, *switches, rounds=3):
        self.switches = {switch.name: switch for switch in switches}
        return CaseRunner(None, self.switches, Settings(rounds, 1.0, False), lambda *_: None, []).run(CASE)


@pytest.fixture
def stage(monkeypatch):
    return Stage(monkeypatch)


def test_contestants_take_turns_there_and_back(stage):
    result = stage.run(FakeSwitch("slots"), FakeSwitch("ct", 2e6))
    assert not result.failures
    assert stage.loads[2:] == ["slots", "ct", "ct", "slots", "slots", "ct"]  # The first two fill tables.
    assert {run.figures["cycles_per_packet"] for run in result.runs} == {260.0, 1300.0}


def test_connections_of_an_earlier_case_are_gone_before_the_firewall_is_tested(stage, monkeypatch):
    slots = FakeSwitch("slots")
    monkeypatch.setattr(firewall, "check", lambda switch: switch.log.append("test"))
    stage.run(slots)
    assert slots.log == ["forget", "policy", "test", "proof"]


def test_more_rounds_while_pairs_are_missing_but_not_for_ever(stage):
    stage.round_trips = iter([140, 140, 830] + [140] * 100)
    assert len(stage.run(FakeSwitch("slots"), FakeSwitch("ct")).runs) == 10  # Two of the first five were left out.
    stage.round_trips = iter([140, 830] * 100)
    assert len(stage.run(FakeSwitch("slots"), FakeSwitch("ct")).runs) == 12


def test_a_worker_that_is_not_saturated_is_no_number(stage):
    result = stage.run(FakeSwitch("slots"), FakeSwitch("ct", busy=0.94))
    assert "0 of 3 runs are valid: the load was the bottleneck (worker 94% busy)" == result.failures["ct"]
    assert "slots" not in result.failures


def test_a_worker_of_which_nothing_is_known_is_no_number(stage):
    assert "worker unknown" in stage.run(FakeSwitch("slots", busy=None)).failures["slots"]


def test_a_worker_that_shared_its_core_is_no_number(stage):
    result = stage.run(FakeSwitch("slots", waited=0.2))
    assert result.failures["slots"] == "0 of 3 runs are valid: other processes took 20% of the worker's core"


def test_a_broken_firewall_is_no_number_and_is_not_measured(stage, monkeypatch):
    def broken(switch):
        if switch.name == "ct":
            raise Failure("the firewall test of ct failed: telnet arrived")
    monkeypatch.setattr(firewall, "check", broken)
    result = stage.run(FakeSwitch("slots"), FakeSwitch("ct"))
    assert result.failures == {"ct": "the firewall test of ct failed: telnet arrived"}
    assert "ct" not in stage.loads


def test_a_load_that_fails_is_no_number(stage):
    result = stage.run(FakeSwitch("slots"), FakeSwitch("ct", pps=None))
    assert result.failures["ct"] == "sluice-load ct: no frame arrived"


class Guest:
    """A front-end of a switch that lets everything through, or what `verdict` says."""

    def __init__(self, verdict=lambda frame: True):
        self.verdict, self.peer, self.queue = verdict, None, []

    def send(self, frame):
        if self.verdict(bytes(frame)):
            self.peer.queue.append(bytes(frame))

    def receive(self, _count, _timeout):
        class Received:
            frame = self.queue[0] if self.queue else b""
        taken, self.queue = bool(self.queue), self.queue[1:]
        return [Received] if taken else []


def guests(verdict):
    a, b = Guest(verdict), Guest(verdict)
    a.peer, b.peer = b, a
    return {"a": a, "b": b}


FORBIDDEN = [bytes(sent) for _, _, sent in firewall.FORBIDDEN]


def test_a_firewall_that_drops_what_it_must_passes():
    firewall.probe(guests(lambda frame: frame not in FORBIDDEN))


@pytest.mark.parametrize("index", range(len(FORBIDDEN)))
def test_each_frame_that_must_not_arrive_is_noticed(index):
    with pytest.raises(AssertionError, match=firewall.FORBIDDEN[index][0]):
        firewall.probe(guests(lambda frame: frame not in FORBIDDEN or frame == FORBIDDEN[index]))


def test_a_firewall_that_drops_everything_is_noticed():
    with pytest.raises(AssertionError, match="UDP from A did not arrive"):
        firewall.probe(guests(lambda frame: False))
