#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The daemon serves a guest. The driver registers the algorithms that the daemon offers. Results
through AF_ALG equal OpenSSL's. The kernel's own cipher reads a volume that the device has written.

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


@test("registration: the algorithms that the daemon offers, and no others")
def _() -> None:
    found, expected = crypto.registered(), crypto.variants()
    check_equal(sorted(expected - found), [], "not registered")
    check_equal(sorted(found - expected), [], "registered, but not offered")
    tap.note(f"{len(found)} algorithms")


@test("registered algorithms: all have passed their self-tests")
def _() -> None:
    failed = [name for name, algorithm in crypto.ours().items() if not algorithm.passed]
    check_equal(failed, [], "failed")


def check_cipher(cipher: Cipher) -> None:
    """Sends requests of all sizes in both directions, with the longest key."""
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


for each in ciphers.of_devices():
    test(f"{each.name}: OpenSSL's results through AF_ALG, on the device")(
        partial(check_cipher, each)
    )


@test("LUKS2 volume: the device writes and reads it, the kernel's own cipher reads it")
def _() -> None:
    volume = workloads.Volume()
    volume.open()
    before = driver_state.completed()
    tap.wait_until(lambda: volume.files() >= FILES, 120, f"{FILES} files are written")
    check(driver_state.completed() > before + FILES, "the device has completed too few requests")
    volume.close()


@test("requests: none has failed or run on the fallback; the device was not restarted")
def _() -> None:
    check_equal(driver_state.fallbacks(), SELFTEST_FALLBACKS, "requests on the fallback")
    check_equal(driver_state.restarts(), 0, "restarts")
    log.check_quiet()


tap.wait_until(lambda: crypto.is_tested(log), 600, "the self-tests end")
# The self-tests also send synchronous requests that may not sleep. These run on the fallback.
SELFTEST_FALLBACKS = driver_state.fallbacks()
afalg.prepare()
tap.run()
