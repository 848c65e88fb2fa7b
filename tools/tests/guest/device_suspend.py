#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The device sleeps and wakes up, as it does when the machine sleeps or hibernates, while a volume is
being written and a program has a transform: nobody loses anything, and the device works for them
again.

usage: device_suspend.py

For a guest with a reference device, and vc_sleep.ko in /mnt/share. Those who use the device are not
frozen, as they would be if the machine slept: whatever they ask for while the device sleeps is
software's. Neither falling asleep nor waking up may take long.
"""

import time
from pathlib import Path

from lib import afalg, crypto, module, reference, sleep, tap
from lib.active_users import KEY, LONG, ActiveUsers, check_right, served, setting_keys, wait_passed
from lib.kernel_log import KernelLog
from lib.tap import check_equal, test, wait_until

log = KernelLog()


class Held:
    """What the tests share."""

    users: ActiveUsers


@test("400 times the device sleeps: no memory is needed for each time")
def _() -> None:
    sleep.load()
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "the self-tests are over")
    if Path("/sys/kernel/debug/kmemleak").exists():
        raise tap.Skip("the debug kernel keeps what is freed for a while")
    check_equal(sleep.grown(), {}, "what has grown")


@test("the device works for a program and for a volume")
def _() -> None:
    Held.users = ActiveUsers()
    Held.users.works("at first")


@test("10 times the device sleeps: software goes on, and no session is left there")
def _() -> None:
    for number in range(10):
        with sleep.sleeping():
            check_equal(reference.status()["sessions"], 0, "sessions of a device that sleeps")
            before = served()
            check_right(Held.users.transform, "asleep")
            Held.users.writer.goes_on(LONG)
            with afalg.Transform(crypto.SYNC, KEY) as other:
                check_right(other, "a new one")
            check_equal(served(), before, "requests served by a device that sleeps")
        Held.users.works(f"time {number}")


@test("20 times it hardly sleeps at all")
def _() -> None:
    for _ in range(20):
        with sleep.sleeping():
            pass
    Held.users.works("afterwards")


@test("it sleeps and wakes up while keys are set all the time")
def _() -> None:
    with setting_keys():
        for _ in range(10):
            time.sleep(0.2)
            with sleep.sleeping():
                time.sleep(0.1)
    Held.users.works("afterwards")


@test("a device that sleeps during the self-tests has them pass all the same")
def _() -> None:
    module.unbind()
    module.bind(LONG)
    for number in range(5):
        time.sleep(0.1)
        with sleep.sleeping():
            time.sleep(0.05 * number)
    wait_passed()
    Held.users.works("afterwards")


@test("the files are those that were written, and nobody has left a session")
def _() -> None:
    Held.users.close()


@test("the kernel has nothing to report")
def _() -> None:
    log.check_quiet()


afalg.prepare()
tap.run()
