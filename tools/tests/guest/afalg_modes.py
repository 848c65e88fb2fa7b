#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""All ciphers of the devices through AF_ALG: the result is openssl's, and the host has done just
what it should have.

For a guest with the driver loaded. afalg.py says more of CBC, and of AF_ALG itself.
"""

import errno
import os
from functools import partial

from lib import afalg, ciphers, crypto, host, reference, tap
from lib.afalg import DECRYPT, ENCRYPT
from lib.ciphers import Cipher
from lib.host import HostStats
from lib.tap import check_equal, check_same, test

MIB = 1024 * 1024
# More bytes than whole blocks have, for those that take any length.
ODD = (1, 7, 8, 9, 15, 17, 31, 33, 100, 4093, 4101, 65537)


def expected_work(cipher: Cipher, sizes: list[int]) -> HostStats:
    """What the host must do for requests of these sizes, in both directions."""
    shares = [cipher.share(size) for size in sizes if cipher.share(size)]
    return HostStats(len(shares), sum(shares), len(shares), sum(shares))


def check_sizes(cipher: Cipher, key: bytes, iv: bytes, sizes: list[int]) -> None:
    """One request of each size in each direction."""
    data = os.urandom(max(sizes))
    with (
        host.does_exactly(expected_work(cipher, sizes)),
        afalg.Transform(cipher.synchronous, key) as transform,
    ):
        for size in sizes:
            expected = cipher.openssl(key, iv, data[:size])
            result = transform.crypt(ENCRYPT, iv, data[:size])
            check_same(result, expected, f"{size} bytes encrypted")
            result = transform.crypt(DECRYPT, iv, expected)
            check_same(result, data[:size], f"{size} bytes decrypted")


def whole_blocks(cipher: Cipher) -> None:
    """Sizes of whole blocks, with every size of key that openssl and the device take."""
    blocks = (1, 2, 3, 16, 255, 256, 257, 4096)
    sizes = [cipher.block * count for count in blocks] + [cipher.largest]
    for size in cipher.keys:
        if size != 48:
            check_sizes(cipher, cipher.random_key(size), cipher.random_iv(), sizes)


def too_long(cipher: Cipher) -> None:
    """Requests that are longer than the device takes."""
    sizes = [cipher.largest + cipher.block, MIB]
    if cipher.mode == "ctr":
        sizes += [cipher.largest + 1, MIB - 5]
    check_sizes(cipher, cipher.random_key(), cipher.random_iv(), sizes)


def any_length(cipher: Cipher) -> None:
    """Sizes that are no whole blocks."""
    least = cipher.block if cipher.mode == "xts" else 1
    sizes = [size for size in ODD if size >= least]
    check_sizes(cipher, cipher.random_key(), cipher.random_iv(), sizes)


def wraps(cipher: Cipher) -> None:
    """Counters that wrap, in the middle of a request, just before the last part of a block, and
    where software's part of a long request ends."""
    for below in (0, 1, 3, 255):
        iv = ((1 << 8 * cipher.block) - 1 - below).to_bytes(cipher.block)
        sizes = [(below + extra) * cipher.block + rest for extra in (1, 2, 5) for rest in (0, 5)]
        check_sizes(cipher, cipher.random_key(), iv, sizes)
    # Half of the counter is about to carry.
    iv = b"\x01" + bytes(cipher.block // 2 - 1) + b"\xff" * (cipher.block // 2)
    check_sizes(cipher, cipher.random_key(), iv, [cipher.block * 3 + 1])
    for below in (0, 1):
        iv = ((1 << 8 * cipher.block) - 1 - below).to_bytes(cipher.block)
        check_sizes(cipher, cipher.random_key(), iv, [cipher.largest + cipher.block + 3])


def stream(cipher: Cipher) -> None:
    """Several requests in one stream: each continues where the one before ended."""
    lengths = [cipher.block * count for count in (1, 2, 256, 1, 255, 513)]
    # Software does the beginning of these, and the IV has to go through both.
    lengths += [cipher.largest + 3 * cipher.block, cipher.block, cipher.largest + cipher.block]
    if cipher.any_length:
        lengths.append(cipher.block * 3 + 5)
    key, iv = cipher.random_key(), cipher.random_iv()
    data = os.urandom(sum(lengths))
    expected = cipher.openssl(key, iv, data)
    with (
        host.does_exactly(expected_work(cipher, lengths)),
        afalg.Transform(cipher.synchronous, key) as transform,
    ):
        for op, source, wanted in ((ENCRYPT, data, expected), (DECRYPT, expected, data)):
            with transform.operation() as operation:
                at = 0
                for length in lengths:
                    end = at + length
                    op_, iv_ = (op, iv) if at == 0 else (None, None)
                    operation.send(source[at:end], op_, iv_, more=end < len(data))
                    what = f"op {op}, {length} bytes from {at} on"
                    check_same(operation.recv(length), wanted[at:end], what)
                    at = end


def odd_pieces(cipher: Cipher) -> None:
    """Data that is sent in odd pieces and received into buffers of odd sizes."""
    key, iv = cipher.random_key(), cipher.random_iv()
    # One call takes 1024 pieces at most.
    size = 60 * cipher.block + (5 if cipher.any_length else 0)
    data = os.urandom(size)
    expected = cipher.openssl(key, iv, data)
    with afalg.Transform(cipher.synchronous, key) as transform:
        for op, source, wanted in ((ENCRYPT, data, expected), (DECRYPT, expected, data)):
            for step in (1, 3, 37, 200):
                pieces = [source[at : at + step] for at in range(0, size, step)]
                store = bytearray(size)
                view = memoryview(store)
                buffers = [view[at : at + step + 1] for at in range(0, size, step + 1)]
                with transform.operation() as operation:
                    operation.send(pieces, op, iv)
                    check_equal(operation.recv_into(buffers), size, "bytes received")
                check_same(bytes(store), wanted, f"op {op}, pieces of {step} bytes")


def by_name(cipher: Cipher) -> None:
    """A program that does not know of the driver."""
    preferred = crypto.preferred(cipher.name)
    tap.note(f"the driver is {'' if preferred else 'not '}preferred")
    key, iv = cipher.random_key(), cipher.random_iv()
    data = os.urandom(65536)
    expected = cipher.openssl(key, iv, data)
    work = expected_work(cipher, [len(data)]) if preferred else HostStats()
    with host.does_exactly(work), afalg.Transform(cipher.name, key) as transform:
        check_same(transform.crypt(ENCRYPT, iv, data), expected, "encrypted")
        check_same(transform.crypt(DECRYPT, iv, expected), data, "decrypted")


@test("xts-aes-virtio-sync: a key of 48 bytes, which QEMU does not take, is software's there")
def _() -> None:
    cipher = ciphers.XTS
    key, iv, data = cipher.random_key(48), cipher.random_iv(), os.urandom(4096)
    work = HostStats(1, len(data), 1, len(data)) if reference.devices() else HostStats()
    with (
        host.does_exactly(work),
        afalg.Transform(cipher.synchronous, key) as ours,
        afalg.Transform(crypto.generic(cipher.name).driver, key) as other,
    ):
        secret = ours.crypt(ENCRYPT, iv, data)
        check_same(secret, other.crypt(ENCRYPT, iv, data), "encrypted")
        check_same(ours.crypt(DECRYPT, iv, secret), data, "decrypted")


@test("ciphers that the device does not do are not to be had")
def _() -> None:
    for cipher in ciphers.ALL.values():
        if cipher in ciphers.of_devices():
            continue
        for name in cipher.variants:
            try:
                afalg.Transform(name).close()
            except OSError as error:
                check_equal(error.errno, errno.ENOENT, f"errno of {name}")
            else:
                raise tap.Failure(f"{name}: bind() succeeded")


for one in ciphers.of_devices():
    plays = [
        (f"one request of {one.block} to {one.largest} bytes is openssl's result, and one for "
         "the host", whole_blocks),
        ("what is longer is right, and the host does "
         + ("none of it" if one.mode == "xts" else "as much of it as it takes"), too_long),
        ("odd pieces and buffers are right", odd_pieces),
        (f"a program that asks for {one.name} gets the host if and only if that is preferred",
         by_name),
    ]  # fmt: skip
    if one.chains:
        plays.append(("requests on one stream continue the IV, by the host", stream))
    if one.mode == "ctr":
        plays.append(("the host does any length", any_length))
        plays.append(("counters wrap where they should", wraps))
    if one.mode == "xts":
        plays.append(("what has to steal ciphertext is right, and software's", any_length))
    for title, play in plays:
        test(f"{one.synchronous}: {title}")(partial(play, one))


if __name__ == "__main__":
    afalg.prepare()
    tap.run()
