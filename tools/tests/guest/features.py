#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The driver does not accept a feature if the device does not offer the feature that it depends on.

usage: features.py

For a guest with a reference device that offers VIRTIO_CRYPTO_F_CIPHER_STATELESS_MODE without
VIRTIO_CRYPTO_F_REVISION_1.
"""

import os
import subprocess

from lib import afalg, crypto, reference, tap
from lib.tap import check_equal, check_same, test

# The feature bits of virtio crypto devices, as opposed to those of the transport and of the rings.
DEVICE_TYPE_BITS = 0x3F
WARNING = "ignoring feature 1: feature 0 not offered"


@test("a stateless mode without VIRTIO_CRYPTO_F_REVISION_1: not accepted")
def _() -> None:
    check_equal(reference.status()["features"] & DEVICE_TYPE_BITS, 0, "accepted features")
    log = subprocess.run(["dmesg"], check=True, capture_output=True, text=True).stdout
    check_equal(log.count(WARNING), 1, "warnings")


@test("a stateless mode is not accepted: the request uses a session")
def _() -> None:
    key, iv, data = os.urandom(16), os.urandom(16), os.urandom(512)
    before = reference.status()
    with afalg.Transform(crypto.SYNC, key) as transform:
        ciphertext = transform.crypt(afalg.ENCRYPT, iv, data)
    check_same(ciphertext, afalg.openssl(key, iv, data), "ciphertext")
    for stateless, count in ((False, 1), (True, 0)):
        served = [
            reference.data_requests(status, status="OK", stateless=stateless)
            for status in (before, reference.status())
        ]
        check_equal(served[1] - served[0], count, f"requests served, stateless {stateless}")


afalg.prepare()
tap.run()
