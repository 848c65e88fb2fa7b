#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""A vfio device: the driver accepts the offered features, and each queue has its own interrupt
vector.

usage: function.py QUEUES [FEATURE...]

For a guest with a vfio device with QUEUES data queues, and as many CPUs. A FEATURE is packed,
in-order, ring-reset or access-platform. Of these four features the device must offer exactly the
named ones.
"""

import os
import re
import sys
from pathlib import Path

from lib import afalg, crypto, reference, tap
from lib.tap import check_equal, check_same, test

QUEUES, OFFERED = int(sys.argv[1]), sys.argv[2:]
BITS = {"access-platform": 33, "packed": 34, "in-order": 35, "ring-reset": 40}
IV = bytes(range(16))
KEY = bytes(range(16))
DATA = os.urandom(4096)
EXPECTED = afalg.openssl(KEY, IV, DATA)


def sysfs_folder() -> Path:
    """Returns the device's folder in sysfs."""
    ids = Path("/sys/bus/virtio/devices").glob("*/device")
    (found,) = [path.parent for path in ids if int(path.read_text(), 16) == 20]
    return found


def interrupts() -> dict[str, int]:
    """Returns how often each vector of the device was raised."""
    name = sysfs_folder().name
    found = {}
    for line in Path("/proc/interrupts").read_text().splitlines():
        match = re.match(rf"\s*\d+:((?:\s+\d+)+)\s+PCI-MSIX.*\s{name}-(\S+)$", line)
        if match:
            found[match[2]] = sum(map(int, match[1].split()))
    return found


@test("features: all offered ones are accepted")
def _() -> None:
    bits = (sysfs_folder() / "features").read_text()
    found = sorted(name for name, bit in BITS.items() if bits[bit] == "1")
    check_equal(found, sorted(OFFERED), "features")
    accepted = reference.status()["features"]
    check_equal(f"{accepted:b}"[::-1], bits.strip()[: accepted.bit_length()], "in the device")


@test("vectors: one for each queue and one for config changes")
def _() -> None:
    tap.note(str(interrupts()))
    check_equal(len(interrupts()), QUEUES + 2, "vectors")


@test("vectors: requests raise only the vector of their queue")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        # The first request creates the session if necessary.
        transform.crypt(afalg.ENCRYPT, IV, DATA)
        raised = set()
        for cpu in range(QUEUES):
            os.sched_setaffinity(0, {cpu})
            before = interrupts()
            for _ in range(10):
                check_same(transform.crypt(afalg.ENCRYPT, IV, DATA), EXPECTED, "ciphertext")
            after = interrupts()
            grown = {name for name in after if after[name] > before[name]}
            check_equal(len(grown), 1, f"vectors raised by CPU {cpu}: {grown}")
            raised |= grown
        check_equal(len(raised), QUEUES, "vectors of all queues")


afalg.prepare()
tap.run()
