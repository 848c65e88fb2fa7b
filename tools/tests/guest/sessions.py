#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Many transforms with different keys, on devices with enough sessions and with fewer.

usage: sessions.py sessions|stateless|fallback TRANSFORMS

For a guest with a reference device. sessions: the device has enough sessions for all transforms.
stateless: the device has fewer sessions, and a stateless mode. fallback: the device has fewer
sessions and no stateless mode, so requests without a session run on the fallback.
"""

import multiprocessing
import os
import random
import sys

from lib import afalg, ciphers, crypto, reference, tap
from lib.tap import check, check_equal, check_same, test, wait_until

HOW, COUNT = sys.argv[1], int(sys.argv[2])
SIZE = 512
IV = bytes(range(16))
STORM = 500
PROGRAMS = 4


def generic() -> str:
    """Returns the driver name of the kernel's own cipher, for the expected results."""
    return crypto.generic().driver


def wait_for_no_session() -> None:
    """Waits until the device has no sessions, including those of self-tests."""
    wait_until(lambda: reference.status()["sessions"] == 0, 60, "no session")


@test("every transform: correct result, from the device or the fallback")
def _() -> None:
    wait_for_no_session()
    before = reference.status()
    data = os.urandom(SIZE)
    keys = [os.urandom(16) for _ in range(COUNT)]
    transforms = [afalg.Transform(crypto.SYNC, key) for key in keys]
    try:
        now = reference.status()
        for key, transform in zip(keys, transforms):
            with afalg.Transform(generic(), key) as other:
                expected = other.crypt(afalg.ENCRYPT, IV, data)
            check_same(transform.crypt(afalg.ENCRYPT, IV, data), expected, "ciphertext")
            check_same(transform.crypt(afalg.DECRYPT, IV, expected), data, "plaintext")
    finally:
        for transform in transforms:
            transform.close()
    after = reference.status()

    def served(stateless: bool) -> int:
        return reference.data_requests(
            after, status="OK", stateless=stateless
        ) - reference.data_requests(before, status="OK", stateless=stateless)

    tap.note(f"{now['sessions']} sessions, {served(False)} requests in them, {served(True)} without")
    if HOW == "sessions":
        check_equal(now["sessions"], 2 * COUNT, "sessions")
        check_equal(served(False), 2 * COUNT, "requests in sessions")
    else:
        check(0 < now["sessions"] < 2 * COUNT, f"{now['sessions']} sessions")
        check(served(False) > 0, "no request was in a session")
    if HOW == "stateless":
        check_equal(served(False) + served(True), 2 * COUNT, "requests to the device")
    else:
        check_equal(served(True), 0, "stateless requests")


@test("all transforms are freed: no session is left")
def _() -> None:
    wait_for_no_session()


@test("setting the same key again sends no control request")
def _() -> None:
    wait_for_no_session()
    key = os.urandom(16)
    with afalg.Transform(crypto.SYNC, key) as transform:
        before = reference.requests(reference.status(), queue="control")
        for _ in range(STORM):
            transform.set_key(key)
        after = reference.requests(reference.status(), queue="control")
    check_equal(after - before, 0, "control requests")


@test("alternating keys: the device has at most two sessions")
def _() -> None:
    wait_for_no_session()
    keys = [os.urandom(16), os.urandom(32)]
    data = os.urandom(SIZE)
    with afalg.Transform(crypto.SYNC) as transform:
        for round_ in range(STORM):
            transform.set_key(keys[round_ % 2])
        wait_until(lambda: reference.status()["sessions"] <= 2, 10, "two sessions")
        with afalg.Transform(generic(), keys[1]) as other:
            expected = other.crypt(afalg.ENCRYPT, IV, data)
        check_same(transform.crypt(afalg.ENCRYPT, IV, data), expected, "ciphertext")
    wait_for_no_session()


def storm(number: int) -> int:
    """Sets a random key before each request, in one of several programs. Returns the number of
    keys."""
    chance = random.Random(number)
    cipher = ciphers.XTS if number % 2 else ciphers.ALL[crypto.NAME]
    for _ in range(STORM // 25):
        with (
            afalg.Transform(cipher.synchronous) as ours,
            afalg.Transform(cipher.generic) as other,
        ):
            for _ in range(5):
                key = cipher.random_key(chance.choice(cipher.keys))
                ours.set_key(key)
                other.set_key(key)
                data = os.urandom(SIZE)
                expected = other.crypt(afalg.ENCRYPT, IV, data)
                check_same(ours.crypt(afalg.ENCRYPT, IV, data), expected, f"program {number}")
    return STORM // 5


@test("key changes in 4 programs: correct results, no session is left")
def _() -> None:
    wait_for_no_session()
    before = reference.status()
    with multiprocessing.get_context("fork").Pool(PROGRAMS) as pool:
        made = sum(pool.map(storm, range(PROGRAMS), 1))
    wait_for_no_session()
    after = reference.status()
    created, destroyed = (
        reference.requests(after, operation=f"CIPHER_{what}_SESSION", status="OK")
        - reference.requests(before, operation=f"CIPHER_{what}_SESSION", status="OK")
        for what in ("CREATE", "DESTROY")
    )
    tap.note(f"{made} keys, {created} sessions created, {destroyed} destroyed")
    check_equal(destroyed, created, "sessions destroyed")
    check(created >= 2 * made, "a key had no sessions")


afalg.prepare()
tap.run()
