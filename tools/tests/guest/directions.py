#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""A device with few sessions. A key has a session for each direction. If all sessions are in use,
the driver releases the session of an unused direction: a key that was used only to encrypt loses
its session for decryption.

usage: directions.py SESSIONS

For a guest with a reference device without stateless mode. SESSIONS is the number of its sessions,
an even number of at least 8.
"""

import contextlib
import os
import sys
from collections.abc import Iterator

from lib import afalg, crypto, reference, tap
from lib.kernel_log import KernelLog
from lib.tap import check, check_equal, check_same, test, wait_until

SESSIONS = int(sys.argv[1])
LONG = 60  # time limit in seconds
IV = os.urandom(16)
DATA = os.urandom(4096)
log = KernelLog()


def served() -> int:
    """Returns how many requests the device has served."""
    return reference.data_requests(reference.status(), status="OK")


class User:
    """A transform with its own key."""

    def __init__(self) -> None:
        key = os.urandom(32)
        self.data = {afalg.ENCRYPT: DATA, afalg.DECRYPT: afalg.openssl(key, IV, DATA)}
        self.transform = afalg.Transform(crypto.SYNC, key)

    def is_on_device(self, op: int) -> bool:
        """Sends a request and checks the result. Returns true if the device has served the
        request."""
        before = served()
        expected = self.data[afalg.DECRYPT if op == afalg.ENCRYPT else afalg.ENCRYPT]
        check_same(self.transform.crypt(op, IV, self.data[op]), expected, "result")
        return served() == before + 1


@contextlib.contextmanager
def users(count: int, *ops: int) -> Iterator[list[User]]:
    """Creates and yields `count` users. Each user runs the operations `ops` on the device before
    the next user is created."""
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "no session")
    created = []
    try:
        for number in range(count):
            created.append(User())
            for op in ops:
                check(created[-1].is_on_device(op), f"user {number}: on the fallback")
        yield created
    finally:
        for user in created:
            user.transform.close()


@test("keys used in one direction: all sessions but one are used")
def _() -> None:
    with users(SESSIONS - 1, afalg.ENCRYPT) as all_users:
        check_equal(reference.status()["sessions"], SESSIONS, "sessions")
        for user in all_users:
            check(user.is_on_device(afalg.ENCRYPT), "a used session was released")


@test("released session: first request on the fallback, later ones on the device")
def _() -> None:
    with users(SESSIONS - 1, afalg.DECRYPT) as all_users:
        first = all_users[0]
        for user in all_users[1:]:
            user.transform.close()
        check(not first.is_on_device(afalg.ENCRYPT), "the session was not released")
        wait_until(lambda: first.is_on_device(afalg.ENCRYPT), LONG, "on the device")
        check(first.is_on_device(afalg.DECRYPT), "the other direction has lost its session")


@test("no free session for a released one: the other direction keeps its session")
def _() -> None:
    with users(SESSIONS - 1, afalg.ENCRYPT) as all_users:
        # The last user has both sessions.
        check(all_users[-1].is_on_device(afalg.DECRYPT), "the last user has one session")
        for _ in range(20):
            check(not all_users[0].is_on_device(afalg.DECRYPT), "a session was free")
            check(all_users[0].is_on_device(afalg.ENCRYPT), "the other direction lost its session")


@test("keys used in both directions: no session is released")
def _() -> None:
    with users(SESSIONS // 2, afalg.ENCRYPT, afalg.DECRYPT) as all_users:
        extra_user = User()
        check(not extra_user.is_on_device(afalg.ENCRYPT), "a session was free")
        extra_user.transform.close()
        for user in all_users:
            for op in (afalg.ENCRYPT, afalg.DECRYPT):
                check(user.is_on_device(op), "a session was released")


@test("no kernel reports")
def _() -> None:
    log.check_quiet()


afalg.prepare()
os.sched_setaffinity(0, {0})
tap.run()
