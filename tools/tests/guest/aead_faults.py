#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""AEAD on a device with faults: correct results or errors. A forged message must always fail.

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


def once(fault: str) -> None:
    """Injects a fault for the next data request."""
    reference.command(command="clear")
    reference.command(command="fault", fault=f"{fault}:queue=0:count=1")


def fired() -> bool:
    """Returns true if the fault has happened."""
    return any(fault["happened"] for fault in reference.status()["faults"])


def outcome(work: Callable[[], bytes]) -> bytes | int:
    """Returns the result of a function, or its errno."""
    try:
        return work()
    except OSError as error:
        return error.errno or 0


def check_fault(
    algorithm: Algorithm, fault: str, to_seal: int | None, to_unseal: int | None
) -> None:
    """Seals and unseals with a fault. `to_seal` and `to_unseal` are the expected errors, or None
    for success. A request after the fault must succeed on the device."""
    key, iv = algorithm.random_key(), algorithm.random_iv()
    with (
        aead.Transform(algorithm.synchronous, key, algorithm.tag) as ours,
        aead.Transform(algorithm.generic, key, algorithm.tag) as theirs,
    ):
        sealed = theirs.seal(iv, AAD, TEXT)
        tries: list[tuple[str, Callable[[], bytes], bytes, int | None]] = [
            ("sealing", lambda: ours.seal(iv, AAD, TEXT), sealed, to_seal),
            ("unsealing", lambda: ours.unseal(iv, AAD, sealed), TEXT, to_unseal),
        ]
        for what, work, right, error in tries:
            once(fault)
            check(outcome(work) == (error or right), f"{what}, {fault}: unexpected outcome")
            check(fired(), f"{what}, {fault}: the fault did not happen")
            before = aead.served(status="OK")
            check_same(work(), right, f"{what}, after {fault}")
            check_equal(aead.served(status="OK") - before, 1, "requests of the device afterwards")


def refused(algorithm: Algorithm) -> None:
    """Tests that a request runs on the fallback for each error status of the device. EBADMSG is a
    result of devices that verify tags themselves."""
    for status in (1, 3, 4, 5, 8, 255):
        check_fault(algorithm, f"refuse-operation:value={status}", None, None)
    verifies = not algorithm.auth_key_size
    unsealing = errno.EBADMSG if verifies else None
    check_fault(algorithm, "refuse-operation:value=2", None, unsealing)


def wrong(algorithm: Algorithm) -> None:
    """Tests tags that the device rejects or computes wrongly."""
    key, iv = algorithm.random_key(), algorithm.random_iv()
    with (
        aead.Transform(algorithm.synchronous, key, algorithm.tag) as ours,
        aead.Transform(algorithm.generic, key, algorithm.tag) as theirs,
    ):
        sealed = theirs.seal(iv, AAD, TEXT)
        once("wrong-tag")
        got = outcome(lambda: ours.unseal(iv, AAD, sealed))
        check_equal(got, errno.EBADMSG, "unsealing")
        check(fired(), "the fault did not happen")
        check_same(ours.unseal(iv, AAD, sealed), TEXT, "afterwards")
        # Only the receiver can detect a tag that the device computes wrongly.
        once("wrong-tag")
        bad = ours.seal(iv, AAD, TEXT)
        got = outcome(lambda: theirs.unseal(iv, AAD, bad))
        check_equal(got, errno.EBADMSG, "unsealing by the kernel's implementation")


def half_done(algorithm: Algorithm) -> None:
    """Tests a device that writes output and then reports an error or no status. AF_ALG's requests
    are out of place, so the fallback can repeat them."""
    for fault in ("fail-after-write", "status-unwritten"):
        check_fault(algorithm, fault, None, None)


for one in (aead.GCM, aead.CBC_SHA256, aead.CTR_SHA512):
    for title, play in (
        ("request that the device rejects: correct result, on the fallback", refused),
        ("tag that the device rejects: EBADMSG", wrong),
        ("request that the device does not complete: correct result, on the fallback", half_done),
    ):
        test(f"{one.synchronous}: {title}")(partial(play, one))

if __name__ == "__main__":
    afalg.prepare()
    tap.run()
