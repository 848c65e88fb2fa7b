#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Loading and unloading of the module, bind and unbind of its devices, with and without users.

usage: lifecycle.py [--cycles N] [--ko FILE] [--selftest SECONDS] [--wait-each]

At the end all algorithms pass their self-tests, the device has as many free sessions as at the
start, no memory has leaked, and the kernel has reported nothing.
"""

import argparse
import contextlib
import os
import re
import time
from pathlib import Path

from lib import afalg, crypto, host, module, tap, volume
from lib.afalg import ENCRYPT
from lib.kernel_log import KernelLog
from lib.tap import check, check_equal, check_same, test
from lib.writer import writing

KMEMLEAK = Path("/sys/kernel/debug/kmemleak")
# More transforms than have sessions on the device: each has two, and QEMU's limit is 256.
MANY = 150

parser = argparse.ArgumentParser()
parser.add_argument("--cycles", type=int, default=50)
parser.add_argument("--ko", type=Path, default=Path("/run/testbed/driver.ko"))
parser.add_argument("--selftest", type=int, default=60, help="time limit of the self-tests in s")
parser.add_argument("--wait-each", action="store_true", help="wait for self-tests in each cycle")
options = parser.parse_args()
log = KernelLog()


def capacity() -> int:
    """Returns how many of MANY simultaneous transforms the host serves. All must return correct
    results."""
    key, iv = afalg.random_key(16)
    data = os.urandom(64)
    expected = afalg.openssl(key, iv, data)
    with host.watched() as work, contextlib.ExitStack() as stack:
        transforms = [
            stack.enter_context(afalg.Transform(crypto.SYNC, key)) for _ in range(MANY)
        ]
        for number, transform in enumerate(transforms):
            check_same(transform.crypt(ENCRYPT, iv, data), expected, f"transform {number}")
    return work.encrypt_ops


module.wait_passed(options.selftest)
afalg.prepare()
CAPACITY = capacity()


def cycle_done(number: int) -> None:
    """Waits for the self-tests after the last cycle, or after each cycle with --wait-each."""
    if options.wait_each or number == options.cycles - 1:
        module.wait_passed(options.selftest)


@test(f"start: the host serves some of {MANY} transforms, the fallback the others")
def _() -> None:
    tap.note(f"{CAPACITY} of {MANY}")
    check(60 <= CAPACITY < MANY, f"{CAPACITY}: too few, or all, to detect lost sessions at the end")


@test("parameters out of range: insmod fails with EINVAL and a message")
def _() -> None:
    module.unload(options.selftest)
    for text in ("priority=10001", "timeout_ms=1", "timeout_ms=99", "timeout_ms=600001"):
        done = module.insmod(options.ko, text)
        check(done.returncode, f"{text}: insmod succeeded")
        check(re.search("Invalid (argument|parameters)", done.stderr), f"{text}: {done.stderr}")
        check(not module.loaded(), f"{text}: the module is loaded")
        line = f"{crypto.MODULE}: {text} is out of range"
        check(log.matching(re.escape(line)), f"{text}: no message {line!r}")
    module.check_no_algorithms()


@test("priorities: as configured, one less for the synchronous variant")
def _() -> None:
    for parameters, expected in (
        (["priority=5"], (5, 4)),
        (["priority=0"], (0, 0)),
        (["priority=10000"], (10000, 9999)),
        (["prefer=1"], (9000, 8999)),
        (["prefer=1", "priority=5"], (9000, 8999)),
        ([], (90, 89)),
    ):
        module.load(options.ko, *parameters, seconds=options.selftest)
        found = crypto.ours()
        priorities = (found[crypto.ASYNC].priority, found[crypto.SYNC].priority)
        check_equal(priorities, expected, f"priorities with {parameters}")
        module.unload(options.selftest)


@test(f"load and unload {options.cycles} times: algorithms are registered and unregistered")
def _() -> None:
    for number in range(options.cycles):
        module.load(options.ko, seconds=options.selftest)
        cycle_done(number)
        module.unload(options.selftest)
    module.load(options.ko, seconds=options.selftest)
    module.wait_passed(options.selftest)


@test(f"unbind and bind {options.cycles} times: algorithms are registered and unregistered")
def _() -> None:
    for number in range(options.cycles):
        module.unbind()
        module.bind(options.selftest)
        cycle_done(number)


@test("unbind during the self-tests: they pass or are aborted")
def _() -> None:
    module.unbind()
    module.bind(options.selftest)
    started = time.monotonic()
    module.wait_passed(options.selftest)
    duration = time.monotonic() - started
    tap.note(f"the self-tests take {duration:.2f} s")
    for number in range(options.cycles):
        module.unbind()
        module.bind(options.selftest)
        time.sleep(duration * number / options.cycles)
        changed = crypto.registered() ^ crypto.variants()
        check(not changed, f"unexpected or missing algorithms: {sorted(changed)}")
    module.wait_passed(options.selftest)


def check_rmmod_refused() -> None:
    """Fails the test unless rmmod fails because the module is in use."""
    done = module.rmmod()
    check(done.returncode and "in use" in done.stderr, f"rmmod: {done.returncode} {done.stderr}")
    check(module.loaded(), "the module is not loaded")


@test("unbind and bind under a volume that is written: no error, correct contents")
def _() -> None:
    key = os.urandom(32)
    with volume.disk(64) as disk:
        ours = volume.table(disk, f"capi:{crypto.ASYNC}-plain64", key, volume.SECTOR)
        generic = f"capi:{crypto.generic().driver}-plain64"
        with volume.mapped("ours", ours) as opened:
            volume.make_file_system(opened)
            with volume.mounted(opened) as folder, writing(folder) as writer:
                with host.watched() as work:
                    time.sleep(2)
                check(work.encrypt_bytes > 0, "the host served no request of the writer")
                check_rmmod_refused()
                for _ in range(options.cycles):
                    module.unbind()
                    time.sleep(0.1)
                    module.bind(options.selftest)
                    time.sleep(0.1)
                module.unbind()
                check_rmmod_refused()
                module.bind(options.selftest)
            check(writer.count > options.cycles, "too few files were written")
            volume.check_file_system(opened)
        other = volume.table(disk, generic, key, volume.SECTOR)
        with volume.mapped("generic", other) as opened:
            volume.check_file_system(opened)
            with volume.mounted(opened, "ro") as folder:
                volume.check_tree(folder, writer.written)
    module.wait_passed(options.selftest)


@test("unbind with a transform in use: the fallback runs")
def _() -> None:
    key, iv = afalg.random_key(24)
    data = os.urandom(8192)
    expected = afalg.openssl(key, iv, data)
    with afalg.Transform(crypto.SYNC, key) as transform, transform.operation() as operation:
        with host.serves_exactly(host.HostStats(1, len(data))):
            check_same(operation.crypt(ENCRYPT, iv, data), expected, "before")
        module.unbind()
        with host.serves_nothing():
            check_same(operation.crypt(ENCRYPT, iv, data), expected, "unbound")
        module.bind(options.selftest)
        check_same(operation.crypt(ENCRYPT, iv, data), expected, "bound again")
    module.wait_passed(options.selftest)


@test("600 transforms in succession: the host serves each")
def _() -> None:
    key, iv = afalg.random_key(32)
    data = os.urandom(64)
    expected = afalg.openssl(key, iv, data)
    with host.serves_exactly(host.HostStats(600, 600 * len(data))):
        for number in range(600):
            with afalg.Transform(crypto.SYNC, key) as transform:
                check_same(transform.crypt(ENCRYPT, iv, data), expected, f"transform {number}")


@test(f"end: the host serves as many of {MANY} transforms as at the start")
def _() -> None:
    module.unbind()
    module.bind(options.selftest)
    module.wait_passed(options.selftest)
    check_equal(capacity(), CAPACITY, f"transforms of {MANY} that the host served")


@test("unload and load: succeed, no kernel reports")
def _() -> None:
    module.unload(options.selftest)
    module.load(options.ko, seconds=options.selftest)
    module.wait_passed(options.selftest)
    log.check_quiet()


@test("kmemleak: no leaks")
def _() -> None:
    if not KMEMLEAK.exists():
        raise tap.Skip("this kernel has no kmemleak")
    for _ in range(2):
        time.sleep(7)  # kmemleak ignores younger objects
        KMEMLEAK.write_text("scan")
    report = KMEMLEAK.read_text()
    check(not report, report)


if __name__ == "__main__":
    tap.run()
