#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""A session ID that the device assigns twice, while a request of the first session is in flight.

The device may run that request with the key of the other session, and report success. Once the
driver has learned of the second session, it must not trust that success.

For a guest whose first reference device numbers sessions from 0. No other device may be ready. The
watchdog must not check the data queue for some seconds: timeout_ms is at least 10000, and the queue
has its own interrupt vector.
"""

import os
import threading

from lib import afalg, crypto, reference, tap
from lib.kernel_log import KernelLog
from lib.offload import OffloadStats
from lib.tap import check, check_equal, check_same, test, wait_until

LONG = 120
ATTEMPTS = 3
SIZE = 4096
KEYS = [os.urandom(32) for _ in range(3)]
IV, DATA = os.urandom(16), os.urandom(SIZE)
log = KernelLog()


def restarts() -> int:
    """Returns how often the driver has restarted the device."""
    return len(log.matching("device reset and restarted"))


def wait_for_no_session() -> None:
    """Waits until the device has no session."""
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "no session")


def held() -> int:
    """Returns how many requests the device holds back."""
    return sum(queue["held"] for queue in reference.status()["queues"])


def assign_again(transform: afalg.Transform) -> tuple[bytes, dict[str, int], dict[str, int]]:
    """Runs a request in a session whose ID the device has assigned again. Returns the result, the
    device's count of successful requests, and the reasons for fallbacks."""
    stats = OffloadStats()
    before = restarts()
    results: list[bytes] = []
    with reference.faulty("never-answer:queue=0:count=1"):
        runner = threading.Thread(
            target=lambda: results.append(transform.crypt(afalg.ENCRYPT, IV, DATA))
        )
        runner.start()
        wait_until(lambda: held() == 1, LONG, "the request is in flight")
    # The device creates a session with ID 0 and another key. The response hides it from the driver.
    with reference.faulty(
        "session-id:value=0:queue=control:count=1", "status-unwritten:queue=control:count=1"
    ):
        afalg.Transform(crypto.SYNC, KEYS[1]).close()
    # The device runs the request with that key. A lost interrupt hides the completion.
    with reference.faulty("no-interrupt:queue=0:count=1"):
        answer = reference.command(command="complete", queue=0)
        check_equal(answer["completed"], 1, "requests released by the device")
    # The driver learns of another session with ID 0.
    with reference.faulty("session-id:value=0:queue=control:count=1"):
        afalg.Transform(crypto.SYNC, KEYS[2]).close()
    runner.join()
    wait_until(lambda: restarts() > before, LONG, "a restart")
    return results[0], stats.device(), stats.fallbacks()


@test("duplicate session ID: the success of a request in flight is not trusted")
def _() -> None:
    expected, wrong = (afalg.openssl(key, IV, DATA) for key in KEYS[:2])
    missed = []
    for _ in range(ATTEMPTS):
        wait_for_no_session()
        with afalg.Transform(crypto.SYNC, KEYS[0]) as transform:
            result, done, ran = assign_again(transform)
        tap.note(f"by the device {done}, fallback {ran}, wrong key: {result == wrong}")
        check_equal(done.get("CIPHER_ENCRYPT"), 1, "requests that the device reports as done")
        if ran:
            check_equal(ran, {"device_error": 1}, "requests on the fallback")
            check_same(result, expected, "result")
            return
        # On a slow machine the driver may complete the request before it learns of the session.
        missed.append(ran)
    check(False, f"the driver trusted the device {len(missed)} times")


@test("duplicate session ID: the device is used again")
def _() -> None:
    def is_served() -> bool:
        with afalg.Transform(crypto.SYNC, KEYS[0]) as transform:
            stats = OffloadStats()
            result = transform.crypt(afalg.ENCRYPT, IV, DATA)
            check_same(result, afalg.openssl(KEYS[0], IV, DATA), "result")
            return bool(stats.device())

    wait_until(is_served, LONG, "the device works")


@test("duplicate session ID: no kernel reports")
def _() -> None:
    log.check_quiet()


afalg.prepare()
tap.run()
