#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Two events in the life of a device happen at random at the same time, under load; then two others.

usage: pairs.py [--seconds N] [--seed SEED] [--pairs N] [--limit SECONDS] [EVENT EVENT]...

The events are those of lib/events.py:
  reset        the PCI function is reset through sysfs
  bind         the device is unbound and bound
  rmmod        the module is unloaded and loaded
  unplug       the device is unplugged and plugged in again
  needs-reset  the device sets DEVICE_NEEDS_RESET (a vfio device)
  silence      the device does not answer a request (a reference device)
  ready        HW_READY is cleared and set (a reference device)
  setkey       keys are set as fast as possible
  users        users of all algorithms come and go
  cpus         a CPU goes offline and online
  sleep        the device is suspended and resumed (vc_sleep.ko in /mnt/share)
  debugfs      the files in debugfs are read

The pairs that are named run, and with --pairs so many others in addition, chosen by the seed; without
either all pairs run. A pair takes N seconds. Meanwhile a volume is written and read, programs and the
kernel make requests, and data goes through IPsec. No result may be wrong, no request be lost or be
completed twice, no step take longer than the limit. After each pair every algorithm must work on the
device, no request be in flight, and the kernel have nothing to report.

Requests in place may fail while the pair has needs-reset or silence, as the user guide says. They are
counted.

For a guest with one device, vc_sleep.ko and vc_fault.ko in /mnt/share, and no self-tests
(cryptomgr.notests=1), which would keep the module in use.
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
# The kernel warns when a device is removed whose registers read ones, as during a reset of its
# function.
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
# To make a tunnel takes long: while the module is unloaded again and again there is none.
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
    """Returns what debugfs says of each device that is bound."""
    found = {}
    for name in module.find():
        with contextlib.suppress(OSError):
            text = (events.DEBUGFS / name / "status").read_text()
            found[name] = dict(re.findall(r"^(.*?): (.*)$", text, re.M))
    return found


def returned() -> int:
    """Returns how many requests the devices have returned since they were bound."""
    return sum(
        int(number)
        for state in states().values()
        for value in state.values()
        for number in re.findall(r"(\d+) completed", value)
    )


def all_idle() -> bool:
    """No device has a request, and none waits for room."""
    return all(
        re.match(r"0 in flight(, 0 backlogged.*)?$", value)
        for state in states().values()
        for value in state.values()
        if "in flight" in value
    )


def check_ready() -> None:
    """Waits until every device is ready. One that was disabled is bound again, as the user guide
    says."""

    def ready() -> bool:
        found = states()
        for name, state in found.items():
            if state["state"] == "disabled":
                tap.note(f"{name} was disabled; it is bound again")
                (module.DRIVER / "unbind").write_text(name)
                (module.DRIVER / "bind").write_text(name)
        names = module.find()
        return bool(names) and all(found.get(name, {}).get("state") == "ready" for name in names)

    try:
        tap.wait_until(ready, LONG, "the device is ready")
    except tap.Failure as failure:
        raise tap.Failure(f"{failure}: {states()}") from None


def check_algorithms() -> None:
    """Every algorithm gives the right results, and the device has done some of the work of each."""
    module.wait_registered(LONG)
    for subject in loads.subjects():

        def works(subject: fault_requests.Subject = subject) -> bool:
            before = returned()
            result = fault_requests.run(subject, 4)
            tap.check_equal(str(result), "4 right", f"{subject.driver} afterwards")
            return returned() > before

        tap.wait_until(works, LONG, f"the device works for {subject.driver}")


def check_log(log: KernelLog) -> None:
    """Fails the test if the kernel has reported anything that is not expected."""
    bad = [line for line in log.matching(TROUBLE.pattern) if not EXPECTED.search(line)]
    tap.check(not bad, "the kernel says:\n" + "\n".join(bad[:20]))


class Stage:
    """The loads, from the first pair to the last one."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._loops: list[Loop] = []

    def open(self) -> None:
        """Starts the loads, and waits until the device works for each."""
        check_ready()
        disk = self._stack.enter_context(volume.disk(loads.SIZE >> 20))
        self._volume = loads.Volume(disk, lossy)
        steps = (self._volume, loads.Programs(), loads.Requests(lossy))
        self._loops = [Loop(step, chance.getrandbits(32), gate) for step in steps]
        self._loops.append(Loop(loads.Tunnel(), chance.getrandbits(32), tunnel_gate))
        # The first step of a load modprobes what it needs, which takes minutes beside other loads.
        for loop in reversed(self._loops):
            loop.start()
            self._go_on([loop])
        self._check_algorithms()

    @staticmethod
    def _check_algorithms() -> None:
        """Lets the loads pause, and looks at the device alone."""
        with gate.closed(PARK, options.limit), tunnel_gate.closed(PARK, options.limit):
            tap.wait_until(all_idle, LONG, "no request is in flight")
            check_algorithms()

    def _go_on(self, awaited: list[Loop]) -> None:
        """Waits until every load that is awaited has got on."""
        before = {loop: loop.counts[DONE] for loop in awaited}

        def more() -> bool:
            for loop in self._loops:
                loop.check(options.limit)
            return all(loop.counts[DONE] > count for loop, count in before.items())

        # After rmmod there is no tunnel; the debug kernel takes minutes to make one.
        tap.wait_until(more, max(LONG, options.limit), "all loads get on")

    def run(self, names: tuple[str, str]) -> None:
        """Has two events happen, and checks what is left of them."""
        log = KernelLog()
        pair = [EVENTS[name] for name in names]
        happening = [Loop(event, chance.getrandbits(32)) for event in pair]
        lossy.set(any(event.loses_requests for event in pair))
        # No device is disabled for what happened in an earlier pair.
        before = [loop.counts for loop in self._loops]
        with contextlib.ExitStack() as stack:
            if "rmmod" in names:
                stack.enter_context(tunnel_gate.closed(RELEASE, options.limit))
            for event in pair:
                stack.callback(event.settle)
            for loop in happening:
                loop.start()
            stack.callback(loops.stop, happening, options.limit)
            loops.watch([*happening, *self._loops], options.seconds, options.limit)
        check_ready()
        self._go_on(self._loops)
        lossy.set(False)
        self._check_algorithms()
        check_log(log)
        for loop in happening:
            name, counts = loop.step.name, loop.counts
            for outcome, count in counts.items():
                totals[name][outcome] += count
            tap.note(f"{name}: {counts}")
            tap.check(counts[DONE], f"{name} has not happened")
        for loop, counts in zip(self._loops, before):
            tap.note(f"{loop.step.name}: {difference(loop.counts, counts)}")

    def close(self) -> None:
        """Ends the loads, and compares the volume."""
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
    """Returns what was counted in between."""
    return {outcome: after[outcome] - before[outcome] for outcome in after}


STAGE = Stage()
guard = loops.Guard()


@test("every load works on the device")
def _() -> None:
    with guard.within(6 * LONG + options.limit):
        STAGE.open()


for PAIR in chosen():

    @test(f"{PAIR[0]} against {PAIR[1]}: every algorithm works afterwards")
    def _(pair: tuple[str, str] = PAIR) -> None:
        with guard.within(options.seconds + 4 * LONG):
            STAGE.run(pair)


@test("the loads end, and the volume is right")
def _() -> None:
    with guard.within(LONG + options.limit):
        STAGE.close()
    for name, counts in totals.items():
        tap.note(f"{name}: {counts}")


tap.note(f"seed {options.seed}")
tap.run()
