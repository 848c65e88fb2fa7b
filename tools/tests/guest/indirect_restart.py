#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""With long rings, the driver does not use indirect descriptors at first. If requests time out and
the device has completed none, the driver restarts the device with indirect descriptors.

usage: indirect_restart.py

DPDK's device drops requests without indirect descriptors.

For a guest with one reference device with at least 512 descriptors, and with the module parameters
services=1 (only ciphers) and a short timeout_ms. With public keys, the driver would send
known-answer tests when it binds the device. The device would then have completed a request.
"""

import os

from lib import afalg, crypto, module, reference, tap
from lib.kernel_log import KernelLog
from lib.tap import check_equal, check_same, test, wait_until

INDIRECT_DESC = 1 << 28
LONG = 120  # time limit in seconds
# The fault of a device that completes no data request. The device has one data queue, and still
# completes control requests.
SILENT = "never-answer:queue=0"
log = KernelLog()


def accepted() -> bool:
    """Returns true if the driver has accepted indirect descriptors."""
    return bool(reference.status()["features"] & INDIRECT_DESC)


def served() -> int:
    """Returns how many data requests the device has served."""
    return reference.data_requests(reference.status(), status="OK")


def crypt() -> None:
    """Sends a request and checks its result, which the device or the fallback has computed."""
    key, iv, data = os.urandom(16), os.urandom(16), os.urandom(512)
    with afalg.Transform(crypto.SYNC, key) as transform:
        check_same(
            transform.crypt(afalg.ENCRYPT, iv, data), afalg.openssl(key, iv, data), "ciphertext"
        )


def time_out() -> None:
    """Sends a request that the device does not complete, and waits for the restart. The request
    runs on the fallback."""
    before = len(log.matching("device reset and restarted"))
    with reference.faulty(SILENT):
        crypt()
        wait_until(
            lambda: len(log.matching("device reset and restarted")) > before, LONG, "the restart"
        )


def check_serves() -> None:
    """Checks that the device serves a request."""
    module.wait_registered(LONG)
    before = served()
    crypt()
    check_equal(served() - before, 1, "requests served")


@test("device has completed requests: restarted without indirect descriptors")
def _() -> None:
    check_serves()
    time_out()
    check_serves()
    check_equal(accepted(), False, "accepted")


@test("device has completed no request: restarted with indirect descriptors")
def _() -> None:
    module.unbind()
    module.bind(LONG)
    check_equal(accepted(), False, "accepted before")
    time_out()
    check_serves()
    check_equal(accepted(), True, "accepted after")


afalg.prepare()
tap.run()
