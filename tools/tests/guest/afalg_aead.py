#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""AEAD through AF_ALG. Results must equal those of the kernel's own implementation. The device must
serve the expected number of requests.

usage: afalg_aead.py [--too-long]

For a guest with a reference device. --too-long requires a device with max_size=16384.
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


def transforms_of(algorithm: Algorithm) -> tuple[aead.Transform, aead.Transform]:
    """Returns transforms of the driver's and the kernel's own implementation with the same key."""
    key = algorithm.random_key()
    return (
        aead.Transform(algorithm.synchronous, key, algorithm.tag),
        aead.Transform(algorithm.generic, key, algorithm.tag),
    )


def compare(algorithm: Algorithm, sizes: list[tuple[int, int]], expected: int) -> None:
    """Seals and unseals a message of each size. Checks the number of the device's requests."""
    ours, theirs = transforms_of(algorithm)
    before = aead.served()
    with ours, theirs:
        for aad_size, size in sizes:
            iv, aad, text = algorithm.random_iv(), os.urandom(aad_size), os.urandom(size)
            sealed = ours.seal(iv, aad, text)
            check_same(sealed, theirs.seal(iv, aad, text), f"{aad_size} and {size} bytes, sealed")
            unsealed = ours.unseal(iv, aad, sealed)
            check_same(unsealed, text, f"{aad_size} and {size} bytes, unsealed")
    check_equal(aead.served() - before, expected, "requests of the device")


def check_sizes(algorithm: Algorithm) -> None:
    """Tests sizes that the device supports."""
    texts = sorted({-(-size // algorithm.block) * algorithm.block for size in TEXTS})
    sizes = [(aad, text) for aad in AADS for text in texts]
    compare(algorithm, sizes, 2 * len(sizes))


def check_no_plaintext(algorithm: Algorithm) -> None:
    """Tests messages without plaintext. They run on the fallback if the algorithm is a chain."""
    sizes = [(aad, 0) for aad in AADS]
    compare(algorithm, sizes, 0 if algorithm.auth_key_size else 2 * len(sizes))


def check_too_long(algorithm: Algorithm) -> None:
    """Tests messages that exceed the device's max_size."""
    sizes = [(0, 16384), (16384, 16), (9000, 8192)]
    compare(algorithm, sizes, 0)


def check_forged(algorithm: Algorithm) -> None:
    """Tests messages with one inverted bit, in AAD, ciphertext or tag."""
    ours, theirs = transforms_of(algorithm)
    before = aead.served()
    with ours, theirs:
        iv, aad, text = algorithm.random_iv(), os.urandom(20), os.urandom(96)
        sealed = theirs.seal(iv, aad, text)
        message = aad + sealed
        positions = [*range(0, len(message), 3), len(message) - 1]
        for position in positions:
            wrong = bytearray(message)
            wrong[position] ^= 1 << position % 8
            try:
                ours.unseal(iv, bytes(wrong[:20]), bytes(wrong[20:]))
            except OSError as error:
                check_equal(error.errno, errno.EBADMSG, f"errno, byte {position}")
            else:
                raise tap.Failure(f"no error for a wrong byte {position}")
        check_same(ours.unseal(iv, aad, sealed), text, "the right message")
    check_equal(aead.served() - before, len(positions) + 1, "requests of the device")


def check_tag_lengths(algorithm: Algorithm) -> None:
    """Tests tag lengths. Both implementations must accept the same lengths and return the same
    results."""
    key, accepted, before = algorithm.random_key(), 0, aead.served()
    for tag in sorted({1, 4, 7, 8, 12, 13, 16, algorithm.tag, algorithm.tag + 1}):
        transforms: list[aead.Transform] = []
        for name in (algorithm.synchronous, algorithm.generic):
            try:
                transforms.append(aead.Transform(name, key, tag))
            except OSError as error:
                check_equal(error.errno, errno.EINVAL, f"errno of {name}, tag of {tag} bytes")
        if not transforms:
            continue
        check_equal(len(transforms), 2, f"implementations that accept tags of {tag} bytes")
        accepted += 1
        with transforms[0] as ours, transforms[1] as theirs:
            iv, aad, text = algorithm.random_iv(), os.urandom(13), os.urandom(32)
            sealed = ours.seal(iv, aad, text)
            check_same(sealed, theirs.seal(iv, aad, text), f"tag of {tag} bytes")
            check_same(ours.unseal(iv, aad, sealed), text, f"tag of {tag} bytes, unsealed")
    check_equal(aead.served() - before, 2 * accepted, "requests of the device")
    check(accepted, "no tag length is accepted")


def check_same_key(algorithm: Algorithm) -> None:
    """Sets key and tag length again, as SMB does for each message. This must create no session."""
    key = algorithm.random_key()
    with aead.Transform(algorithm.synchronous, key, algorithm.tag) as transform:
        before = aead.sessions_created()
        for _ in range(5):
            transform.set_key(key)
            transform.set_tag(algorithm.tag)
        check_equal(aead.sessions_created() - before, 0, "sessions for an unchanged key")
        transform.set_key(algorithm.random_key())
        check_equal(aead.sessions_created() - before, 2, "sessions for another key")
        # ChaCha20-Poly1305 has only one tag length.
        if algorithm is not aead.CHACHA:
            transform.set_tag(12)
            check_equal(aead.sessions_created() - before, 4, "sessions for another tag")


def check_by_name(algorithm: Algorithm) -> None:
    """Allocates the algorithm by its name, without a driver name."""
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


TESTS = [
    ("all sizes: correct result, one request on the device", check_sizes),
    ("no plaintext: correct result", check_no_plaintext),
    ("one inverted bit: EBADMSG", check_forged),
    ("tag lengths: same errors and results as the kernel's implementation", check_tag_lengths),
    ("sessions: re-created only if key or tag length changes", check_same_key),
    ("by algorithm name: on the device only if preferred", check_by_name),
]
if sys.argv[1:] == ["--too-long"]:
    TESTS = [("longer than max_size: correct result, on the fallback", check_too_long)]
for each in (aead.GCM, aead.CCM, aead.CHACHA, aead.CBC_SHA256, aead.CTR_SHA512):
    for title, function in TESTS:
        test(f"{each.synchronous}: {title}")(partial(function, each))


if __name__ == "__main__":
    afalg.prepare()
    tap.run()
