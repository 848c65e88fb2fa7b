#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The device is a PCI function of its own: the driver has accepted what it offers, and each queue
has an interrupt vector that is raised by its requests only.

usage: function.py QUEUES [FEATURE...]

For a guest with a vfio device that has as many data queues, and as many CPUs. A FEATURE is one of
packed, in-order, ring-reset, access-platform; those that are not named must not be there.
"""

import os
import re
import sys
from pathlib import Path

from lib import afalg, crypto, reference, tap
from lib.tap import check_equal, check_same, test

QUEUES, WANTED = int(sys.argv[1]), sys.argv[2:]
BITS = {"access-platform": 33, "packed": 34, "in-order": 35, "ring-reset": 40}
IV = bytes(range(16))
KEY = bytes(range(16))
DATA = os.urandom(4096)
EXPECTED = afalg.openssl(KEY, IV, DATA)


def virtio() -> Path:
    """The device, in sysfs."""
    ids = Path("/sys/bus/virtio/devices").glob("*/device")
    (found,) = [path.parent for path in ids if int(path.read_text(), 16) == 20]
    return found


def interrupts() -> dict[str, int]:
    """How often each of the device's vectors was raised."""
    name = virtio().name
    found = {}
    for line in Path("/proc/interrupts").read_text().splitlines():
        match = re.match(rf"\s*\d+:((?:\s+\d+)+)\s+PCI-MSIX.*\s{name}-(\S+)$", line)
        if match:
            found[match[2]] = sum(map(int, match[1].split()))
    return found


@test("the driver has accepted what the device offers")
def _() -> None:
    bits = (virtio() / "features").read_text()
    found = sorted(name for name, bit in BITS.items() if bits[bit] == "1")
    check_equal(found, sorted(WANTED), "features")
    accepted = reference.status()["features"]
    check_equal(f"{accepted:b}"[::-1], bits.strip()[: accepted.bit_length()], "the device's view")


@test("each queue has a vector, and the configuration has one")
def _() -> None:
    tap.note(str(interrupts()))
    check_equal(len(interrupts()), QUEUES + 2, "vectors")


@test("a queue's requests raise its own vector")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        # Its session is made by the first request at the latest.
        transform.crypt(afalg.ENCRYPT, IV, DATA)
        raised = set()
        for cpu in range(QUEUES):
            os.sched_setaffinity(0, {cpu})
            before = interrupts()
            for _ in range(10):
                check_same(transform.crypt(afalg.ENCRYPT, IV, DATA), EXPECTED, "ciphertext")
            after = interrupts()
            grown = {name for name in after if after[name] > before[name]}
            check_equal(len(grown), 1, f"vectors that were raised for CPU {cpu}: {grown}")
            raised |= grown
        check_equal(len(raised), QUEUES, "vectors of all queues")


afalg.prepare()
tap.run()
