#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Checks that exactly the algorithms of the devices are registered, that all have passed the
kernel's self-tests, and that the host has served requests.

usage: selftests.py [--fuzz N]

With --fuzz the kernel first repeats the self-tests with N random layouts of each vector, and with
8 * N random vectors whose results it compares with another implementation. The kernel's default is
100. This option is for the debug kernel with cryptomgr.noslowtests: the other implementations then
only run short self-tests at boot. The module parameter
"services" limits the algorithms.
"""

import argparse
import time
from functools import partial
from pathlib import Path

from lib import aead, afalg, ciphers, crypto, digests, host, module, publickeys, reference, tap
from lib.kernel_log import KernelLog
from lib.tap import check, check_equal, test, wait_until

PARAMETERS = Path("/sys/module/cryptomgr/parameters")
LIMIT = 3000  # seconds

parser = argparse.ArgumentParser()
parser.add_argument("--fuzz", type=int)
options = parser.parse_args()
CIPHERS = ciphers.of_devices()
DIGESTS = digests.of_devices()
AEADS = aead.of_devices()
PUBLIC_KEYS = publickeys.of_devices()


def run_fuzz_tests() -> None:
    """Repeats the self-tests of all algorithms, with random vectors."""
    afalg.prepare()
    for cipher in CIPHERS:
        # Instantiate the implementation that the kernel compares with. Otherwise its self-test
        # would run during the driver's self-test, which waits for it for at most one minute.
        afalg.Transform(cipher.fuzzed_against).close()
    for alg in AEADS:
        afalg.Transform(alg.fuzzed_against, kind="aead").close()
    log = KernelLog()
    wait_until(lambda: crypto.is_tested(log), LIMIT, "the self-tests of the fallbacks end")
    (PARAMETERS / "noslowtests").write_text("N")
    (PARAMETERS / "fuzz_iterations").write_text(str(options.fuzz))
    module.unbind()
    started = time.monotonic()
    module.bind(60)
    wait_until(lambda: crypto.is_tested(log), LIMIT, "the self-tests end")
    (PARAMETERS / "noslowtests").write_text("Y")
    tap.note(f"the self-tests have taken {time.monotonic() - started:.0f} s")
    skipped = log.matching("skipping comparison tests for .*-virtio")
    check(not skipped, "\n".join(skipped))


def passed(driver: str) -> None:
    """Checks that an algorithm is registered and has passed its self-test."""
    found = crypto.ours()
    check(driver in found, f"{driver} is not registered")
    check(found[driver].passed, f"selftest: {found[driver].fields['selftest']}")


if options.fuzz:
    test(f"self-tests with {options.fuzz} iterations: end")(run_fuzz_tests)
else:
    LOG = KernelLog()
    wait_until(lambda: crypto.is_tested(LOG), LIMIT, "the self-tests end")

for variant in sorted(crypto.variants()):
    test(f"{variant}: passed the self-tests")(partial(passed, variant))


@test("algorithms that the devices do not support: not registered")
def _() -> None:
    check_equal(sorted(set(crypto.ours()) - crypto.variants()), [], "unexpected algorithms")


def check_queues() -> None:
    """Checks that all queues of the device are set up, including unused ones."""
    missing = [line["queue"] for line in reference.status()["queues"] if not line["running"]]
    check(not missing, f"queues that are not set up: {missing}")


def check_cipher_requests() -> None:
    """Checks that the host has performed cipher requests."""
    work = host.read_stats()
    tap.note(str(work))
    # The self-tests of an asynchronous cipher make at least 10 requests in each iteration.
    least = 10 * len(CIPHERS) * (options.fuzz or 1)
    check(min(work.encrypt_ops, work.decrypt_ops) >= least, f"{work}, expected {least} or more")


def check_digest_requests() -> None:
    """Checks that the host has computed digests. Most random tests pass the message in parts, which
    do not use the device."""
    now = reference.status()
    for service in {digest.service for digest in DIGESTS}:
        made = reference.requests(now, operation=service, status="OK")
        per_digest = 10 + 6 * (options.fuzz or 0)
        least = per_digest * sum(digest.service == service for digest in DIGESTS)
        check(made >= least, f"{service}: {made} digests, expected {least} or more")


def check_aead_requests() -> None:
    """Checks that the host has performed requests of the AEAD service. The device counts algorithm
    chaining as cipher requests."""
    now = reference.status()
    least = 10 * sum(not one.auth_key_size for one in AEADS) * (options.fuzz or 1)
    for direction in ("ENCRYPT", "DECRYPT"):
        made = reference.requests(now, operation=f"AEAD_{direction}", status="OK")
        check(made >= least, f"{direction}: {made} messages, expected {least} or more")


def check_public_key_requests() -> None:
    """Checks that the host has performed at least one public key request for each vector."""
    now = reference.status()
    least = {"ENCRYPT": 5, "DECRYPT": 4} | ({"VERIFY": 19} if len(PUBLIC_KEYS) > 1 else {})
    for operation, count in least.items():
        made = reference.requests(now, operation=f"AKCIPHER_{operation}", status="OK")
        check(made >= count, f"{operation}: {made} requests, expected {count} or more")


if reference.devices():
    test("data queues: all are set up")(check_queues)
if CIPHERS:
    test("ciphers: the host has served requests")(check_cipher_requests)
if DIGESTS:
    test("hashes and MACs: the host has served requests")(check_digest_requests)
if any(not one.auth_key_size for one in AEADS):
    test("AEADs: the host has served requests")(check_aead_requests)
if PUBLIC_KEYS:
    test("public keys: the host has served requests")(check_public_key_requests)
tap.run()
