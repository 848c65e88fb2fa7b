#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""A device that fails is reset and used again; whoever had a request there hears nothing of it.

usage: recovery.py TIMEOUT_MS

For a guest with a reference device, whose driver gives devices TIMEOUT_MS for an answer.
"""

import os
import sys
import threading
import time

from lib import afalg, crypto, reference, tap
from lib.kernel_log import KernelLog
from lib.tap import check, check_same, holds, wait_until

TIMEOUT = int(sys.argv[1]) / 1000
SIZE = 4096
KEY, IV = os.urandom(32), os.urandom(16)
DATA = os.urandom(SIZE)
EXPECTED = afalg.openssl(KEY, IV, DATA)
log = KernelLog()


def restarts() -> int:
    """How often the driver has started a device again."""
    return len(log.matching("reset and started again"))


def served() -> int:
    """How many requests the device has served."""
    return reference.data_requests(reference.status(), status="OK")


def crypts_right(transform: afalg.Transform, what: str) -> None:
    """Both directions give what they should, whoever does the work."""
    check_same(transform.crypt(afalg.ENCRYPT, IV, DATA), EXPECTED, f"{what}: ciphertext")
    check_same(transform.crypt(afalg.DECRYPT, IV, EXPECTED), DATA, f"{what}: plaintext")


def device_works(transform: afalg.Transform, what: str) -> None:
    """The device does the transform's work, after a while."""

    def does() -> bool:
        before = served()
        crypts_right(transform, what)
        return served() >= before + 2

    wait_until(does, 30, f"{what}: the device works")


@holds("a request that is never answered is done all the same, and the device used again")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        device_works(transform, "before")
        before = restarts()
        reference.command(command="fault", fault="never-answer:queue=0:count=1")
        started = time.monotonic()
        crypts_right(transform, "not answered")
        took = time.monotonic() - started
        check(TIMEOUT * 0.9 < took < TIMEOUT * 10, f"it took {took:.1f} s")
        wait_until(lambda: restarts() == before + 1, 30, "a restart")
        # The same key, set before: its sessions are made again.
        device_works(transform, "after")


@holds("a control request that is never answered does not keep a key from being set")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        before = restarts()
        reference.command(command="fault", fault="never-answer:queue=control:count=1")
        with afalg.Transform(crypto.SYNC, KEY) as other:
            crypts_right(other, "its own key")
            crypts_right(transform, "another")
            wait_until(lambda: restarts() == before + 1, 30, "a restart")
            device_works(other, "its own key")
            device_works(transform, "another")


@holds("a session that the device has forgotten is made again")
def _() -> None:
    before = restarts()
    reference.command(command="fault", fault="session-forgotten:count=2")
    with afalg.Transform(crypto.SYNC, os.urandom(16)) as transform:
        transform.set_key(KEY)
        crypts_right(transform, "forgotten")
        device_works(transform, "afterwards")
    check(restarts() == before, "the device was reset")


@holds("a device that refuses requests leaves them to software")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        device_works(transform, "before")
        for fault in ("refuse-operation:count=2", "status-unknown:count=2:queue=0"):
            reference.command(command="fault", fault=fault)
            crypts_right(transform, fault)
        device_works(transform, "after")


@holds("requests under way when the device is lost are all done")
def _() -> None:
    errors: list[str] = []
    stop = threading.Event()

    def load() -> None:
        try:
            with afalg.Transform(crypto.SYNC, KEY) as transform:
                while not stop.is_set():
                    crypts_right(transform, "under load")
        except Exception as error:  # pylint: disable=broad-except
            errors.append(repr(error))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    before = restarts()
    for round_ in range(1, 4):
        reference.command(command="fault", fault="never-answer:queue=0:count=1")
        wait_until(lambda: restarts() == before + round_, 60, f"restart {round_}")
        time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    check(not errors, "; ".join(errors))


@holds("the sessions of a device that has failed are not left with it")
def _() -> None:
    wait_until(lambda: reference.status()["sessions"] == 0, 30, "no session")


@holds("a device that always fails is given up, with one message, and software goes on")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        device_works(transform, "before")
        reference.command(command="fault", fault="never-answer")
        started = time.monotonic()
        while not log.matching("given up") and time.monotonic() < started + 60 * TIMEOUT:
            crypts_right(transform, "failing")
        reference.command(command="clear")
        check(len(log.matching("given up")) == 1, "it was not given up once")
        before = served()
        for _ in range(10):
            crypts_right(transform, "given up")
        with afalg.Transform("cbc(aes)", KEY) as other:
            crypts_right(other, "a new one")
        check(served() == before, "it was used afterwards")


afalg.prepare()
tap.run()
