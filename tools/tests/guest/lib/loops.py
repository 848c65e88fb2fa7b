# SPDX-License-Identifier: GPL-2.0
"""Loops: processes that repeat a step until they are stopped. watch() detects a step that fails or
hangs. After a hang it prints the stacks of the blocked tasks, and ends the guest."""

import contextlib
import multiprocessing
import random
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn, Protocol

from . import tap
from .kernel_log import KernelLog

CONTEXT = multiprocessing.get_context("fork")
# The outcomes of a step: it succeeded; the kernel rejected it, which is allowed; a request failed
# with an error that the user guide documents.
DONE, REFUSED, LOST = OUTCOMES = ("done", "refused", "lost")
# The states of a gate and of its loops: loops run; loops are paused; loops are paused and have
# called release().
OPEN, PARK, RELEASE = range(3)
# The number of lines of the kernel log that are printed after a hang.
LINES = 400
SYSRQ = Path("/proc/sysrq-trigger")


class Step(Protocol):
    """The body of a loop."""

    name: str
    # The longest pause between two steps, in seconds.
    pause: float

    def run(self, chance: random.Random) -> str:
        """Runs once and returns one of OUTCOMES. Raises an exception on failure."""

    def release(self) -> None:
        """Closes the resources that earlier runs opened."""


class Gate:
    """Pauses its loops, each between two steps."""

    def __init__(self) -> None:
        self.state = CONTEXT.RawValue("i", OPEN)
        self.loops: list["Loop"] = []

    @contextlib.contextmanager
    def closed(self, level: int, seconds: float) -> Iterator[None]:
        """Closes the gate during the block. The block begins once all loops are paused."""
        self.state.value = level
        try:
            tap.wait_until(
                lambda: all(loop.level.value >= level for loop in self.loops),
                seconds,
                "all loops pause",
            )
            yield
        finally:
            self.state.value = OPEN


class Loop:
    """A process that repeats a step. It stops at a gate if it has one."""

    def __init__(self, step: Step, seed: int, gate: Gate | None = None) -> None:
        self.step = step
        # Without a lock: one process writes each value, and it may be killed at any time.
        self.level = CONTEXT.RawValue("i", OPEN)
        self._gate = gate
        if gate:
            gate.loops.append(self)
        self._counts = {outcome: CONTEXT.RawValue("L", 0) for outcome in OUTCOMES}
        self._since = CONTEXT.RawValue("d", 0.0)
        self._stop = CONTEXT.Event()
        self._failures = CONTEXT.SimpleQueue()
        self._failure = ""
        self._process = CONTEXT.Process(
            target=self._main, args=(seed,), name=step.name, daemon=True
        )

    def start(self) -> None:
        """Starts the process."""
        self._process.start()

    def stop(self) -> None:
        """Asks the process to end after its current step."""
        self._stop.set()

    @property
    def alive(self) -> bool:
        """True if the process has not ended."""
        return self._process.is_alive()

    @property
    def counts(self) -> dict[str, int]:
        """The number of steps so far, by outcome."""
        return {outcome: int(value.value) for outcome, value in self._counts.items()}

    def check(self, limit: float) -> None:
        """Fails the test if a step failed. Ends the guest if a step takes longer than the limit."""
        if not self._failures.empty():
            self._failure = self._failures.get()
        tap.check(not self._failure, f"{self.step.name}: {self._failure}")
        since = self._since.value
        if since and self.alive and time.monotonic() > since + limit:
            give_up(f"{self.step.name}: a step has not ended within {limit:g} s")

    def _main(self, seed: int) -> None:
        chance = random.Random(seed)
        try:
            while not self._stop.is_set():
                self._since.value = time.monotonic()
                self._wait_at_gate()
                if not self._stop.is_set():
                    outcome = self.step.run(chance)
                    self._counts[outcome].value += 1
                self._since.value = 0
                self._stop.wait(chance.uniform(0, self.step.pause))
            self._since.value = time.monotonic()
            self.step.release()
        except tap.Failure as failure:
            self._failures.put(str(failure))
        except BaseException:  # pylint: disable=broad-except
            self._failures.put(traceback.format_exc())
        finally:
            self._since.value = 0
            self.level.value = RELEASE

    def _wait_at_gate(self) -> None:
        while self._gate and self._gate.state.value != OPEN and not self._stop.is_set():
            if self._gate.state.value == RELEASE and self.level.value != RELEASE:
                self.step.release()
                self.level.value = RELEASE
            elif self.level.value == OPEN:
                self.level.value = PARK
            self._since.value = 0
            time.sleep(0.01)
        self.level.value = OPEN
        self._since.value = time.monotonic()


def watch(loops: Iterable[Loop], seconds: float, limit: float) -> None:
    """Lets the loops run for some seconds. A step must end within the limit."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for loop in loops:
            loop.check(limit)
        time.sleep(0.1)


def stop(loops: Iterable[Loop], limit: float) -> None:
    """Stops the loops. Each must end its step within the limit."""
    for loop in loops:
        loop.stop()
    for loop in loops:
        while loop.alive:
            loop.check(limit)
            time.sleep(0.05)
        loop.check(limit)


def give_up(what: str) -> NoReturn:
    """Prints the message, and the stacks of the blocked tasks and of the CPUs. Then reboots the
    guest by SysRq, because a hung task would block a normal shutdown."""
    print(f"not ok - nothing hangs\n# {what}", flush=True)
    log = KernelLog()
    for key in "wl":
        SYSRQ.write_text(key)
    time.sleep(2)
    for line in log.lines()[:LINES]:
        tap.note(line)
    time.sleep(5)
    SYSRQ.write_text("b")
    raise tap.Failure(what)


class Guard:
    """A process that ends the guest if its creator does not complete a block in time."""

    def __init__(self) -> None:
        self._end = CONTEXT.RawValue("d", 0.0)
        CONTEXT.Process(target=self._main, name="guard", daemon=True).start()

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Ends the guest if the block takes longer."""
        self._end.value = time.monotonic() + seconds
        try:
            yield
        finally:
            self._end.value = 0

    def _main(self) -> None:
        while True:
            end = self._end.value
            if end and time.monotonic() > end:
                give_up("the test has not ended in time")
            time.sleep(1)
