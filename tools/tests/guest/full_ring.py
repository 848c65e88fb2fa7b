#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Requests that may not be backlogged, on a full ring.

A cipher or AEAD returns ENOSPC: on the fallback such a request would overtake requests in the ring.
A hash, a MAC and RSA run on the fallback.

usage: full_ring.py SIZE

For a guest whose first reference device has data queues of SIZE descriptors, and uses indirect
descriptors. The shared folder has vc_fault.ko and keys. No other device may be ready.
"""

import errno
import functools
import sys
import threading
import time

from lib import fault_requests, reference, tap
from lib.fault_requests import LONG, Result, Subject
from lib.kernel_log import KernelLog
from lib.offload import OffloadStats
from lib.tap import check, check_equal, test, wait_until

SIZE = int(sys.argv[1])
COUNT = 2 * SIZE
REJECTS = ("cipher", "aead", "chain")
log = KernelLog()


def held_requests() -> int:
    """Returns how many data requests the device holds back."""
    queues = reference.status()["queues"]
    return sum(queue["held"] for queue in queues if queue["queue"] != "control")


def run_with_full_ring(subject: Subject) -> Result:
    """Sends requests while the device completes no request, until the ring is full. Then the device
    completes all."""
    results: list[Result] = []
    with reference.faulty("never-answer:queue=0"):
        runner = threading.Thread(
            target=lambda: results.append(fault_requests.run(subject, COUNT, backlog=False))
        )
        runner.start()
        wait_until(lambda: held_requests() >= SIZE, LONG, "the ring is full")
        # Give the thread time to send the requests that do not fit.
        time.sleep(0.5)
    while runner.is_alive():
        reference.command(command="complete", queue=0)
        runner.join(0.02)
    return results[0]


def check_full(subject: Subject) -> None:
    """Fails the test unless requests that do not fit are rejected or run on the fallback."""
    stats = OffloadStats()
    result = run_with_full_ring(subject)
    fallbacks = stats.fallbacks()
    tap.note(f"{subject.driver}: {result}; fallback: {fallbacks}")
    check(not (result.lost or result.doubled or result.wrong or result.spoilt), str(result))
    if subject.service in REJECTS:
        refused = sum(result.errors.values())
        check_equal({number for _, number in result.errors}, {errno.ENOSPC}, "errors")
        check_equal(fallbacks, {}, "requests on the fallback")
        check_equal(result.right + refused, COUNT, "results")
    else:
        check_equal(result.right, COUNT, "right results")
        check(fallbacks.get("ring_full", 0) > 0, f"the ring was never full: {fallbacks}")


for each in fault_requests.SUBJECTS:
    if each.variant == "async" and each.kind != "sig":
        WHAT = "ENOSPC" if each.service in REJECTS else "runs on the fallback"
        test(f"{each.driver}: full ring without backlog: {WHAT}")(
            functools.partial(check_full, each)
        )


@test("full ring: no kernel reports")
def _() -> None:
    log.check_quiet()


fault_requests.load()
tap.run()
