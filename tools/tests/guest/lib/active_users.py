# SPDX-License-Identifier: GPL-2.0
"""Users that hold sessions of the device during a test: a volume that is being written, and a
program with a transform."""

import contextlib
import os
import threading
from collections.abc import Iterator

from . import afalg, ciphers, crypto, reference, tap, volume
from .writer import Writer, writing

LONG = 300  # time limit in seconds
SIZE = 16384
KEY, IV = afalg.random_key(32)
DATA = os.urandom(SIZE)
EXPECTED = afalg.openssl(KEY, IV, DATA)


def served() -> int:
    """Returns how many requests the reference device has served."""
    return reference.data_requests(reference.status(), status="OK")


def check_right(transform: afalg.Transform, what: str) -> None:
    """Fails the test unless a transform with KEY encrypts DATA correctly."""
    tap.check_same(transform.crypt(afalg.ENCRYPT, IV, DATA), EXPECTED, f"{what}: ciphertext")


class ActiveUsers:
    """A volume and a transform. Each of them has one key with two sessions, until close()."""

    def __init__(self, mebibytes: int = 64, sessions: int = 4) -> None:
        self.sessions = sessions
        self._stack = contextlib.ExitStack()
        enter = self._stack.enter_context
        disk = enter(volume.disk(mebibytes))
        driver = ciphers.XTS.asynchronous
        line = volume.table(disk, f"capi:{driver}-plain64", os.urandom(64), 512)
        opened = enter(volume.mapped("users", line))
        volume.make_file_system(opened)
        self.writer: Writer = enter(writing(enter(volume.mounted(opened))))
        self.transform = enter(afalg.Transform(crypto.SYNC, KEY))

    def wait_until_served(self, what: str) -> None:
        """Waits until the device serves both users and has exactly the sessions of both."""

        def is_served() -> bool:
            before = served()
            check_right(self.transform, what)
            return served() > before

        tap.wait_until(is_served, LONG, f"{what}: the device serves a transform")
        self.writer.wait_for_progress(LONG)
        tap.wait_until(
            lambda: reference.status()["sessions"] == self.sessions,
            LONG,
            f"{what}: {self.sessions} sessions",
        )

    def close(self) -> None:
        """Closes both users. Fails the test if a file differs from what was written, or if the
        device still has a session."""
        self._stack.close()
        tap.check(self.writer.written, "nothing was written")
        tap.wait_until(lambda: reference.status()["sessions"] == 0, LONG, "no session")


@contextlib.contextmanager
def setting_keys() -> Iterator[None]:
    """During the block, threads set keys of their transforms. At the end each transform must use
    the last key."""
    errors: list[str] = []
    stop = threading.Event()

    def keys() -> None:
        try:
            with afalg.Transform(crypto.SYNC) as other:
                while not stop.is_set():
                    other.set_key(KEY[:16] if os.urandom(1)[0] & 1 else KEY)
                other.set_key(KEY)
                check_right(other, "the last key")
        except (OSError, tap.Failure) as error:
            errors.append(repr(error))

    threads = [threading.Thread(target=keys) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    tap.check(not errors, "; ".join(errors))


def wait_passed() -> None:
    """Waits until all algorithms have passed their self-tests."""
    tap.wait_until(
        lambda: all(alg.passed for alg in crypto.ours().values()), LONG, "all have passed"
    )
