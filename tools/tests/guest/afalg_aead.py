#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Authenticated encryption through AF_ALG: the result is that of software, and the device has
done just what it should have.

usage: afalg_aead.py [--too-long]

For a guest with a reference device; with --too-long one whose max_size is 16384.
"""

import errno
import os
import sys
from functools import partial

from lib import aead, afalg, crypto, tap
from lib.aead import Algorithm
from lib.tap import check, check_equal, check_same, test

AADS = (0, 1, 8, 13, 20, 64, 255, 4096)
TEXTS = (1, 15, 16, 17, 255, 4096, 8191)


def both(algorithm: Algorithm) -> tuple[aead.Transform, aead.Transform]:
    """The driver's and software's, with the same key."""
    key = algorithm.random_key()
    return (
        aead.Transform(algorithm.synchronous, key, algorithm.tag),
        aead.Transform(algorithm.generic, key, algorithm.tag),
    )


def compare(algorithm: Algorithm, sizes: list[tuple[int, int]], expected: int) -> None:
    """One message of each size, sealed and unsealed; the device does so many of these."""
    ours, theirs = both(algorithm)
    before = aead.served()
    with ours, theirs:
        for aad_size, size in sizes:
            iv, aad, text = algorithm.random_iv(), os.urandom(aad_size), os.urandom(size)
            sealed = ours.seal(iv, aad, text)
            check_same(sealed, theirs.seal(iv, aad, text), f"{aad_size} and {size} bytes, sealed")
            unsealed = ours.unseal(iv, aad, sealed)
            check_same(unsealed, text, f"{aad_size} and {size} bytes, unsealed")
    check_equal(aead.served() - before, expected, "requests of the device")


def sizes_of(algorithm: Algorithm) -> None:
    """All sizes that the device does."""
    texts = sorted({-(-size // algorithm.block) * algorithm.block for size in TEXTS})
    sizes = [(aad, text) for aad in AADS for text in texts]
    compare(algorithm, sizes, 2 * len(sizes))


def no_text(algorithm: Algorithm) -> None:
    """Messages of associated data alone, or of nothing: a chain of nothing is software's."""
    sizes = [(aad, 0) for aad in AADS]
    compare(algorithm, sizes, 0 if algorithm.auth_key_size else 2 * len(sizes))


def too_long(algorithm: Algorithm) -> None:
    """Messages that are longer than the device takes."""
    sizes = [(0, 16384), (16384, 16), (9000, 8192)]
    compare(algorithm, sizes, 0)


def forged(algorithm: Algorithm) -> None:
    """One bit that is wrong, anywhere."""
    ours, theirs = both(algorithm)
    before = aead.served()
    with ours, theirs:
        iv, aad, text = algorithm.random_iv(), os.urandom(20), os.urandom(96)
        sealed = theirs.seal(iv, aad, text)
        message = aad + sealed
        places = [*range(0, len(message), 3), len(message) - 1]
        for place in places:
            wrong = bytearray(message)
            wrong[place] ^= 1 << place % 8
            try:
                ours.unseal(iv, bytes(wrong[:20]), bytes(wrong[20:]))
            except OSError as error:
                check_equal(error.errno, errno.EBADMSG, f"errno, byte {place}")
            else:
                raise tap.Failure(f"byte {place} may be wrong")
        check_same(ours.unseal(iv, aad, sealed), text, "the right message")
    check_equal(aead.served() - before, len(places) + 1, "requests of the device")


def tags(algorithm: Algorithm) -> None:
    """Tags of some lengths: the same are refused, and the others are the same."""
    key, taken, before = algorithm.random_key(), 0, aead.served()
    for tag in sorted({1, 4, 7, 8, 12, 13, 16, algorithm.tag, algorithm.tag + 1}):
        transforms: list[aead.Transform] = []
        for name in (algorithm.synchronous, algorithm.generic):
            try:
                transforms.append(aead.Transform(name, key, tag))
            except OSError as error:
                check_equal(error.errno, errno.EINVAL, f"errno of {name}, tag of {tag} bytes")
        if not transforms:
            continue
        check_equal(len(transforms), 2, f"who has tags of {tag} bytes")
        taken += 1
        with transforms[0] as ours, transforms[1] as theirs:
            iv, aad, text = algorithm.random_iv(), os.urandom(13), os.urandom(32)
            sealed = ours.seal(iv, aad, text)
            check_same(sealed, theirs.seal(iv, aad, text), f"tag of {tag} bytes")
            check_same(ours.unseal(iv, aad, sealed), text, f"tag of {tag} bytes, unsealed")
    check_equal(aead.served() - before, 2 * taken, "requests of the device")
    check(taken, "no tag is taken")


def same_key(algorithm: Algorithm) -> None:
    """A key and a length that are set again, as SMB does for every message, cost nothing."""
    key = algorithm.random_key()
    with aead.Transform(algorithm.synchronous, key, algorithm.tag) as transform:
        before = aead.sessions_created()
        for _ in range(5):
            transform.set_key(key)
            transform.set_tag(algorithm.tag)
        check_equal(aead.sessions_created() - before, 0, "sessions for what was there")
        transform.set_key(algorithm.random_key())
        check_equal(aead.sessions_created() - before, 2, "sessions for another key")
        # Which has but one length of tags.
        if algorithm is not aead.CHACHA:
            transform.set_tag(12)
            check_equal(aead.sessions_created() - before, 4, "sessions for another tag")


def by_name(algorithm: Algorithm) -> None:
    """A program that does not know of the driver."""
    priority = {alg.driver: alg.priority for alg in crypto.algorithms()}
    others = [
        alg.priority for alg in crypto.algorithms() if alg.name == algorithm.name and not alg.ours
    ]
    preferred = priority[algorithm.synchronous] > max(others, default=0)
    tap.note(f"the driver is {'' if preferred else 'not '}preferred")
    key = algorithm.random_key()
    iv, aad, text = algorithm.random_iv(), os.urandom(20), os.urandom(4096)
    before = aead.served()
    with (
        aead.Transform(algorithm.name, key, algorithm.tag) as named,
        aead.Transform(algorithm.generic, key, algorithm.tag) as theirs,
    ):
        sealed = named.seal(iv, aad, text)
        check_same(sealed, theirs.seal(iv, aad, text), "sealed")
        check_same(named.unseal(iv, aad, sealed), text, "unsealed")
    check_equal(aead.served() - before, 2 if preferred else 0, "requests of the device")


PLAYS = [
    ("any size is software's result, and one request for the device", sizes_of),
    ("a message without text is right", no_text),
    ("a wrong bit anywhere is EBADMSG", forged),
    ("tags of any length are software's", tags),
    ("sessions are made anew if key or tag length changes, not otherwise", same_key),
    ("a program that asks by name gets the device if and only if that is preferred", by_name),
]
if sys.argv[1:] == ["--too-long"]:
    PLAYS = [("what is too long is right, and software's", too_long)]
for one in (aead.GCM, aead.CCM, aead.CHACHA, aead.CBC_SHA256, aead.CTR_SHA512):
    for title, play in PLAYS:
        test(f"{one.synchronous}: {title}")(partial(play, one))


if __name__ == "__main__":
    afalg.prepare()
    tap.run()
