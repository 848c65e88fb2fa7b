#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""System suspend and hibernation while a volume is written and a program has a transform. No data
may be lost, and the device must serve both again.

usage: system_suspend.py [--stateless]

For a guest whose root file system is in memory, with a reference device. Suspend is to memory (S3),
which resets all devices. Hibernation uses the kernel's test mode "test_resume": the memory is
written to the disk; then, without a reboot, all devices are frozen and the memory is read back.
With --stateless the driver uses the stateless mode.
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
# Seconds until the wake-up alarm. The system must be suspended by then.
WAKE_UP_AFTER = 15
SUSPENDS = 3
DISK = "/dev/vda"
# Minimum size of a hibernation image. Compressed it has about 60 MB.
IMAGE = 20 << 20

parser = argparse.ArgumentParser()
parser.add_argument("--stateless", action="store_true")
options = parser.parse_args()
log = KernelLog()


class Shared:
    """State that the tests share."""

    users: ActiveUsers


def suspend_count() -> int:
    """Returns how often the system was suspended."""
    return int((POWER / "suspend_stats/success").read_text())


def suspend() -> None:
    """Suspends the system until the alarm."""
    (POWER / "mem_sleep").write_text("deep")
    before = suspend_count()
    ALARM.write_text("0")
    ALARM.write_text(f"+{WAKE_UP_AFTER}")
    (POWER / "state").write_text("mem")
    failed = (POWER / "suspend_stats/last_failed_step").read_text().strip()
    check_equal(suspend_count(), before + 1, f"suspends; {failed}")


def disk_traffic() -> tuple[int, int]:
    """Returns how many bytes QEMU has read from and written to the guest's disk."""
    [disk] = plug.qmp("query-blockstats")
    return disk["stats"]["rd_bytes"], disk["stats"]["wr_bytes"]


def hibernate() -> None:
    """Hibernates: the memory is written to the disk, and read back."""
    (POWER / "disk").write_text("test_resume")
    before = disk_traffic()
    (POWER / "state").write_text("disk")
    read, written = (after - count for after, count in zip(disk_traffic(), before, strict=True))
    check(written > IMAGE and read > IMAGE, f"{written} bytes written, {read} read")


@test("start: the device serves a program and a volume")
def _() -> None:
    Shared.users = ActiveUsers(sessions=0 if options.stateless else 4)
    Shared.users.wait_until_served("start")


@test(f"{SUSPENDS} suspends: the device works after each resume")
def _() -> None:
    for number in range(SUSPENDS):
        suspend()
        Shared.users.wait_until_served(f"resume {number}")


@test("suspend while keys are set continuously: the device works")
def _() -> None:
    with setting_keys():
        suspend()
        time.sleep(0.5)
    Shared.users.wait_until_served("after")


@test("suspend during the self-tests: they pass")
def _() -> None:
    module.unbind()
    module.bind(LONG)
    suspend()
    wait_passed()
    Shared.users.wait_until_served("after")


@test("two hibernations while keys are set continuously: the device works")
def _() -> None:
    subprocess.run(["modprobe", "virtio_blk"], check=True)
    tap.wait_until(Path(DISK).exists, LONG, "the disk is there")
    subprocess.run(["/busybox", "mkswap", DISK], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["/busybox", "swapon", DISK], check=True)
    for number in range(2):
        with setting_keys():
            hibernate()
            time.sleep(0.5)
        Shared.users.wait_until_served(f"hibernation {number}")


@test("end: files are correct, no session is left")
def _() -> None:
    Shared.users.close()


@test("no kernel reports")
def _() -> None:
    log.check_quiet()


afalg.prepare()
tap.run()
