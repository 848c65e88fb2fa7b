#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The device is frozen and restored, as in a system suspend, while a volume is written and a
program has a transform. No data may be lost, and afterwards the device must serve the volume and
the program again.

usage: device_suspend.py

For a guest with a reference device, and vc_sleep.ko in the shared folder. A system suspend freezes
user processes, too, but this test does not. Their requests run on the fallback while the device is
frozen. Freezing and restoring must not take long.
"""

import time
from pathlib import Path

from lib import afalg, crypto, module, reference, sleep, tap
from lib.active_users import KEY, LONG, ActiveUsers, check_right, served, setting_keys, wait_passed
from lib.kernel_log import KernelLog
from lib.tap import check_equal, test, wait_until

log = KernelLog()


class Shared:
    """State that the tests share."""

    users: ActiveUsers


@test("400 times frozen and restored: no memory leak")
def _() -> None:
    sleep.load()
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "the self-tests ended")
    if Path("/sys/kernel/debug/kmemleak").exists():
        raise tap.Skip("the debug kernel delays freeing memory")
    check_equal(sleep.grown(), {}, "counters that grew")


@test("start: the device serves a program and a volume")
def _() -> None:
    Shared.users = ActiveUsers()
    Shared.users.wait_until_served("start")


@test("10 times frozen: the fallback runs, the device has no session")
def _() -> None:
    for number in range(10):
        with sleep.frozen():
            check_equal(reference.status()["sessions"], 0, "sessions of the frozen device")
            before = served()
            check_right(Shared.users.transform, "frozen")
            Shared.users.writer.wait_for_progress(LONG)
            with afalg.Transform(crypto.SYNC, KEY) as other:
                check_right(other, "new transform")
            check_equal(served(), before, "requests served by the frozen device")
        Shared.users.wait_until_served(f"round {number}")


@test("20 times frozen and restored immediately: the device works")
def _() -> None:
    for _ in range(20):
        with sleep.frozen():
            pass
    Shared.users.wait_until_served("after")


@test("frozen while keys are set continuously: the device works")
def _() -> None:
    with setting_keys():
        for _ in range(10):
            time.sleep(0.2)
            with sleep.frozen():
                time.sleep(0.1)
    Shared.users.wait_until_served("after")


@test("frozen during the self-tests: they pass")
def _() -> None:
    module.unbind()
    module.bind(LONG)
    for number in range(5):
        time.sleep(0.1)
        with sleep.frozen():
            time.sleep(0.05 * number)
    wait_passed()
    Shared.users.wait_until_served("after")


@test("end: files are correct, no session is left")
def _() -> None:
    Shared.users.close()


@test("no kernel reports")
def _() -> None:
    log.check_quiet()


afalg.prepare()
tap.run()
