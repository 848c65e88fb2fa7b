#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The machine sleeps and wakes up, while a volume is being written and a program has a transform:
nobody loses anything, and the device works for them again.

usage: machine_sleep.py

For a guest whose root is in its memory, with a reference device. It sleeps with nothing but its
memory kept: all devices have been reset when it wakes up.
"""

import time
from pathlib import Path

from lib import afalg, module, tap
from lib.kernel_log import KernelLog
from lib.tap import check_equal, holds
from lib.users import LONG, Users, setting_keys, wait_passed

POWER = Path("/sys/power")
ALARM = Path("/sys/class/rtc/rtc0/wakealarm")
# Seconds after which the alarm rings: the machine has to be asleep by then.
NAP = 8
TIMES = 3

log = KernelLog()


class Held:
    """What the tests share."""

    users: Users


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


@holds("the device works for a program and for a volume")
def _() -> None:
    Held.users = Users()
    Held.users.works("at first")


@holds(f"{TIMES} times the machine sleeps, and the device works when it wakes up")
def _() -> None:
    for number in range(TIMES):
        sleep()
        Held.users.works(f"time {number}")


@holds("it sleeps while keys are set all the time")
def _() -> None:
    with setting_keys():
        sleep()
        time.sleep(0.5)
    Held.users.works("afterwards")


@holds("it sleeps during the self-tests, which pass all the same")
def _() -> None:
    module.unbind()
    module.bind(LONG)
    sleep()
    wait_passed()
    Held.users.works("afterwards")


@holds("the files are those that were written, and nobody has left a session")
def _() -> None:
    Held.users.close()


@holds("the kernel has nothing to report")
def _() -> None:
    log.check_quiet()


afalg.prepare()
tap.run()
