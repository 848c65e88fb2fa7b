# SPDX-License-Identifier: GPL-2.0
"""Test results in the Test Anything Protocol.

A test is an anonymous function with a title. The title states the expected behavior. The test fails
if the function raises an exception; `check` raises one with a message. `run` ends the program
with status 0 if there is at least one test and every test passed.
"""

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn


class Failure(Exception):
    """A test fails."""


class Skip(Exception):
    """A test cannot run in this guest, for the given reason."""


class TimedOut(Failure):
    """An operation took longer than its limit."""


_tests: list[tuple[str, Callable[[], None]]] = []


def test(title: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Returns a decorator that registers a function as a test with this title."""

    def add(function: Callable[[], None]) -> Callable[[], None]:
        _tests.append((title, function))
        return function

    return add


def check(condition: object, text: str) -> None:
    """Fails the test with the message unless the condition is true."""
    if not condition:
        raise Failure(text)


def check_equal(got: object, expected: object, what: str) -> None:
    """Fails the test unless two short values are equal."""
    check(got == expected, f"{what}: {got}, expected {expected}")


def check_same(got: bytes, expected: bytes, what: str) -> None:
    """Fails the test unless two byte strings are equal. The message gives the first difference."""
    if got == expected:
        return
    if len(got) != len(expected):
        raise Failure(f"{what}: {len(got)} bytes, expected {len(expected)}")
    first = next(at for at in range(len(got)) if got[at] != expected[at])
    raise Failure(
        f"{what}: differs from byte {first} of {len(got)} on: "
        f"{got[first : first + 16].hex()}, expected {expected[first : first + 16].hex()}"
    )


@contextlib.contextmanager
def time_limit(seconds: int, what: str) -> Iterator[None]:
    """Raises TimedOut if the block takes longer. A system call must be interruptible."""

    def expired(_signal: int, _frame: object) -> None:
        raise TimedOut(f"{what}: not done within {seconds} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Waits until the condition is true. Fails the test if the wait takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


def note(text: str) -> None:
    """Prints a TAP comment."""
    for line in text.splitlines():
        print(f"# {line}", flush=True)


def _run_one(number: int, title: str, function: Callable[[], None]) -> bool:
    started = time.monotonic()
    try:
        function()
    except Skip as skip:
        print(f"ok {number} - {title} # SKIP {skip}", flush=True)
        return True
    except Failure as failure:
        print(f"not ok {number} - {title}", flush=True)
        note(str(failure))
    except Exception:
        print(f"not ok {number} - {title}", flush=True)
        note(traceback.format_exc())
    else:
        print(f"ok {number} - {title}", flush=True)
        note(f"{time.monotonic() - started:.1f} s")
        return True
    return False


def run() -> NoReturn:
    """Runs all tests in the order of their definition."""
    if os.geteuid():
        print("Bail out! this must be run as root")
        sys.exit(1)
    failed = 0
    for number, (title, function) in enumerate(_tests, 1):
        failed += not _run_one(number, title, function)
    print(f"1..{len(_tests)}", flush=True)
    sys.exit(1 if failed or not _tests else 0)
