#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Requests use the data queue of their CPU, also while CPUs go offline and online.

usage: queues.py QUEUES

For a guest with a reference device with QUEUES data queues.
"""

import os
import sys
from pathlib import Path

from lib import afalg, crypto, reference, tap
from lib.tap import check, check_equal, check_same, test

QUEUES = int(sys.argv[1])
CPUS = os.cpu_count() or 1
IV = bytes(range(16))
KEY = bytes(range(16))
DATA = os.urandom(4096)
EXPECTED = afalg.openssl(KEY, IV, DATA)


def served(queue: int) -> int:
    """Returns how many requests the device has served on a queue."""
    return reference.requests(reference.status(), queue=queue, status="OK")


def encrypt_on(cpu: int, transform: afalg.Transform, times: int) -> None:
    """Sends requests on one CPU."""
    os.sched_setaffinity(0, {cpu})
    for _ in range(times):
        check_same(transform.crypt(afalg.ENCRYPT, IV, DATA), EXPECTED, f"ciphertext by CPU {cpu}")


def set_online(cpu: int, online: bool) -> None:
    """Sets a CPU online or offline."""
    Path(f"/sys/devices/system/cpu/cpu{cpu}/online").write_text(f"{int(online)}\n")


def check_queue(cpu: int, transform: afalg.Transform) -> None:
    """Checks that all requests of a CPU use its queue."""
    before = [served(queue) for queue in range(QUEUES)]
    encrypt_on(cpu, transform, 10)
    made = [served(queue) - count for queue, count in enumerate(before)]
    expected = [10 if queue == cpu % QUEUES else 0 for queue in range(QUEUES)]
    check_equal(made, expected, f"requests of CPU {cpu} by queue")


@test("each CPU: requests use its data queue only")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        for cpu in range(CPUS):
            check_queue(cpu, transform)


@test("all data queues with a CPU: have served requests")
def _() -> None:
    used = [queue for queue in range(QUEUES) if served(queue)]
    check_equal(used, list(range(min(QUEUES, CPUS))), "queues")


@test("CPU offline and online: requests still use the CPU's data queue")
def _() -> None:
    if CPUS == 1:
        raise tap.Skip("the guest has one CPU")
    last = CPUS - 1
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        for _ in range(3):
            set_online(last, False)
            check(last not in os.sched_getaffinity(0) or CPUS == 2, "the CPU is still online")
            for cpu in range(last):
                check_queue(cpu, transform)
            set_online(last, True)
            check_queue(last, transform)


afalg.prepare()
tap.run()
