#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Pairs of events: two kinds of events happen to a device at random, in parallel and under load.

usage: pairs.py [--seconds N] [--seed SEED] [--pairs N] [--limit SECONDS] [EVENT EVENT]...

The events are those of lib/events.py:
  reset        the PCI function is reset through sysfs
  bind         the device is unbound and bound
  rmmod        the module is unloaded and loaded
  unplug       the device is unplugged and plugged in again
  needs-reset  the device sets DEVICE_NEEDS_RESET (a vfio device)
  silence      the device does not complete a request (a reference device)
  ready        HW_READY is cleared and set (a reference device)
  setkey       keys are set as fast as possible
  users        transforms of all algorithms are allocated and freed
  cpus         a CPU goes offline and online
  sleep        the device is frozen and restored (vc_sleep.ko in the shared folder)
  debugfs      the files in debugfs are read

Runs the named pairs, and --pairs other pairs chosen by the seed. Without names and --pairs, runs
all pairs. A pair runs for --seconds. Meanwhile a volume is written and read, programs and the
kernel send requests, and data pass through IPsec. No result may be wrong, no request may be lost
or completed twice, and no step may take longer than the limit. After each pair every algorithm must
run on the device, no request may be in flight, and the kernel must report nothing.

In-place requests may fail while a pair has needs-reset or silence, as documented in the user guide.
They are counted.

For a guest with one device, and vc_sleep.ko and vc_fault.ko in the shared folder. Self-tests would
keep the module in use, so they must be disabled (cryptomgr.notests=1).
"""

import argparse
import contextlib
import itertools
import random
import re

from lib import afalg, events, fault_requests, loads, loops, module, reference, tap, volume
from lib.kernel_log import TROUBLE, KernelLog
from lib.loops import DONE, OUTCOMES, PARK, RELEASE, Gate, Loop
from lib.tap import test

LONG = 300
# The virtio core warns when a device is removed whose registers read all ones, as they do during a
# reset of the function.
EXPECTED = re.compile("at virtio_dev_remove")

parser = argparse.ArgumentParser()
parser.add_argument("--seconds", type=float, default=20)
parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
parser.add_argument("--pairs", type=int, default=0)
parser.add_argument("--limit", type=float, default=180)
parser.add_argument("events", nargs="*")
options = parser.parse_args()
afalg.prepare()
chance = random.Random(options.seed)
gate, lossy = Gate(), loads.Lossy()
# The setup of a tunnel takes long, so there is no tunnel while the module is reloaded.
tunnel_gate = Gate()
EVENTS = {event.name: event for event in events.every(gate, options.limit)}
totals = {name: dict.fromkeys(OUTCOMES, 0) for name in EVENTS}


def chosen() -> list[tuple[str, str]]:
    """Returns the pairs to run."""
    wrong = set(options.events) - set(EVENTS)
    if wrong or len(options.events) % 2:
        parser.error(f"expected pairs of {', '.join(EVENTS)}")
    possible = []
    for event in EVENTS.values():
        if reason := event.missing():
            tap.note(f"{event.name}: {reason}")
            if event.name in options.events:
                parser.error(f"{event.name}: {reason}")
        else:
            possible.append(event.name)
    named = list(zip(options.events[::2], options.events[1::2]))
    others = [pair for pair in itertools.combinations(possible, 2) if set(pair) not in map(set, named)]
    chance.shuffle(others)
    if named or options.pairs:
        others = others[: options.pairs]
    return named + others


def states() -> dict[str, dict[str, str]]:
    """Returns the contents of the status files in debugfs."""
    found = {}
    for name in module.find():
        with contextlib.suppress(OSError):
            text = (events.DEBUGFS / name / "status").read_text()
            found[name] = dict(re.findall(r"^(.*?): (.*)$", text, re.M))
    return found


def completed() -> int:
    """Returns how many requests the devices have completed since they were bound."""
    return sum(
        int(number)
        for state in states().values()
        for value in state.values()
        for number in re.findall(r"(\d+) completed", value)
    )


def all_idle() -> bool:
    """Returns true if no request is in flight or backlogged."""
    return all(
        re.match(r"0 in flight(, 0 backlogged.*)?$", value)
        for state in states().values()
        for value in state.values()
        if "in flight" in value
    )


def check_ready() -> None:
    """Waits until every device is ready. Rebinds a disabled device, as recommended in the user
    guide."""

    def ready() -> bool:
        found = states()
        for name, state in found.items():
            if state["state"] == "disabled":
                tap.note(f"{name} was disabled and is rebound")
                (module.DRIVER / "unbind").write_text(name)
                (module.DRIVER / "bind").write_text(name)
        names = module.find()
        return bool(names) and all(found.get(name, {}).get("state") == "ready" for name in names)

    try:
        tap.wait_until(ready, LONG, "the device is ready")
    except tap.Failure as failure:
        raise tap.Failure(f"{failure}: {states()}") from None


def check_algorithms() -> None:
    """Checks that every algorithm returns correct results, some of them from the device."""
    module.wait_registered(LONG)
    for subject in loads.subjects():

        def is_served(subject: fault_requests.Subject = subject) -> bool:
            before = completed()
            result = fault_requests.run(subject, 4)
            tap.check_equal(str(result), "4 right", subject.driver)
            return completed() > before

        tap.wait_until(is_served, LONG, f"the device serves {subject.driver}")


def check_log(log: KernelLog) -> None:
    """Fails the test if the kernel has reported an unexpected error."""
    bad = [line for line in log.matching(TROUBLE.pattern) if not EXPECTED.search(line)]
    tap.check(not bad, "the kernel reports:\n" + "\n".join(bad[:20]))


class Stage:
    """The loads. They run from the first pair to the last."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._loops: list[Loop] = []

    def open(self) -> None:
        """Starts the loads, and waits until the device serves each."""
        check_ready()
        disk = self._stack.enter_context(volume.disk(loads.SIZE >> 20))
        self._volume = loads.Volume(disk, lossy)
        steps = (self._volume, loads.Programs(), loads.Requests(lossy))
        self._loops = [Loop(step, chance.getrandbits(32), gate) for step in steps]
        self._loops.append(Loop(loads.Tunnel(), chance.getrandbits(32), tunnel_gate))
        # The first step of a load loads modules, which takes minutes under other loads.
        for loop in reversed(self._loops):
            loop.start()
            self._wait_for_progress([loop])
        self._check_algorithms()

    @staticmethod
    def _check_algorithms() -> None:
        """Pauses the loads and checks all algorithms."""
        with gate.closed(PARK, options.limit), tunnel_gate.closed(PARK, options.limit):
            tap.wait_until(all_idle, LONG, "no request is in flight")
            check_algorithms()

    def _wait_for_progress(self, awaited: list[Loop]) -> None:
        """Waits until every given load has completed a step."""
        before = {loop: loop.counts[DONE] for loop in awaited}

        def more() -> bool:
            for loop in self._loops:
                loop.check(options.limit)
            return all(loop.counts[DONE] > count for loop, count in before.items())

        # The tunnel is set up again after rmmod. This takes minutes on the debug kernel.
        tap.wait_until(more, max(LONG, options.limit), "all loads make progress")

    def run(self, names: tuple[str, str]) -> None:
        """Runs two kinds of events, and checks loads and device afterwards."""
        log = KernelLog()
        pair = [EVENTS[name] for name in names]
        event_loops = [Loop(event, chance.getrandbits(32)) for event in pair]
        lossy.set(any(event.loses_requests for event in pair))
        before = [loop.counts for loop in self._loops]
        with contextlib.ExitStack() as stack:
            if "rmmod" in names:
                stack.enter_context(tunnel_gate.closed(RELEASE, options.limit))
            for event in pair:
                stack.callback(event.settle)
            for loop in event_loops:
                loop.start()
            stack.callback(loops.stop, event_loops, options.limit)
            loops.watch([*event_loops, *self._loops], options.seconds, options.limit)
        check_ready()
        self._wait_for_progress(self._loops)
        lossy.set(False)
        self._check_algorithms()
        check_log(log)
        for loop in event_loops:
            name, counts = loop.step.name, loop.counts
            for outcome, count in counts.items():
                totals[name][outcome] += count
            tap.note(f"{name}: {counts}")
            tap.check(counts[DONE], f"{name} has never succeeded")
        for loop, counts in zip(self._loops, before):
            tap.note(f"{loop.step.name}: {difference(loop.counts, counts)}")

    def close(self) -> None:
        """Ends the loads, and checks the contents of the volume."""
        with self._stack:
            loops.stop(self._loops, options.limit)
            self._volume.check()
        for loop in self._loops:
            tap.note(f"{loop.step.name}: {loop.counts}")
        for number in reference.devices():
            tap.wait_until(
                lambda: reference.status(number)["sessions"] == 0, LONG, "no session is left"
            )


def difference(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    """Returns the difference of two sets of counts."""
    return {outcome: after[outcome] - before[outcome] for outcome in after}


STAGE = Stage()
guard = loops.Guard()


@test("start: every load runs on the device")
def _() -> None:
    with guard.within(6 * LONG + options.limit):
        STAGE.open()


for PAIR in chosen():

    @test(f"{PAIR[0]} and {PAIR[1]}: every algorithm works afterwards")
    def _(pair: tuple[str, str] = PAIR) -> None:
        with guard.within(options.seconds + 4 * LONG):
            STAGE.run(pair)


@test("end: the loads end, the volume is correct")
def _() -> None:
    with guard.within(LONG + options.limit):
        STAGE.close()
    for name, counts in totals.items():
        tap.note(f"{name}: {counts}")


tap.note(f"seed {options.seed}")
tap.run()
