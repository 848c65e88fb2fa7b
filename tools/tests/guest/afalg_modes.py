#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""All ciphers of the devices through AF_ALG. Results must equal openssl's. The host must serve the
expected number of requests and bytes.

For a guest with the driver loaded. afalg.py has more tests of CBC, and of AF_ALG itself.
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
# Sizes that are not a multiple of the block size.
ODD = (1, 7, 8, 9, 15, 17, 31, 33, 100, 4093, 4101, 65537)


def expected_stats(cipher: Cipher, sizes: list[int]) -> HostStats:
    """Returns the host's requests and bytes for requests of these sizes in both directions."""
    offloaded = [cipher.offloaded_bytes(size) for size in sizes]
    requests, total = sum(map(bool, offloaded)), sum(offloaded)
    return HostStats(requests, total, requests, total)


def check_sizes(cipher: Cipher, key: bytes, iv: bytes, sizes: list[int]) -> None:
    """Sends a request of each size in each direction."""
    data = os.urandom(max(sizes))
    with (
        host.serves_exactly(expected_stats(cipher, sizes)),
        afalg.Transform(cipher.synchronous, key) as transform,
    ):
        for size in sizes:
            expected = cipher.openssl(key, iv, data[:size])
            result = transform.crypt(ENCRYPT, iv, data[:size])
            check_same(result, expected, f"{size} bytes encrypted")
            result = transform.crypt(DECRYPT, iv, expected)
            check_same(result, data[:size], f"{size} bytes decrypted")


def check_whole_blocks(cipher: Cipher) -> None:
    """Tests multiples of the block size, with every key size that openssl and the device
    support."""
    blocks = (1, 2, 3, 16, 255, 256, 257, 4096)
    sizes = [cipher.block * count for count in blocks] + [cipher.largest]
    for size in cipher.keys:
        if size != 48:
            check_sizes(cipher, cipher.random_key(size), cipher.random_iv(), sizes)


def check_too_long(cipher: Cipher) -> None:
    """Tests requests that are too long for the device."""
    sizes = [cipher.largest + cipher.block, MIB]
    if cipher.mode == "ctr":
        sizes += [cipher.largest + 1, MIB - 5]
    check_sizes(cipher, cipher.random_key(), cipher.random_iv(), sizes)


def check_odd_sizes(cipher: Cipher) -> None:
    """Tests sizes that are not a multiple of the block size."""
    least = cipher.block if cipher.mode == "xts" else 1
    sizes = [size for size in ODD if size >= least]
    check_sizes(cipher, cipher.random_key(), cipher.random_iv(), sizes)


def check_wrapping_counter(cipher: Cipher) -> None:
    """Tests counters that wrap: within a request, just before the last partial block, and at the
    block where the device takes over from the fallback."""
    for below in (0, 1, 3, 255):
        iv = ((1 << 8 * cipher.block) - 1 - below).to_bytes(cipher.block)
        sizes = [(below + extra) * cipher.block + rest for extra in (1, 2, 5) for rest in (0, 5)]
        check_sizes(cipher, cipher.random_key(), iv, sizes)
    # Incrementing carries into the upper half of the counter.
    iv = b"\x01" + bytes(cipher.block // 2 - 1) + b"\xff" * (cipher.block // 2)
    check_sizes(cipher, cipher.random_key(), iv, [cipher.block * 3 + 1])
    for below in (0, 1):
        iv = ((1 << 8 * cipher.block) - 1 - below).to_bytes(cipher.block)
        check_sizes(cipher, cipher.random_key(), iv, [cipher.largest + cipher.block + 3])


def check_stream(cipher: Cipher) -> None:
    """Tests consecutive requests of one operation. Each continues the IV of the previous one."""
    lengths = [cipher.block * count for count in (1, 2, 256, 1, 255, 513)]
    # The beginning of a request that is too long runs on the fallback. The device must continue the
    # fallback's IV.
    lengths += [cipher.largest + 3 * cipher.block, cipher.block, cipher.largest + cipher.block]
    if cipher.any_length:
        lengths.append(cipher.block * 3 + 5)
    key, iv = cipher.random_key(), cipher.random_iv()
    data = os.urandom(sum(lengths))
    expected = cipher.openssl(key, iv, data)
    with (
        host.serves_exactly(expected_stats(cipher, lengths)),
        afalg.Transform(cipher.synchronous, key) as transform,
    ):
        for op, source, output in ((ENCRYPT, data, expected), (DECRYPT, expected, data)):
            with transform.operation() as operation:
                at = 0
                for length in lengths:
                    end = at + length
                    op_, iv_ = (op, iv) if at == 0 else (None, None)
                    operation.send(source[at:end], op_, iv_, more=end < len(data))
                    what = f"op {op}, {length} bytes from {at} on"
                    check_same(operation.recv(length), output[at:end], what)
                    at = end


def check_odd_pieces(cipher: Cipher) -> None:
    """Tests data that are sent in small pieces and received into buffers of other sizes."""
    key, iv = cipher.random_key(), cipher.random_iv()
    # sendmsg() takes at most 1024 pieces.
    size = 60 * cipher.block + (5 if cipher.any_length else 0)
    data = os.urandom(size)
    expected = cipher.openssl(key, iv, data)
    with afalg.Transform(cipher.synchronous, key) as transform:
        for op, source, output in ((ENCRYPT, data, expected), (DECRYPT, expected, data)):
            for step in (1, 3, 37, 200):
                pieces = [source[at : at + step] for at in range(0, size, step)]
                memory = bytearray(size)
                view = memoryview(memory)
                buffers = [view[at : at + step + 1] for at in range(0, size, step + 1)]
                with transform.operation() as operation:
                    operation.send(pieces, op, iv)
                    check_equal(operation.recv_into(buffers), size, "bytes received")
                check_same(bytes(memory), output, f"op {op}, pieces of {step} bytes")


def check_by_name(cipher: Cipher) -> None:
    """Allocates the cipher by its algorithm name, without a driver name."""
    preferred = crypto.preferred(cipher.name)
    tap.note(f"the driver is {'' if preferred else 'not '}preferred")
    key, iv = cipher.random_key(), cipher.random_iv()
    data = os.urandom(65536)
    expected = cipher.openssl(key, iv, data)
    stats = expected_stats(cipher, [len(data)]) if preferred else HostStats()
    with host.serves_exactly(stats), afalg.Transform(cipher.name, key) as transform:
        check_same(transform.crypt(ENCRYPT, iv, data), expected, "encrypted")
        check_same(transform.crypt(DECRYPT, iv, expected), data, "decrypted")


@test("xts-aes-virtio-sync: 48-byte key: correct result, on QEMU's device on the fallback")
def _() -> None:
    cipher = ciphers.XTS
    key, iv, data = cipher.random_key(48), cipher.random_iv(), os.urandom(4096)
    stats = HostStats(1, len(data), 1, len(data)) if reference.devices() else HostStats()
    with (
        host.serves_exactly(stats),
        afalg.Transform(cipher.synchronous, key) as ours,
        afalg.Transform(crypto.generic(cipher.name).driver, key) as other,
    ):
        secret = ours.crypt(ENCRYPT, iv, data)
        check_same(secret, other.crypt(ENCRYPT, iv, data), "encrypted")
        check_same(ours.crypt(DECRYPT, iv, secret), data, "decrypted")


@test("ciphers that the device does not support: ENOENT")
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


for each in ciphers.of_devices():
    tests = [
        (f"{each.block} to {each.largest} bytes: openssl's result, one request on the host",
         check_whole_blocks),
        ("longer requests: correct result, "
         + ("on the fallback" if each.mode == "xts" else "their end on the host"), check_too_long),
        ("odd pieces and buffers: correct result", check_odd_pieces),
        (f"algorithm name {each.name}: on the host only if preferred", check_by_name),
    ]  # fmt: skip
    if each.chains:
        tests.append(("one operation: each request continues the IV, on the host", check_stream))
    if each.mode == "ctr":
        tests.append(("partial blocks: correct result, on the host", check_odd_sizes))
        tests.append(("counter: wraps correctly", check_wrapping_counter))
    if each.mode == "xts":
        tests.append(("ciphertext stealing: correct result, on the fallback", check_odd_sizes))
    for title, function in tests:
        test(f"{each.synchronous}: {title}")(partial(function, each))


if __name__ == "__main__":
    afalg.prepare()
    tap.run()
