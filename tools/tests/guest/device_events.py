#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""A LUKS volume under load stays intact while events happen to its device.

usage: device_events.py [--tunnel] [--soak SECONDS] [--seed SEED] EVENT...

With --tunnel the workload is a connection through IPsec instead of a volume.

For a guest with the module parameter prefer=1. The events are
  needs-reset  the device sets DEVICE_NEEDS_RESET, 20 times (a vfio device)
  silence      the device does not complete a request, 5 times (a reference device)
  faults       the device has a fault for a second, 20 times (a reference device)
  ready        HW_READY is 0 for a while, 10 times (a reference device)
  rebind       every device is unbound and bound again, 10 times
  reset        the PCI function is reset through sysfs, 5 times
  unplug       the device is unplugged and plugged in again, 3 times
  fail-over    one of two devices is unplugged and plugged in again; then the other one
With --soak the events happen in a random order from SEED, for SECONDS.

No request may fail, and no file may change. At the end the kernel's own cipher must read the same
files. A connection must neither break nor change data.
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

LONG = 300  # time limit in seconds
# Faults after which every request still completes with the correct result.
FAULTS = """
    delay:value=20 reorder used-len-short used-len-long used-len-zero no-interrupt:count=5
    duplicate-used:count=1 wrong-id:queue=0:count=1 wrong-id:queue=control:count=1 refuse-operation
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


workload: Workload = Tunnel() if options.tunnel else Volume()


def served() -> int:
    """Returns how many requests all devices have served."""
    numbers = reference.devices()
    statuses = [reference.status(number) for number in numbers]
    return (
        sum(reference.data_requests(status, status="OK") for status in statuses)
        if numbers
        else host.read_stats().total
    )


def wait_until_served(what: str) -> None:
    """Waits until a device serves the workload, and the workload makes progress."""

    def is_served() -> bool:
        before = served()
        workload.wait_for_progress(LONG)
        return served() > before

    wait_until(is_served, LONG, f"{what}: a device serves the {workload.what}")


def restarts() -> int:
    """Returns how often the driver has restarted a device."""
    return len(log.matching("device reset and restarted"))


def is_ready() -> bool:
    """Returns true if a device is ready."""
    states = Path("/sys/kernel/debug", crypto.MODULE).glob("virtio*/status")
    return any("state: ready\n" in path.read_text() for path in states)


@test(f"{workload.what}: uses the device")
def _() -> None:
    workload.open()
    wait_until_served("start")


def needs_reset(round_: int) -> None:
    """The device sets DEVICE_NEEDS_RESET after some requests."""
    before = restarts()
    with reference.faulty(f"needs-reset:queue=0:after={round_ * 7}:count=1"):
        wait_until(lambda: restarts() > before, LONG, "a restart")


def silence(round_: int) -> None:
    """The device does not complete a request."""
    before = restarts()
    with reference.faulty(f"never-answer:queue=0:after={round_ * 5}:count=1"):
        wait_until(lambda: restarts() > before, LONG, "a restart")


def faults(_: int) -> None:
    """The device has a random fault. The faults leave input data intact, because dm-crypt decrypts
    in place, and the fallback must be able to repeat a request."""
    with reference.faulty(chance.choice(FAULTS)):
        time.sleep(1)
        workload.wait_for_progress(LONG)
    reference.command(command="ready", ready=True)


def ready(_: int) -> None:
    """The device is not ready for a while."""
    reference.command(command="ready", ready=False)
    wait_until(lambda: not is_ready(), LONG, "not ready")
    workload.wait_for_progress(LONG)
    reference.command(command="ready", ready=True)


def rebind(_: int) -> None:
    """Every device is unbound and bound again."""
    for name in module.devices():
        (module.DRIVER / "unbind").write_text(name)
    workload.wait_for_progress(LONG)
    for name in module.devices():
        (module.DRIVER / "bind").write_text(name)


def reset(_: int) -> None:
    """The PCI function is reset, as before passing it to a virtual machine."""
    for name in module.devices():
        file = (module.DEVICES / name).resolve().parent / "reset"
        if not file.exists():
            raise tap.Skip("PCI cannot reset this function")
        file.write_text("1")


def unplug(_: int) -> None:
    """The only device is unplugged and plugged in again."""
    plug = Plug()
    plug.pull()
    workload.wait_for_progress(LONG)
    plug.push()


def fail_over(round_: int) -> None:
    """One of two devices is unplugged and plugged in again. The other one serves the workload."""
    numbers = reference.devices()
    check_equal(len(numbers), 2, "devices")
    plug, other = Plug(numbers[round_ % 2]), numbers[1 - round_ % 2]
    plug.pull()

    def is_served() -> bool:
        before = reference.data_requests(reference.status(other), status="OK")
        workload.wait_for_progress(LONG)
        return reference.data_requests(reference.status(other), status="OK") > before

    wait_until(is_served, LONG, f"device {other} serves the {workload.what}")
    plug.push()
    # New sessions are distributed over both devices again.
    wait_until(lambda: gets_sessions(plug.number), LONG, f"device {plug.number} is used again")


def gets_sessions(number: int) -> bool:
    """Returns true if a device gets at least 4 of the sessions of 8 new transforms."""
    before = reference.status(number)["sessions"]
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(afalg.Transform(crypto.SYNC, os.urandom(16)))
        time.sleep(0.1)
        return bool(reference.status(number)["sessions"] >= before + 4)


EVENTS: dict[str, tuple[str, int, Callable[[int], None]]] = {
    "needs-reset": ("20 times DEVICE_NEEDS_RESET", 20, needs_reset),
    "silence": ("5 request timeouts", 5, silence),
    "faults": ("20 faults of the device", 20, faults),
    "ready": ("10 times not ready", 10, ready),
    "rebind": ("10 times unbind and bind", 10, rebind),
    "reset": ("5 resets of the PCI function", 5, reset),
    "unplug": ("3 times unplug and plug in", 3, unplug),
    "fail-over": ("fail-over from an unplugged device to another", 2, fail_over),
}


def run_event(name: str, round_: int) -> None:
    """Runs an event, and waits until a device serves the workload again."""
    EVENTS[name][2](round_)
    wait_until_served(f"{name}, round {round_}")


def soak() -> None:
    """Runs random events."""
    end = time.monotonic() + options.soak
    counts = dict.fromkeys(options.events, 0)
    while time.monotonic() < end:
        name = chance.choice(options.events)
        run_event(name, counts[name] % 20)
        counts[name] += 1
        # The driver disables a device that fails more than 60 times in ten minutes.
        time.sleep(chance.uniform(0, 5))
    tap.note(f"seed {options.seed}; {counts}")
    check(all(counts.values()), "an event did not happen")


if options.soak:
    test(f"random events for {options.soak} s: the {workload.what} works")(soak)
else:
    for EVENT in options.events:

        @test(f"{EVENTS[EVENT][0]}: the {workload.what} works")
        def _(name: str = EVENT) -> None:
            for round_ in range(EVENTS[name][1]):
                run_event(name, round_)


@test(f"{workload.what}: no request failed, data unchanged")
def _() -> None:
    workload.close()
    log.check_quiet()


@test("no transforms: the device has no session")
def _() -> None:
    for number in reference.devices():
        wait_until(lambda: reference.status(number)["sessions"] == 0, 60, f"no session on {number}")


afalg.prepare()
tap.run()
