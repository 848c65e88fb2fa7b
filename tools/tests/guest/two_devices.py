#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Two devices: if one is not ready, transforms use the other.

usage: two_devices.py [--leave-one]

For a guest with two reference devices. With --leave-one the second device is not ready at the end.
"""

import os
import sys

from lib import afalg, crypto, reference, tap
from lib.offload import FALLBACKS, OffloadStats
from lib.tap import check, check_equal, check_same, test, wait_until

COUNT, LONG = 6, 120
IV = os.urandom(16)
DATA = os.urandom(512)


def states() -> list[str]:
    """Returns the states of all devices."""
    texts = (file.read_text() for file in FALLBACKS.parent.glob("virtio*/status"))
    lines = [line for text in texts for line in text.splitlines()]
    return sorted(line.partition(": ")[2] for line in lines if line.startswith("state: "))


def set_ready(device: int, ready: bool, expected: list[str]) -> None:
    """Sets HW_READY of a device, and waits until the driver has updated the states."""
    reference.command(device, command="ready", ready=ready)
    wait_until(lambda: states() == expected, LONG, f"states {expected}")


def served(device: int) -> int:
    """Returns how many data requests a device has served."""
    return reference.data_requests(reference.status(device), status="OK")


def crypt_all(transforms: list[tuple[bytes, afalg.Transform]]) -> tuple[int, int]:
    """Sends a request of each transform. Returns how many requests each device has served."""
    before = served(0), served(1)
    for expected, transform in transforms:
        check_same(transform.crypt(afalg.ENCRYPT, IV, DATA), expected, "ciphertext")
    return served(0) - before[0], served(1) - before[1]


def new_transforms() -> list[tuple[bytes, afalg.Transform]]:
    """Returns transforms with different keys, each with the expected ciphertext of DATA."""
    found = []
    for _ in range(COUNT):
        key = os.urandom(32)
        with afalg.Transform(crypto.generic().driver, key) as generic:
            expected = generic.crypt(afalg.ENCRYPT, IV, DATA)
        found.append((expected, afalg.Transform(crypto.SYNC, key)))
    return found


def close_all(transforms: list[tuple[bytes, afalg.Transform]]) -> None:
    """Frees transforms."""
    for _, transform in transforms:
        transform.close()


@test("two devices: new transforms are distributed over both")
def _() -> None:
    wait_until(lambda: states() == ["ready"] * 2, LONG, "both devices are ready")
    transforms = new_transforms()
    try:
        done = crypt_all(transforms)
    finally:
        close_all(transforms)
    check_equal(sum(done), COUNT, "requests of the devices")
    check(min(done) > 0, f"a device has served no request: {done}")


for number in (0, 1):

    @test(f"device {number} not ready: old and new transforms use the other device")
    def _(number: int = number) -> None:
        old = new_transforms()
        set_ready(number, False, ["not_ready", "ready"])
        new = new_transforms()
        try:
            # The driver re-establishes the sessions of old transforms on the other device.
            wait_until(lambda: crypt_all(old)[1 - number] == COUNT, LONG, "old transforms")
            stats = OffloadStats()
            done = crypt_all(old), crypt_all(new)
            check_equal(stats.fallbacks(), {}, "requests on the fallback")
            expected = (0, COUNT) if number == 0 else (COUNT, 0)
            check_equal(done, (expected, expected), "requests of each device, old and new")
        finally:
            close_all(old + new)
            set_ready(number, True, ["ready", "ready"])


afalg.prepare()
if "--leave-one" in sys.argv:

    @test("device 1: set to not ready")
    def _() -> None:
        set_ready(1, False, ["not_ready", "ready"])


tap.run()
