# SPDX-License-Identifier: Apache-2.0
"""What is taken is given back: hugepages (in a folder that stands for the kernel's), processes and what they started."""

import os
import signal

import pytest
from machine import Failure, Hugepages, Program, wait_for


class Kernel:
    """A folder like /sys/kernel/mm/hugepages/hugepages-2048kB."""

    def __init__(self, folder, total, free):
        self.folder = folder
        self.write("nr_hugepages", total)
        self.write("free_hugepages", free)

    def write(self, name, value):
        (self.folder / name).write_text(f"{value}\n")

    @property
    def total(self):
        return int((self.folder / "nr_hugepages").read_text())


def test_pages_that_are_free_are_left_alone(tmp_path):
    kernel = Kernel(tmp_path, 100, 50)
    with Hugepages(100, tmp_path):
        assert kernel.total == 100
    assert kernel.total == 100


def test_missing_pages_that_the_kernel_refuses_are_told_and_given_back(tmp_path):
    kernel = Kernel(tmp_path, 100, 50)  # A file gives no pages.
    with pytest.raises(Failure, match="70 free pages of 2 MB are needed, the machine gives 50"):
        Hugepages(140, tmp_path).__enter__()
    assert kernel.total == 100


def test_reserved_pages_are_given_back_also_after_an_interrupt(tmp_path):
    kernel = Kernel(tmp_path, 100, 50)
    pages = Hugepages(140, tmp_path)
    pages._read, read = lambda name: 120 if name == "free_hugepages" and kernel.total > 100 else read(name), pages._read
    with pytest.raises(KeyboardInterrupt):
        with pages:
            assert kernel.total == 120
            raise KeyboardInterrupt
    assert kernel.total == 100


def test_pages_that_somebody_else_added_meanwhile_stay(tmp_path):
    kernel = Kernel(tmp_path, 100, 50)
    pages = Hugepages(140, tmp_path)
    pages._read, read = lambda name: 120 if name == "free_hugepages" and kernel.total > 100 else read(name), pages._read
    with pages:
        kernel.write("nr_hugepages", 500)
    assert kernel.total == 500


def state_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


def test_a_program_stands_still_and_goes_on_with_all_that_it_started(tmp_path):
    program = Program(["/bin/sh", "-c", "sleep 600 & wait"], tmp_path / "log")
    try:
        wait_for(lambda: len(program.pids()) == 2, "two processes")
        program.pause()
        assert {state_of(pid) for pid in program.pids()} == {"T"}
        program.resume()
        wait_for(lambda: {state_of(pid) for pid in program.pids()} == {"S"}, "both go on")
    finally:
        pids = program.pids()
        program.pause()
        program.stop()
    assert not any(os.path.exists(f"/proc/{pid}") and state_of(pid) != "Z" for pid in pids)


def test_a_program_that_ended_is_told_with_its_last_words(tmp_path):
    program = Program(["/bin/sh", "-c", "echo no hugepages >&2; exit 3"], tmp_path / "log")
    program.process.wait(10)
    with pytest.raises(Failure, match="sh ended with code 3: no hugepages"):
        program.check()
    program.stop()


def test_a_program_that_is_not_there_is_told(tmp_path):
    with pytest.raises(Failure, match="nothing-here"):
        Program(["/usr/bin/nothing-here"], tmp_path / "log")


def test_a_program_that_does_not_end_by_itself_is_killed(tmp_path):
    program = Program(["/bin/sh", "-c", "trap '' TERM; echo up >&2; while :; do sleep 1; done"], tmp_path / "log")
    wait_for(lambda: program.last_line() == "up", "it ignores SIGTERM")
    program.stop(timeout=0.2)
    assert program.process.returncode == -signal.SIGKILL
