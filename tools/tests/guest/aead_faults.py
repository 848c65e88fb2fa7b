#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""AEAD on a device with faults: each request gives the correct result or an error. The driver never
accepts a forged message.

For a guest with a reference device.
"""

import errno
import os
from collections.abc import Callable
from functools import partial

from lib import aead, afalg, reference, tap
from lib.aead import Algorithm
from lib.tap import check, check_equal, check_same, test

AAD, TEXT = os.urandom(20), os.urandom(4096)


def inject_once(fault: str) -> None:
    """Injects a fault for the next data request."""
    reference.command(command="clear")
    reference.command(command="fault", fault=f"{fault}:queue=0:count=1")


def has_fired() -> bool:
    """Returns true if the fault has happened."""
    return any(fault["happened"] for fault in reference.status()["faults"])


def outcome(request: Callable[[], bytes]) -> bytes | int:
    """Returns the result of a function, or its errno."""
    try:
        return request()
    except OSError as error:
        return error.errno or 0


def check_fault(
    algorithm: Algorithm, fault: str, seal_error: int | None, unseal_error: int | None
) -> None:
    """Seals and unseals with a fault. `seal_error` and `unseal_error` are the expected errors, or
    None for success. A request after the fault must succeed on the device."""
    key, iv = algorithm.random_key(), algorithm.random_iv()
    with (
        aead.Transform(algorithm.synchronous, key, algorithm.tag) as ours,
        aead.Transform(algorithm.generic, key, algorithm.tag) as theirs,
    ):
        sealed = theirs.seal(iv, AAD, TEXT)
        cases: list[tuple[str, Callable[[], bytes], bytes, int | None]] = [
            ("sealing", lambda: ours.seal(iv, AAD, TEXT), sealed, seal_error),
            ("unsealing", lambda: ours.unseal(iv, AAD, sealed), TEXT, unseal_error),
        ]
        for what, request, expected, error in cases:
            inject_once(fault)
            check(outcome(request) == (error or expected), f"{what}, {fault}: unexpected outcome")
            check(has_fired(), f"{what}, {fault}: the fault did not happen")
            before = aead.served(status="OK")
            check_same(request(), expected, f"{what}, after {fault}")
            check_equal(aead.served(status="OK") - before, 1, "requests of the device afterwards")


def check_rejected(algorithm: Algorithm) -> None:
    """Tests that a request runs on the fallback for each error status of the device. An AEAD
    request with VIRTIO_CRYPTO_BADMSG (2) does not: this status says that the tag is wrong."""
    for status in (1, 3, 4, 5, 8, 255):
        check_fault(algorithm, f"refuse-operation:value={status}", None, None)
    # The driver verifies the tag of an algorithm chain itself.
    device_verifies = not algorithm.auth_key_size
    unseal_error = errno.EBADMSG if device_verifies else None
    check_fault(algorithm, "refuse-operation:value=2", None, unseal_error)


def check_wrong_tag(algorithm: Algorithm) -> None:
    """Tests tags that the device rejects or computes wrongly."""
    key, iv = algorithm.random_key(), algorithm.random_iv()
    with (
        aead.Transform(algorithm.synchronous, key, algorithm.tag) as ours,
        aead.Transform(algorithm.generic, key, algorithm.tag) as theirs,
    ):
        sealed = theirs.seal(iv, AAD, TEXT)
        inject_once("wrong-tag")
        got = outcome(lambda: ours.unseal(iv, AAD, sealed))
        check_equal(got, errno.EBADMSG, "unsealing")
        check(has_fired(), "the fault did not happen")
        check_same(ours.unseal(iv, AAD, sealed), TEXT, "afterwards")
        # Only the receiver can detect a tag that the device computes wrongly.
        inject_once("wrong-tag")
        bad = ours.seal(iv, AAD, TEXT)
        got = outcome(lambda: theirs.unseal(iv, AAD, bad))
        check_equal(got, errno.EBADMSG, "unsealing by the kernel's implementation")


def check_failed(algorithm: Algorithm) -> None:
    """Tests a device that writes output and then reports an error or no status. AF_ALG's requests
    are out of place, so the fallback can repeat them."""
    for fault in ("fail-after-write", "status-unwritten"):
        check_fault(algorithm, fault, None, None)


for each in (aead.GCM, aead.CBC_SHA256, aead.CTR_SHA512):
    for title, function in (
        ("request that the device rejects: correct result, on the fallback", check_rejected),
        ("tag that the device rejects: EBADMSG", check_wrong_tag),
        ("request that the device fails late: correct result, on the fallback", check_failed),
    ):
        test(f"{each.synchronous}: {title}")(partial(function, each))

if __name__ == "__main__":
    afalg.prepare()
    tap.run()
