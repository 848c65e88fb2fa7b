#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The driver accepts indirect descriptors only on small rings.

usage: indirect.py ACCEPTED...

For a guest with a reference device for each argument. ACCEPTED is 1 if the driver must accept the
feature VIRTIO_F_INDIRECT_DESC of the device, and 0 otherwise.
"""

import os
import sys

from lib import afalg, crypto, module, reference, tap
from lib.tap import check, check_equal, check_same, test

INDIRECT_DESC = 1 << 28
ACCEPTED = [argument == "1" for argument in sys.argv[1:]]
DEVICES = range(len(ACCEPTED))
LONG = 120  # time limit in seconds


def served() -> list[int]:
    """Returns how many data requests each device has served."""
    return [reference.data_requests(reference.status(device), status="OK") for device in DEVICES]


def check_devices() -> None:
    """Checks the negotiated features of all devices, and that each device serves requests."""
    features = [reference.status(device)["features"] for device in DEVICES]
    check_equal([bool(each & INDIRECT_DESC) for each in features], ACCEPTED, "accepted")
    before = served()
    iv, data = os.urandom(16), os.urandom(4096)
    transforms = []
    # Each new transform uses the next device.
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
    check(all(done), f"requests served by the devices: {done}")


@test("indirect descriptors: accepted by rings below 512 descriptors, if the device offers them")
def _() -> None:
    module.wait_passed(LONG)
    check_devices()


@test("indirect descriptors: accepted or not as before, after unbind and bind")
def _() -> None:
    module.unbind()
    module.bind(LONG)
    check_devices()


afalg.prepare()
tap.run()
