#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The daemon serves a guest: the driver registers what the daemon offers, programs get OpenSSL's
results, and the kernel's own cipher reads a volume that the device has written.

For a guest with a daemon device, and the module loaded with prefer=1.
"""

import os
from functools import partial

from lib import afalg, ciphers, crypto, driver_state, tap, workloads
from lib.ciphers import Cipher
from lib.kernel_log import KernelLog
from lib.tap import check, check_equal, check_same, test

SIZES = (16, 64, 512, 4096, 65536)
FILES = 20
log = KernelLog()


@test("the driver registers the algorithms that the daemon offers, and no others")
def _() -> None:
    found, expected = crypto.registered(), crypto.variants()
    check_equal(sorted(expected - found), [], "not registered")
    check_equal(sorted(found - expected), [], "registered besides")
    tap.note(f"{len(found)} algorithms")


@test("all of them have passed their self-tests")
def _() -> None:
    failed = [name for name, algorithm in crypto.ours().items() if not algorithm.passed]
    check_equal(failed, [], "failed")


def encrypts(cipher: Cipher) -> None:
    """Requests of all sizes, with the longest key, in both directions."""
    key, iv = cipher.random_key(), cipher.random_iv()
    before = driver_state.completed()
    with afalg.Transform(cipher.synchronous, key) as transform:
        for size in SIZES:
            data = os.urandom(size)
            sealed = transform.crypt(afalg.ENCRYPT, iv, data)
            check_same(sealed, cipher.openssl(key, iv, data), f"{size} bytes encrypted")
            opened = transform.crypt(afalg.DECRYPT, iv, sealed)
            check_same(opened, data, f"{size} bytes decrypted")
    check_equal(driver_state.completed() - before, 2 * len(SIZES), "requests of the device")


for one in ciphers.of_devices():
    test(f"{one.name}: results through AF_ALG are OpenSSL's, by the device")(partial(encrypts, one))


@test("a LUKS2 volume is written and read by the device, and read by the kernel's own cipher")
def _() -> None:
    volume = workloads.Volume()
    volume.open()
    before = driver_state.completed()
    tap.wait_until(lambda: volume.files() >= FILES, 120, f"{FILES} files are written")
    check(driver_state.completed() > before + FILES, "the device did not work")
    volume.close()


@test("no request has failed or run on the fallback, and the device was not restarted")
def _() -> None:
    check_equal(driver_state.fallbacks(), BEFORE, "requests on the fallback")
    check_equal(driver_state.restarts(), 0, "restarts")
    log.check_quiet()


tap.wait_until(lambda: crypto.is_tested(log), 600, "the self-tests end")
# Those of the self-tests that may not sleep.
BEFORE = driver_state.fallbacks()
afalg.prepare()
tap.run()
