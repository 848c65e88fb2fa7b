#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""A LUKS volume that is written and read all the time survives that its device's daemon is killed, and
started again by the same command line.

usage: daemon_kill.py [--seed SEED] [--away SECONDS] KILLS

For a guest with a daemon device to which QEMU connects again, and the module loaded with prefer=1. The
daemon is killed in the middle of requests, at random moments, and stays away for up to SECONDS. QEMU 11.1
crashes if that happens while the guest resets the device, so each kill waits until the device works. The
driver's requests time out. It must reset and restart the device, and create its sessions again. No
request may fail, no file be another than was written. In the end the kernel's own cipher reads the
volume.
"""

import argparse
import random
import time

from lib import afalg, driver_state, tap, workloads
from lib.kernel_log import KernelLog
from lib.plug import qmp
from lib.tap import check, test, wait_until

LONG = 300

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--away", type=float, default=1.5)
parser.add_argument("kills", type=int)
options = parser.parse_args()
chance = random.Random(options.seed)
stage = workloads.Volume()
log = KernelLog()


def works() -> bool:
    """The device completes requests of the volume."""
    before = driver_state.completed()
    stage.wait_for_progress(LONG)
    return driver_state.completed() > before


@test("the device works for a volume")
def _() -> None:
    stage.open()
    wait_until(works, LONG, "the device works")


@test(f"the daemon is killed {options.kills} times (seed {options.seed}): the volume notices nothing")
def _() -> None:
    slowest = 0.0
    for number in range(options.kills):
        time.sleep(chance.uniform(0.3, 2.3))
        qmp("daemon-restart", signal="SIGKILL", after=chance.uniform(0, options.away))
        started = time.monotonic()
        wait_until(works, LONG, f"the device works after kill {number + 1}")
        slowest = max(slowest, time.monotonic() - started)
    tap.note(f"the device worked again after {slowest:.1f} s at most; {driver_state.restarts()} restarts")
    tap.note(f"requests on the fallback: {driver_state.fallbacks()}")
    check(driver_state.restarts() >= options.kills, "the driver has not restarted the device each time")


@test("no request has failed, and the volume is as it should be")
def _() -> None:
    stage.close()
    log.check_quiet()


afalg.prepare()
tap.run()
