#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Each allocation of the driver fails once. The operation that makes the allocation must return
ENOMEM or succeed, for example on the fallback. The operations are bind, the allocation of a
transform, setkey, and a request.

usage: alloc_failures.py [--every N]

For the debug kernel (failslab), with self-tests disabled. Only allocations of the program's thread
that have the driver in their call trace can fail. The program repeats an operation. The first
allocation fails in the first run, the second allocation in the second run, and so on, until each
allocation has failed once. A bind makes hundreds of allocations. With --every only each N-th
allocation fails, beginning at a random one of the first N allocations.
"""

import argparse
import errno
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

from lib import afalg, crypto, module, tap
from lib.tap import check, check_same, test, wait_until

FAILSLAB = Path("/sys/kernel/debug/failslab")
MAX_ALLOCATIONS = 2000
IV = bytes(range(16))
DATA = os.urandom(4096)
KEYS = [os.urandom(16), os.urandom(32)]


parser = argparse.ArgumentParser()
parser.add_argument("--every", type=int, default=1)
options = parser.parse_args()


def prepare() -> None:
    """Restricts failslab to allocations of the driver."""
    functions = [
        int(line.split()[0], 16)
        for line in Path("/proc/kallsyms").read_text().splitlines()
        if line.endswith(f"[{crypto.MODULE}]") and line.split()[1] in "tT"
    ]
    settings = {
        "require-start": f"{min(functions):#x}",
        # kallsyms has no lengths, so the range ends with the page in which the last function
        # begins. Another module can begin at the next page.
        "require-end": f"{(max(functions) | 0xfff) + 1:#x}",
        # The crypto core warns if one of its own allocations fails. This depth excludes these
        # allocations, because the driver is farther up in their call traces.
        "stacktrace-depth": "7",
        "ignore-gfp-wait": "N",
        "verbose": "0",
        "times": "-1",
    }
    for name, value in settings.items():
        (FAILSLAB / name).write_text(value)


def fail_each(
    operation_name: str, operation: Callable[[], object], at_least: int, every: int = 1
) -> list[str]:
    """Repeats an operation. In each run one allocation fails, `every` allocations later than in the
    previous run. Ends with a run in which the operation has ended before that allocation. Fails the
    test if fewer than `at_least` allocations have failed, or a run has another error than ENOMEM.
    Returns the outcome of each run with a failed allocation: "done" or the text of the error."""
    fail_nth = Path(f"/proc/self/task/{threading.get_native_id()}/fail-nth")
    outcomes: list[str] = []
    first = random.randint(1, every)
    for number in range(first, MAX_ALLOCATIONS, every):
        fail_nth.write_text(f"{number}\n")
        try:
            operation()
            outcome = "done"
        except OSError as error:
            outcome = str(error.strerror)
        # The kernel counts down to the allocation that fails. The number is 0 if it has failed.
        remaining = int(fail_nth.read_text())
        fail_nth.write_text("0\n")
        if remaining:
            counts = {text: outcomes.count(text) for text in outcomes}
            which = f", every {every}th from the {first}th" if every > 1 else ""
            tap.note(f"{operation_name}: {len(outcomes)} allocations failed{which}: {counts}")
            # ENOMEM is the only permitted error.
            check(set(counts) <= {"done", os.strerror(errno.ENOMEM)}, f"{operation_name}: {counts}")
            check(len(outcomes) >= at_least, f"only {len(outcomes)} allocations failed")
            return outcomes
        outcomes.append(outcome)
    raise tap.Failure(f"{operation_name}: more than {MAX_ALLOCATIONS} allocations")


def check_works() -> None:
    """Fails the test unless a request returns the correct result."""
    with afalg.Transform(crypto.SYNC, KEYS[0]) as transform:
        check_same(
            transform.crypt(afalg.ENCRYPT, IV, DATA), afalg.openssl(KEYS[0], IV, DATA), "ciphertext"
        )


@test("bind without memory: succeeds or returns ENOMEM, and a later bind succeeds")
def _() -> None:
    name = module.devices()[0]
    module.unbind()

    def bind() -> None:
        (module.DRIVER / "bind").write_text(name)

    def attempt() -> None:
        try:
            bind()
        finally:
            if (module.DRIVER / name).exists():
                (module.DRIVER / "unbind").write_text(name)

    fail_each("bind", attempt, 20, options.every)
    module.check_no_algorithms()
    wait_until(lambda: not Path(module.DRIVER, name).exists(), 10, "unbound")
    module.bind(60)
    check_works()


@test("transform allocation without memory: succeeds or returns ENOMEM, and a later one succeeds")
def _() -> None:
    def attempt() -> None:
        afalg.Transform(crypto.SYNC).close()

    fail_each("transform", attempt, 1)
    check_works()


@test("setkey without memory: succeeds or returns ENOMEM, and no earlier key is used")
def _() -> None:
    def attempt() -> None:
        with afalg.Transform(crypto.SYNC) as transform:
            for key in KEYS:
                transform.set_key(key)
            got = transform.crypt(afalg.ENCRYPT, IV, DATA)
            check_same(got, afalg.openssl(KEYS[1], IV, DATA), "ciphertext")

    fail_each("key", attempt, 8)
    check_works()


@test("request without memory: succeeds with the correct result")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEYS[0]) as transform:
        expected = afalg.openssl(KEYS[0], IV, DATA)

        def attempt() -> None:
            check_same(transform.crypt(afalg.ENCRYPT, IV, DATA), expected, "ciphertext")

        outcomes = fail_each("request", attempt, 0)
        check(set(outcomes) <= {"done"}, f"{outcomes}")


afalg.prepare()
prepare()
tap.run()
