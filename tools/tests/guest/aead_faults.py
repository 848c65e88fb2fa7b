#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Authenticated encryption by a device that is at fault: the result is right, or an error; and
what is not authentic never passes for it.

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
    """The device has a fault, for the next data request."""
    reference.command(command="clear")
    reference.command(command="fault", fault=f"{fault}:queue=0:count=1")


def fired() -> bool:
    """It had it."""
    return any(fault["happened"] for fault in reference.status()["faults"])


def outcome(work: Callable[[], bytes]) -> bytes | int:
    """What comes of it, or which error it is."""
    try:
        return work()
    except OSError as error:
        return error.errno or 0


def check_fault(
    algorithm: Algorithm, fault: str, to_seal: int | None, to_unseal: int | None
) -> None:
    """Both directions with a fault come to these errors, or, without one, to what is right. After
    it everything is right."""
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
            check(outcome(work) == (error or right), f"{what}, {fault}: not what it should be")
            check(fired(), f"{what}, {fault}: the device did not have it")
            before = aead.served(status="OK")
            check_same(work(), right, f"{what}, after {fault}")
            check_equal(aead.served(status="OK") - before, 1, "requests of the device after that")


def refused(algorithm: Algorithm) -> None:
    """A device that refuses, whatever it says, leaves the work to software. That a message is not
    authentic it may say of those that it verifies."""
    for status in (1, 3, 4, 5, 8, 255):
        check_fault(algorithm, f"refuse-operation:value={status}", None, None)
    verifies = not algorithm.auth_key_size
    unsealing = errno.EBADMSG if verifies else None
    check_fault(algorithm, "refuse-operation:value=2", None, unsealing)


def wrong(algorithm: Algorithm) -> None:
    """A tag that the device finds wrong, or makes wrong."""
    key, iv = algorithm.random_key(), algorithm.random_iv()
    with (
        aead.Transform(algorithm.synchronous, key, algorithm.tag) as ours,
        aead.Transform(algorithm.generic, key, algorithm.tag) as theirs,
    ):
        sealed = theirs.seal(iv, AAD, TEXT)
        once("wrong-tag")
        got = outcome(lambda: ours.unseal(iv, AAD, sealed))
        check_equal(got, errno.EBADMSG, "unsealing")
        check(fired(), "the device did not have the fault")
        check_same(ours.unseal(iv, AAD, sealed), TEXT, "after that")
        # Nobody but the receiver can find that out.
        once("wrong-tag")
        bad = ours.seal(iv, AAD, TEXT)
        got = outcome(lambda: theirs.unseal(iv, AAD, bad))
        check_equal(got, errno.EBADMSG, "unsealing by software")


def half_done(algorithm: Algorithm) -> None:
    """A device that has written, and says that it has failed, or nothing. AF_ALG's requests have a
    destination of their own, so that software can do them again."""
    for fault in ("dirty-failure", "status-unwritten"):
        check_fault(algorithm, fault, None, None)


for one in (aead.GCM, aead.CBC_SHA256, aead.CTR_SHA512):
    for title, play in (
        ("what the device refuses is software's, and right", refused),
        ("a tag that the device finds wrong is EBADMSG", wrong),
        ("what the device has done by half is software's, and right", half_done),
    ):
        test(f"{one.synchronous}: {title}")(partial(play, one))

if __name__ == "__main__":
    afalg.prepare()
    tap.run()
