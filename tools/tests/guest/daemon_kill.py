#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The daemon is killed and restarted while the guest writes and reads a LUKS volume: no request
fails, and no data are lost.

usage: daemon_kill.py [--seed SEED] [--away SECONDS] KILLS

For a guest with a daemon device to which QEMU reconnects, and the module loaded with prefer=1. The
daemon is killed KILLS times, at random moments under load, and is restarted with the same command
line after at most SECONDS. Meanwhile requests time out. The driver must reset and restart the
device, and re-establish the sessions. No request may fail, and each file must have the contents
that were written. At the end the kernel's own cipher reads the volume.

QEMU 11.1 crashes if the daemon is killed while the guest resets the device. So the test waits after
each kill until the device completes requests.
"""

import argparse
import random
import time

from lib import afalg, driver_state, tap, workloads
from lib.kernel_log import KernelLog
from lib.plug import qmp
from lib.tap import check, test, wait_until

LONG = 300  # time limit in seconds

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--away", type=float, default=1.5)
parser.add_argument("kills", type=int)
options = parser.parse_args()
chance = random.Random(options.seed)
volume = workloads.Volume()
log = KernelLog()


def device_completes_requests() -> bool:
    """Waits for progress of the volume. Returns true if the device has completed requests."""
    before = driver_state.completed()
    volume.wait_for_progress(LONG)
    return driver_state.completed() > before


@test("volume: uses the device")
def _() -> None:
    volume.open()
    wait_until(device_completes_requests, LONG, "the device completes requests")


@test(f"daemon killed {options.kills} times (seed {options.seed}): the volume works")
def _() -> None:
    slowest = 0.0
    for number in range(options.kills):
        time.sleep(chance.uniform(0.3, 2.3))
        qmp("daemon-restart", signal="SIGKILL", after=chance.uniform(0, options.away))
        started = time.monotonic()
        event = f"the device completes requests after kill {number + 1}"
        wait_until(device_completes_requests, LONG, event)
        slowest = max(slowest, time.monotonic() - started)
    tap.note(f"slowest recovery: {slowest:.1f} s; {driver_state.restarts()} restarts")
    tap.note(f"requests on the fallback: {driver_state.fallbacks()}")
    check(driver_state.restarts() >= options.kills, "the driver has not restarted the device each time")


@test("volume: no request failed, data unchanged")
def _() -> None:
    volume.close()
    log.check_quiet()


afalg.prepare()
tap.run()
