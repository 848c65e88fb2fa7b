#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The machine sleeps and wakes up, while a volume is being written and a program has a transform:
nobody loses anything, and the device works for them again.

usage: machine_sleep.py [--times N]

For a guest whose root is in its memory, with a reference device. It sleeps with nothing but its
memory kept: all devices have been reset when it wakes up.
"""

import argparse
import threading
import time
from pathlib import Path

from lib import afalg, crypto, module, tap
from lib.kernel_log import KernelLog
from lib.tap import check, check_equal, holds, wait_until
from lib.users import KEY, LONG, Users, check_right

POWER = Path("/sys/power")
ALARM = Path("/sys/class/rtc/rtc0/wakealarm")
# Seconds after which the alarm rings: the machine has to be asleep by then.
NAP = 8

parser = argparse.ArgumentParser()
parser.add_argument("--times", type=int, default=3)
options = parser.parse_args()
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


@holds(f"{options.times} times the machine sleeps, and the device works when it wakes up")
def _() -> None:
    for number in range(options.times):
        sleep()
        Held.users.works(f"time {number}")


@holds("it sleeps while keys are set all the time")
def _() -> None:
    errors: list[str] = []
    stop = threading.Event()

    def keys() -> None:
        try:
            with afalg.Transform(crypto.SYNC) as other:
                while not stop.is_set():
                    other.set_key(KEY[:16])
                    other.set_key(KEY)
                check_right(other, "its last key")
        except (OSError, tap.Failure) as error:
            errors.append(repr(error))

    threads = [threading.Thread(target=keys) for _ in range(3)]
    for thread in threads:
        thread.start()
    sleep()
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    check(not errors, "; ".join(errors))
    Held.users.works("afterwards")


@holds("it sleeps during the self-tests, which pass all the same")
def _() -> None:
    module.unbind()
    module.bind(LONG)
    sleep()
    wait_until(lambda: all(alg.passed for alg in crypto.ours().values()), LONG, "they have passed")
    Held.users.works("afterwards")


@holds("the files are those that were written, and nobody has left a session")
def _() -> None:
    Held.users.close()


@holds("the kernel has nothing to report")
def _() -> None:
    log.check_quiet()


afalg.prepare()
tap.run()
