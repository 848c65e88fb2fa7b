#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Indirect descriptors are accepted only where the rings are small.

usage: indirect.py ACCEPTED...

For a guest with as many reference devices as there are arguments. ACCEPTED is 1 if the driver is to
accept the feature of this device, and 0 if not.
"""

import os
import sys

from lib import afalg, crypto, module, reference, tap
from lib.tap import check, check_equal, check_same, test

INDIRECT_DESC = 1 << 28
ACCEPTED = [argument == "1" for argument in sys.argv[1:]]
DEVICES = range(len(ACCEPTED))
LONG = 120


def served() -> list[int]:
    """Returns how many data requests each device has done."""
    return [reference.data_requests(reference.status(device), status="OK") for device in DEVICES]


def check_devices() -> None:
    """Checks the features that the devices have seen accepted, and that each device does requests."""
    features = [reference.status(device)["features"] for device in DEVICES]
    check_equal([bool(each & INDIRECT_DESC) for each in features], ACCEPTED, "accepted")
    before = served()
    iv, data = os.urandom(16), os.urandom(4096)
    transforms = []
    # New transforms use one device after the other.
    for _ in DEVICES:
        key = os.urandom(16)
        transform = afalg.Transform(crypto.SYNC, key)
        transforms.append(transform)
        check_same(
            transform.crypt(afalg.ENCRYPT, iv, data), afalg.openssl(key, iv, data), "ciphertext"
        )
    for transform in transforms:
        transform.close()
    done = [after - earlier for earlier, after in zip(before, served(), strict=True)]
    check(all(done), f"requests done by the devices: {done}")


@test("indirect descriptors: accepted by rings below 512 descriptors, if the device offers them")
def _() -> None:
    module.wait_passed(LONG)
    check_devices()


@test("indirect descriptors: the same after unbind and bind")
def _() -> None:
    module.unbind()
    module.bind(LONG)
    check_devices()


afalg.prepare()
tap.run()
