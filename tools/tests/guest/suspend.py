#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The device sleeps and wakes up, as it does when the machine sleeps or hibernates, while a volume is
being written and a program has a transform: nobody loses anything, and the device works for them
again.

usage: suspend.py

For a guest with a reference device, and vc_sleep.ko in /mnt/share. Those who use the device are not
frozen, as they would be if the machine slept: whatever they ask for while the device sleeps is
software's. Neither falling asleep nor waking up may take long.
"""

import contextlib
import os
import threading
import time
from pathlib import Path

from lib import afalg, ciphers, crypto, module, reference, sleep, tap, volume
from lib.kernel_log import KernelLog
from lib.tap import check, check_equal, check_same, holds, wait_until
from lib.writer import Writer, writing

LONG = 300
SIZE = 16384
KEY, IV = afalg.random_key(32)
DATA = os.urandom(SIZE)
EXPECTED = afalg.openssl(KEY, IV, DATA)
log = KernelLog()
stack = contextlib.ExitStack()


class Users:
    """Those who have something of the device's all the time."""

    writer: Writer
    transform: afalg.Transform


def served() -> int:
    """How many requests the device has served."""
    return reference.data_requests(reference.status(), status="OK")


def crypts_right(what: str) -> None:
    """A request gives what it should."""
    got = Users.transform.crypt(afalg.ENCRYPT, IV, DATA)
    check_same(got, EXPECTED, f"{what}: ciphertext")


def works(what: str) -> None:
    """Waits until the device works for everybody, as it did before, with the sessions that two keys
    have, and no others."""

    def does() -> bool:
        before = served()
        crypts_right(what)
        return served() > before

    wait_until(does, LONG, f"{what}: the device works for a transform")
    Users.writer.goes_on(LONG)
    wait_until(lambda: reference.status()["sessions"] == 4, LONG, f"{what}: 4 sessions")


@holds("400 times the device sleeps: no memory is needed for each time")
def _() -> None:
    sleep.load()
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "the self-tests are over")
    if Path("/sys/kernel/debug/kmemleak").exists():
        raise tap.Skip("the debug kernel keeps what is freed for a while")
    check_equal(sleep.grown(), {}, "what has grown")


@holds("the device works for a program and for a volume")
def _() -> None:
    disk = stack.enter_context(volume.disk(64))
    line = volume.table(disk, f"capi:{ciphers.XTS.asynchronous}-plain64", os.urandom(64), 512)
    opened = stack.enter_context(volume.mapped("asleep", line))
    volume.make_file_system(opened)
    folder = stack.enter_context(volume.mounted(opened))
    Users.writer = stack.enter_context(writing(folder))
    Users.transform = stack.enter_context(afalg.Transform(crypto.SYNC, KEY))
    works("at first")


@holds("10 times the device sleeps: software goes on, and no session is left there")
def _() -> None:
    for number in range(10):
        with sleep.sleeping():
            check_equal(reference.status()["sessions"], 0, "sessions of a device that sleeps")
            before = served()
            crypts_right("asleep")
            Users.writer.goes_on(LONG)
            with afalg.Transform(crypto.SYNC, KEY) as other:
                check_same(other.crypt(afalg.ENCRYPT, IV, DATA), EXPECTED, "a new one: ciphertext")
            check_equal(served(), before, "requests served by a device that sleeps")
        works(f"time {number}")


@holds("20 times it hardly sleeps at all")
def _() -> None:
    for _ in range(20):
        with sleep.sleeping():
            pass
    works("afterwards")


@holds("it sleeps and wakes up while keys are set all the time")
def _() -> None:
    errors: list[str] = []
    stop = threading.Event()

    def keys() -> None:
        try:
            with afalg.Transform(crypto.SYNC) as other:
                while not stop.is_set():
                    other.set_key(KEY[:16] if os.urandom(1)[0] & 1 else KEY)
                other.set_key(KEY)
                check_same(other.crypt(afalg.ENCRYPT, IV, DATA), EXPECTED, "ciphertext")
        except (OSError, tap.Failure) as error:
            errors.append(repr(error))

    threads = [threading.Thread(target=keys) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        time.sleep(0.2)
        with sleep.sleeping():
            time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    check(not errors, "; ".join(errors))
    works("afterwards")


@holds("a device that sleeps during the self-tests has them pass all the same")
def _() -> None:
    module.unbind()
    module.bind(LONG)
    for number in range(5):
        time.sleep(0.1)
        with sleep.sleeping():
            time.sleep(0.05 * number)
    wait_until(lambda: all(alg.passed for alg in crypto.ours().values()), LONG, "they have passed")
    works("afterwards")


@holds("the files are those that were written, and nobody has left a session")
def _() -> None:
    stack.close()
    check(Users.writer.written, "nothing was written")
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "no session")


@holds("the kernel has nothing to report")
def _() -> None:
    log.check_quiet()


afalg.prepare()
tap.run()
