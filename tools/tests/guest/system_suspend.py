#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The machine sleeps and wakes up, and hibernates, while a volume is being written and a program has
a transform: nobody loses anything, and the device works for them again.

usage: system_suspend.py [--stateless]

For a guest whose root is in its memory, with a reference device. It sleeps with nothing but its
memory kept: all devices have been reset when it wakes up. It hibernates as the kernel does to test
that: its memory is written to the disk, and at once, without a boot in between, all devices are
stopped and the memory is read back. With --stateless keys have no sessions.
"""

import argparse
import subprocess
import time
from pathlib import Path

from lib import afalg, module, plug, tap
from lib.active_users import LONG, ActiveUsers, setting_keys, wait_passed
from lib.kernel_log import KernelLog
from lib.tap import check, check_equal, test

POWER = Path("/sys/power")
ALARM = Path("/sys/class/rtc/rtc0/wakealarm")
# Seconds after which the alarm rings: the machine has to be asleep by then.
NAP = 15
TIMES = 3
DISK = "/dev/vda"
# The least that the memory of a guest comes to on the disk: packed it is some sixty megabytes.
IMAGE = 20 << 20

parser = argparse.ArgumentParser()
parser.add_argument("--stateless", action="store_true")
options = parser.parse_args()
log = KernelLog()


class Held:
    """What the tests share."""

    users: ActiveUsers


def slept() -> int:
    """How often the machine has slept."""
    return int((POWER / "suspend_stats/success").read_text())


def sleep() -> None:
    """The machine sleeps until the alarm rings."""
    (POWER / "mem_sleep").write_text("deep")
    before = slept()
    ALARM.write_text("0")
    ALARM.write_text(f"+{NAP}")
    (POWER / "state").write_text("mem")
    failed = (POWER / "suspend_stats/last_failed_step").read_text().strip()
    check_equal(slept(), before + 1, f"times it has slept; {failed}")


def disk_traffic() -> tuple[int, int]:
    """Bytes that QEMU has read from the guest's disk, and has written to it."""
    [disk] = plug.qmp("query-blockstats")
    return disk["stats"]["rd_bytes"], disk["stats"]["wr_bytes"]


def hibernate() -> None:
    """The machine's memory goes to the disk, and comes back from there."""
    (POWER / "disk").write_text("test_resume")
    before = disk_traffic()
    (POWER / "state").write_text("disk")
    read, written = (after - count for after, count in zip(disk_traffic(), before, strict=True))
    check(written > IMAGE and read > IMAGE, f"{written} bytes written, {read} read")


@test("the device works for a program and for a volume")
def _() -> None:
    Held.users = ActiveUsers(sessions=0 if options.stateless else 4)
    Held.users.works("at first")


@test(f"{TIMES} times the machine sleeps, and the device works when it wakes up")
def _() -> None:
    for number in range(TIMES):
        sleep()
        Held.users.works(f"time {number}")


@test("it sleeps while keys are set all the time")
def _() -> None:
    with setting_keys():
        sleep()
        time.sleep(0.5)
    Held.users.works("afterwards")


@test("it sleeps during the self-tests, which pass all the same")
def _() -> None:
    module.unbind()
    module.bind(LONG)
    sleep()
    wait_passed()
    Held.users.works("afterwards")


@test("it hibernates twice while keys are set all the time, and the device works afterwards")
def _() -> None:
    subprocess.run(["modprobe", "virtio_blk"], check=True)
    tap.wait_until(Path(DISK).exists, LONG, "the disk is there")
    subprocess.run(["/busybox", "mkswap", DISK], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["/busybox", "swapon", DISK], check=True)
    for number in range(2):
        with setting_keys():
            hibernate()
            time.sleep(0.5)
        Held.users.works(f"time {number}")


@test("the files are those that were written, and nobody has left a session")
def _() -> None:
    Held.users.close()


@test("the kernel has nothing to report")
def _() -> None:
    log.check_quiet()


afalg.prepare()
tap.run()
