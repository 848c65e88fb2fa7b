#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Hashes and MACs: registration, use through AF_ALG, and requests in flight when the device fails.

usage: digests.py

For a guest with a reference device, and vc_hash.ko in the shared folder.
"""

import contextlib
import errno
import hashlib
import hmac
import os
import time
from collections.abc import Iterator
from pathlib import Path

from lib import afalg, crypto, digests, module, reference, tap, test_module
from lib.digests import Digest
from lib.kernel_log import KernelLog
from lib.tap import check, check_equal, check_same, test, wait_until

LIMIT = 120
ALL = list(digests.ALL.values())


def wait_passed() -> None:
    """Waits until all hashes and MACs have passed their self-tests."""

    def passed() -> bool:
        found = crypto.ours()
        return all(each.driver in found and found[each.driver].passed for each in ALL)

    wait_until(passed, LIMIT, "all have passed the self-tests")


def computed() -> int:
    """Returns how many digests the device has computed."""
    now = reference.status()
    return sum(reference.requests(now, operation=name, status="OK") for name in ("HASH", "MAC"))


@test("hashes and MACs: all are registered and have passed the self-tests")
def _() -> None:
    wait_passed()
    ours = crypto.ours().values()
    found = {alg.driver for alg in ours if alg.fields["type"] in ("ahash", "shash")}
    check_equal(found, {each.driver for each in ALL}, "registered")


@test("hashes and MACs: all are asynchronous only")
def _() -> None:
    found = crypto.ours()
    wrong = [each.driver for each in ALL if found[each.driver].synchronous]
    check_equal(wrong, [], "synchronous")


def by_afalg(name: str, key: bytes | None, data: bytes, size: int) -> bytes:
    """Returns a digest computed through AF_ALG."""
    with afalg.Transform(name, key, kind="hash") as transform:
        with transform.operation() as operation:
            operation.send(data)
            return operation.recv(size)


@test("AF_ALG: uses the kernel's own hashes, with any priority of the driver")
def _() -> None:
    data, key = os.urandom(100_000), os.urandom(40)
    before = computed()
    for name in ("md5", "sha1", *digests.SHA2):
        plain, keyed = digests.ALL[name], digests.ALL[f"hmac({name})"]
        expected = hashlib.new(name, data).digest()
        check_same(by_afalg(plain.name, None, data, plain.size), expected, plain.name)
        expected = hmac.digest(key, data, name)
        check_same(by_afalg(keyed.name, key, data, keyed.size), expected, keyed.name)
    check_equal(computed() - before, 0, "digests of the device")


def check_rejected(digest: Digest) -> None:
    """Fails the test unless AF_ALG rejects the driver name of a hash or MAC."""
    try:
        afalg.Transform(digest.driver, kind="hash").close()
    except OSError as error:
        check_equal(error.errno, errno.ENOENT, f"errno of {digest.driver}")
    else:
        raise tap.Failure(f"{digest.driver}: bind() succeeded")


@test("AF_ALG: hashes and MACs by driver name: ENOENT")
def _() -> None:
    for each in ALL:
        check_rejected(each)


@contextlib.contextmanager
def load(digest: Digest) -> Iterator[None]:
    """Computes digests during the block. No digest may be wrong."""
    before = computed()
    running = test_module.TestModule(
        "vc_hash",
        driver=digest.driver,
        reference=digest.name,
        key_len=digest.key,
        load_only=1,
        depth=400,
        rounds=1_000_000,
        max_len=1024,
    )
    try:
        wait_until(lambda: computed() > before, 60, "the device computes digests")
        yield
        check(running.running(), "the load has ended early")
    finally:
        with contextlib.suppress(OSError):
            Path("/sys/module/vc_hash/parameters/stop").write_text("1")
    running.finish()


@contextlib.contextmanager
def fault(text: str) -> Iterator[None]:
    """Injects a fault during the block."""
    reference.command(command="fault", fault=text)
    try:
        yield
    finally:
        reference.command(command="clear")


def wait_until_served(what: str) -> None:
    """Waits until the device computes a digest."""
    before = computed()
    wait_until(lambda: computed() > before, 30, f"{what}: the device computes digests")


# Algorithms of the tests under load.
TESTED = [digests.ALL[name] for name in ("sha256", "hmac(sha512)", "cmac(aes)")]


@test("unbind and bind under load: the fallback completes requests meanwhile")
def _() -> None:
    for each in TESTED:
        with load(each):
            with fault("delay:value=20"):
                time.sleep(1)
                module.unbind()
            before = computed()
            time.sleep(1)
            check_equal(computed(), before, "digests of the unbound device")
            for name in module.devices():
                (module.DRIVER / "bind").write_text(name)
            # The transform must use the device again without another setkey.
            wait_until_served(each.driver)
        wait_passed()


@test("request timeout under load: no request is lost, the device is used again")
def _() -> None:
    log = KernelLog()

    def restarts() -> int:
        return len(log.matching("device reset and restarted"))

    for each in TESTED:
        before = restarts()
        with load(each):
            with fault("never-answer:after=1000:count=50"):
                wait_until(lambda: restarts() > before, 30, "a reset")
            wait_until_served(each.driver)
        wait_passed()


@test("device rejects requests or returns invalid statuses under load: the fallback runs")
def _() -> None:
    for each in TESTED:
        with load(each):
            for text in (
                "refuse-operation:value=1",
                "refuse-operation:value=3",
                "status-unwritten",
                "status-unknown:value=77",
                "fail-after-write",
            ):
                with fault(text):
                    time.sleep(0.5)
                wait_until_served(text)


if __name__ == "__main__":
    afalg.prepare()
    tap.run()
