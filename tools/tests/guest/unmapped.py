#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Buffers cannot be mapped for DMA: requests are backlogged, run on the fallback, or fail with
ENOSPC if they may not be backlogged. No session may be left in the device.

usage: unmapped.py

For a guest with one reference device with one data queue. The shared folder has vc_fault.ko and
vc_nomem.ko. vc_nomem makes selected additions to a virtqueue fail with ENOMEM.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lib import afalg, crypto, fault_requests, reference, tap
from lib.kernel_log import KernelLog
from lib.tap import check_equal, check_same, test, wait_until

LONG = 120
ASYNC = fault_requests.SUBJECTS[0]
FAIL = Path("/sys/module/vc_nomem/parameters/fail")
KEY, IV = os.urandom(32), os.urandom(16)
DATA = os.urandom(4096)
EXPECTED = afalg.openssl(KEY, IV, DATA)
log = KernelLog()


@contextlib.contextmanager
def unmappable(queue: str, after: int, count: int) -> Iterator[None]:
    """Makes `count` additions to a virtqueue fail, after `after` successful ones. All of these
    failures must happen in the block."""
    FAIL.write_text(f"{queue} {after} {count}")
    try:
        yield
        check_equal(int(FAIL.read_text()), count, "failed additions")
    finally:
        FAIL.write_text(f"{queue} 0 0")


def served() -> int:
    """Returns how many requests the device has served."""
    return reference.data_requests(reference.status(), status="OK")


def define_test(
    title: str, after: int, count: int, wanted: str, device: int, *delays: str, backlog: bool = True
) -> None:
    """Defines a test with 4 asynchronous requests, some of which cannot be added to the queue.
    `device` is the number of requests that the device must serve. `delays` keep requests in
    flight."""

    @test(title)
    def _() -> None:
        wait_until(lambda: str(fault_requests.run(ASYNC, 4)) == "4 right", LONG, "requests")
        wait_until(lambda: reference.status()["sessions"] == 0, LONG, "no session")
        before = served()
        faults = [f"delay:value={delay}" for delay in delays]
        with reference.faulty(*faults), unmappable("dataq.0", after, count):
            result = fault_requests.run(ASYNC, 4, backlog=backlog)
        check_equal(str(result), wanted, "requests")
        check_equal(served() - before, device, "requests served")


define_test("submit, none in flight: runs on the fallback", 0, 1, "4 right", 3)
define_test(
    "submit, one in flight: backlogged, and sent later",
    1, 1, "4 right", 4, "500:queue=0:count=1",
)  # fmt: skip
define_test(
    "submit, one in flight, no backlog allowed: ENOSPC",
    1, 1, "3 right, 1 ENOSPC (encrypt)", 3, "500:queue=0:count=1", backlog=False,
)  # fmt: skip
define_test(
    "backlog, none in flight: its first request runs on the fallback",
    1, 2, "4 right", 3, "500:queue=0:count=1",
)  # fmt: skip
define_test(
    "backlog, one in flight: waits for the request in flight",
    2, 2, "4 right", 4, "500:queue=0:count=1", "1500:queue=0:after=1:count=1",
)  # fmt: skip


@test("CREATE: setkey succeeds, requests run on the fallback")
def _() -> None:
    before = served()
    with unmappable("controlq", 0, 1), afalg.Transform(crypto.SYNC, KEY) as transform:
        check_same(transform.crypt(afalg.ENCRYPT, IV, DATA), EXPECTED, "ciphertext")
    check_equal(served(), before, "requests served")


def wait_for_no_session() -> None:
    """Waits until the device has no session."""
    wait_until(lambda: reference.status()["sessions"] == 0, 20, "no session")


@test("DESTROY, none in flight: sent later")
def _() -> None:
    transform = afalg.Transform(crypto.SYNC, KEY)
    check_same(transform.crypt(afalg.ENCRYPT, IV, DATA), EXPECTED, "ciphertext")
    check_equal(reference.status()["sessions"], 2, "sessions")
    with unmappable("controlq", 0, 5):
        transform.close()
        wait_for_no_session()


@test("DESTROY, one in flight: sent later, also after a second failure")
def _() -> None:
    transform = afalg.Transform(crypto.SYNC, KEY)
    check_equal(reference.status()["sessions"], 2, "sessions")
    # The DESTROY of the first session is in flight, that of the second one cannot be mapped.
    late = reference.faulty("delay:value=500:queue=control:count=1")
    with late, unmappable("controlq", 1, 4):
        transform.close()
        wait_for_no_session()


@test("end: the device works, no request is lost")
def _() -> None:
    before = served()
    check_equal(str(fault_requests.run(ASYNC, 100)), "100 right", "requests")
    check_equal(served() - before, 100, "requests served")


@test("no kernel reports")
def _() -> None:
    log.check_quiet()


fault_requests.load()
subprocess.run(["insmod", "/mnt/share/vc_nomem.ko"], check=True)
afalg.prepare()
os.sched_setaffinity(0, {0})
tap.run()
