#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""A LUKS volume that is written and read all the time survives what happens to its device.

usage: device_events.py [--tunnel] [--soak SECONDS] [--seed SEED] EVENT...

With --tunnel it is a connection through IPsec that does.

For a guest whose module was loaded with prefer=1. An EVENT is one of
  needs-reset  the device asks to be reset, 20 times (a vfio device)
  silence      the device does not answer, 5 times (a reference device)
  faults       the device has a fault for a second, 20 times (a reference device)
  ready        the device says it is not ready, and is ready again, 10 times (a reference device)
  rebind       every device is unbound and bound again, 10 times
  reset        somebody resets the PCI function, 5 times
  unplug       the device is unplugged, and plugged in again, 3 times
  fail-over    of two devices one is unplugged, and comes back; then the other
With --soak they happen in an order chosen by SEED, until so many seconds are over.

No request may fail meanwhile, no file be another than was written; when all is over software reads
the volume, and finds all there is. A connection must not break, nor change what is said.
"""

import argparse
import contextlib
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from lib import afalg, crypto, host, module, reference, tap
from lib.kernel_log import KernelLog
from lib.plug import Plug
from lib.tap import check, check_equal, test, wait_until
from lib.workloads import Tunnel, Volume, Workload

LONG = 300
# What no request is harmed by.
FAULTS = """
    delay:value=20 reorder used-len-short used-len-long used-len-zero no-interrupt:count=5
    answer-twice:count=1 wrong-id:queue=0:count=1 wrong-id:queue=control:count=1 refuse-operation
    refuse-create refuse-destroy:count=2 table-full session-forgotten:count=1 toggle-ready:value=50
    config-storm:value=1
""".split()

parser = argparse.ArgumentParser()
parser.add_argument("--tunnel", action="store_true")
parser.add_argument("--soak", type=int, default=0)
parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
parser.add_argument("events", nargs="+")
options = parser.parse_args()
chance = random.Random(options.seed)
log = KernelLog()


stage: Workload = Tunnel() if options.tunnel else Volume()


def served() -> int:
    """What all devices have done."""
    numbers = reference.devices()
    statuses = [reference.status(number) for number in numbers]
    return (
        sum(reference.data_requests(status, status="OK") for status in statuses)
        if numbers
        else host.read_stats().total
    )


def works(what: str) -> None:
    """Waits until a device works for it, and it gets on."""

    def does() -> bool:
        before = served()
        stage.goes_on(LONG)
        return served() > before

    wait_until(does, LONG, f"{what}: a device works for the {stage.what}")


def restarts() -> int:
    """How often the driver has started a device again."""
    return len(log.matching("device reset and restarted"))


def is_ready() -> bool:
    """Some device is ready."""
    states = Path("/sys/kernel/debug", crypto.MODULE).glob("virtio*/status")
    return any("state: ready\n" in path.read_text() for path in states)


@test(f"the device works for a {stage.what}")
def _() -> None:
    stage.open()
    works("at first")


def needs_reset(round_: int) -> None:
    """In the middle of its work."""
    before = restarts()
    with reference.faulty(f"needs-reset:queue=0:after={round_ * 7}:count=1"):
        wait_until(lambda: restarts() > before, LONG, "a restart")


def silence(round_: int) -> None:
    """A request gets no answer."""
    before = restarts()
    with reference.faulty(f"never-answer:queue=0:after={round_ * 5}:count=1"):
        wait_until(lambda: restarts() > before, LONG, "a restart")


def faults(_: int) -> None:
    """One that does not damage what it is given to work on, as dm-crypt reads in place."""
    with reference.faulty(chance.choice(FAULTS)):
        time.sleep(1)
        stage.goes_on(LONG)
    reference.command(command="ready", ready=True)


def ready(_: int) -> None:
    """It is not, for a while."""
    reference.command(command="ready", ready=False)
    wait_until(lambda: not is_ready(), LONG, "it is not ready")
    stage.goes_on(LONG)
    reference.command(command="ready", ready=True)


def rebind(_: int) -> None:
    """By hand."""
    for name in module.devices():
        (module.DRIVER / "unbind").write_text(name)
    stage.goes_on(LONG)
    for name in module.devices():
        (module.DRIVER / "bind").write_text(name)


def reset(_: int) -> None:
    """As for a virtual machine that is given the function."""
    for name in module.devices():
        file = (module.DEVICES / name).resolve().parent / "reset"
        if not file.exists():
            raise tap.Skip("the transport cannot reset this function")
        file.write_text("1")


def unplug(_: int) -> None:
    """And nothing else there that could work."""
    plug = Plug()
    plug.pull()
    stage.goes_on(LONG)
    plug.push()


def fail_over(round_: int) -> None:
    """Each of two in turn."""
    numbers = reference.devices()
    check_equal(len(numbers), 2, "devices")
    plug, other = Plug(numbers[round_ % 2]), numbers[1 - round_ % 2]
    plug.pull()

    def does() -> bool:
        before = reference.data_requests(reference.status(other), status="OK")
        stage.goes_on(LONG)
        return reference.data_requests(reference.status(other), status="OK") > before

    wait_until(does, LONG, f"device {other} works for the {stage.what}")
    plug.push()
    # New keys go to both again.
    wait_until(lambda: spread(plug.number), LONG, f"device {plug.number} is used again")


def spread(number: int) -> bool:
    """A device gets some of the keys that are set."""
    before = reference.status(number)["sessions"]
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(afalg.Transform(crypto.SYNC, os.urandom(16)))
        time.sleep(0.1)
        return bool(reference.status(number)["sessions"] >= before + 4)


EVENTS: dict[str, tuple[str, int, Callable[[int], None]]] = {
    "needs-reset": ("20 times the device asks to be reset", 20, needs_reset),
    "silence": ("5 times the device does not answer", 5, silence),
    "faults": ("20 times the device has a fault", 20, faults),
    "ready": ("10 times the device is not ready for a while", 10, ready),
    "rebind": ("10 times all devices are unbound and bound", 10, rebind),
    "reset": ("5 times the PCI function is reset", 5, reset),
    "unplug": ("3 times the device is unplugged and plugged in again", 3, unplug),
    "fail-over": ("one device works for what another one did that is unplugged", 2, fail_over),
}


def happens(name: str, round_: int) -> None:
    """An event, after which a device works for the volume again."""
    EVENTS[name][2](round_)
    works(f"{name}, round {round_}")


def soak() -> None:
    """Whatever happens, for a long time."""
    end = time.monotonic() + options.soak
    counts = dict.fromkeys(options.events, 0)
    while time.monotonic() < end:
        name = chance.choice(options.events)
        happens(name, counts[name] % 20)
        counts[name] += 1
        # A device that fails more than 60 times in ten minutes is given up.
        time.sleep(chance.uniform(0, 5))
    tap.note(f"seed {options.seed}; {counts}")
    check(all(counts.values()), "some of it did not happen")


if options.soak:
    test(f"for {options.soak} s whatever happens: the {stage.what} notices nothing")(soak)
else:
    for EVENT in options.events:

        @test(f"{EVENTS[EVENT][0]}: the {stage.what} notices nothing")
        def _(name: str = EVENT) -> None:
            for round_ in range(EVENTS[name][1]):
                happens(name, round_)


@test(f"nothing has failed, and the {stage.what} is as it should be")
def _() -> None:
    stage.close()
    log.check_quiet()


@test("no session is left when nobody has a key")
def _() -> None:
    for number in reference.devices():
        wait_until(lambda: reference.status(number)["sessions"] == 0, 60, f"none on {number}")


afalg.prepare()
tap.run()
