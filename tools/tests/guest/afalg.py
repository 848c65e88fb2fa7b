#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""CBC through AF_ALG. Results are compared with openssl, and the host must process every request.

For a guest with the driver loaded. With prefer=1, requests for "cbc(aes)" must use the device, and
otherwise not. The program derives prefer from /proc/crypto, so it runs in guests with both values.
"""

import errno
import itertools
import multiprocessing
import os
import random
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from lib import afalg, crypto, host, tap
from lib.afalg import BLOCK, DECRYPT, ENCRYPT, LARGEST
from lib.host import HostStats
from lib.tap import check, check_equal, check_same, test

KEYS = (16, 24, 32)
SIZES = (16, 32, 48, 256, 4080, 4096, 4112, 8192, 12304, 65536, 65552, 262144, LARGEST)
PROCESSES = 8
MIB = 1024 * 1024


@test("AF_ALG: does not find the asynchronous variant")
def _() -> None:
    check(crypto.ASYNC in crypto.ours(), f"{crypto.ASYNC} is not registered at all")
    try:
        afalg.Transform(crypto.ASYNC).close()
    except OSError as error:
        check_equal(error.errno, errno.ENOENT, "bind()'s errno")
    else:
        raise tap.Failure("bind() succeeded")


def check_every_size(key_size: int) -> None:
    """Sends one request of each size that the device supports."""
    key, iv = afalg.random_key(key_size)
    data = os.urandom(max(SIZES))
    expected = afalg.openssl(key, iv, data)  # in CBC a prefix has a prefix of the result
    total = sum(SIZES)
    with (
        host.serves_exactly(HostStats(len(SIZES), total, len(SIZES), total)),
        afalg.Transform(crypto.SYNC, key) as transform,
    ):
        for size in SIZES:
            result = transform.crypt(ENCRYPT, iv, data[:size])
            check_same(result, expected[:size], f"{size} bytes encrypted")
            result = transform.crypt(DECRYPT, iv, expected[:size])
            check_same(result, data[:size], f"{size} bytes decrypted")


for each in KEYS:
    test(
        f"AES-{each * 8}: 16 to {LARGEST} bytes in both directions: openssl's result, "
        "one request on the host"
    )(partial(check_every_size, each))


@test("request that is too long for the device: correct result, its end on the host")
def _() -> None:
    key, iv = afalg.random_key(32)
    data = os.urandom(MIB)
    expected = afalg.openssl(key, iv, data)
    sizes = (LARGEST + BLOCK, 2 * LARGEST, MIB)
    stats = HostStats(len(sizes), len(sizes) * LARGEST, len(sizes), len(sizes) * LARGEST)
    with host.serves_exactly(stats), afalg.Transform(crypto.SYNC, key) as transform:
        for size in sizes:
            result = transform.crypt(ENCRYPT, iv, data[:size])
            check_same(result, expected[:size], f"{size} bytes encrypted")
            result = transform.crypt(DECRYPT, iv, expected[:size])
            check_same(result, data[:size], f"{size} bytes decrypted")


def crypt_in_parts(operation: afalg.Operation, op: int, iv: bytes, data: bytes, size: int) -> bytes:
    """Sends and receives data in parts of `size` bytes through one operation."""
    result = bytearray()
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        more = start + size < len(data)
        operation.send(piece, op if start == 0 else None, iv if start == 0 else None, more)
        result += operation.recv_all(len(piece))
    return bytes(result)


def check_file(content: bytes, part_size: int) -> None:
    """Encrypts and decrypts the contents of a file in parts, like a program that uses AF_ALG."""
    data = content[: len(content) // BLOCK * BLOCK]
    key, iv = afalg.random_key(32)
    expected = afalg.openssl(key, iv, data)
    with host.watched() as stats, afalg.Transform(crypto.SYNC, key) as transform:
        # Buffers of the default size. The kernel splits longer requests.
        with transform.operation(whole=False) as operation:
            encrypted = crypt_in_parts(operation, ENCRYPT, iv, data, part_size)
        with transform.operation(whole=False) as operation:
            decrypted = crypt_in_parts(operation, DECRYPT, iv, expected, part_size)
    check_same(encrypted, expected, "encrypted")
    check_same(decrypted, data, "decrypted")
    check_equal(stats.encrypt_bytes, len(data), "bytes encrypted by the host")
    check_equal(stats.decrypt_bytes, len(data), "bytes decrypted by the host")


@test("text file: correct results, all bytes on the host")
def _() -> None:
    check_file(Path("/usr/share/common-licenses/GPL-3").read_bytes(), 4096)


@test("4 MiB of a program: correct results, all bytes on the host")
def _() -> None:
    with open("/usr/bin/qemu-system-x86_64", "rb") as file:
        check_file(file.read(4 * MIB), 131072)


def odd_pieces(data: bytes, chance: random.Random) -> list[memoryview]:
    """Returns data in pieces of odd sizes, at most as many as sendmsg() takes."""
    view = memoryview(data)
    pieces: list[memoryview] = []
    while len(view) and len(pieces) < 1023:
        size = chance.choice((1, 1, 3, 7, 13, 17, 33, 129, 1023, 4097))
        pieces.append(view[:size])
        view = view[size:]
    return [*pieces, view] if len(view) else pieces


def odd_buffers(size: int, count: int, chance: random.Random) -> tuple[bytearray, list[memoryview]]:
    """Returns `count` buffers of `size` bytes in total, at odd addresses with gaps in between."""
    cuts = [0, *sorted(chance.sample(range(1, size), count - 1)), size]
    memory = bytearray(size + 16 * count)
    view = memoryview(memory)
    buffers, at = [], 1
    for start, end in itertools.pairwise(cuts):
        buffers.append(view[at : at + end - start])
        at += end - start + chance.choice((1, 2, 3, 5, 9))
    return memory, buffers


@test("odd pieces and many odd buffers: correct result, on the host")
def _() -> None:
    seed = int.from_bytes(os.urandom(4))
    tap.note(f"seed {seed}")
    chance = random.Random(seed)
    key, iv = afalg.random_key(16)
    sizes_and_counts = ((16, 16), (48, 5), (4096, 2), (4112, 200), (65536, 100), (262144, 60))
    total = sum(size for size, _ in sizes_and_counts)
    with (
        host.serves_exactly(HostStats(len(sizes_and_counts), total, len(sizes_and_counts), total)),
        afalg.Transform(crypto.SYNC, key) as transform,
    ):
        for size, count in sizes_and_counts:
            data = os.urandom(size)
            expected = afalg.openssl(key, iv, data)
            for op, source, output in ((ENCRYPT, data, expected), (DECRYPT, expected, data)):
                memory, buffers = odd_buffers(size, count, chance)
                with transform.operation() as operation:
                    operation.send(odd_pieces(source, chance), op, iv)
                    check_equal(operation.recv_into(buffers), size, "bytes received")
                what = f"{size} bytes into {count} buffers, op {op}"
                check_same(b"".join(buffers), output, what)
                for buffer in buffers:
                    buffer[:] = bytes(len(buffer))
                check(not any(memory), f"{what}: bytes between the buffers were written")


@test("single bytes, and more buffers than ring entries: correct result")
def _() -> None:
    key, iv = afalg.random_key(16)
    data = os.urandom(1024)
    expected = afalg.openssl(key, iv, data)
    with afalg.Transform(crypto.SYNC, key) as transform, transform.operation() as operation:
        operation.send(data[:1], ENCRYPT, iv, more=True)
        for at in range(1, len(data)):
            operation.send(data[at : at + 1], more=at + 1 < len(data))
        memory = bytearray(2 * len(data))
        buffers = [memoryview(memory)[at : at + 1] for at in range(0, len(memory), 2)]
        check_equal(operation.recv_into(buffers), len(data), "bytes received")
        check_same(bytes(memory[::2]), expected, "result")
        check(not any(memory[1::2]), "bytes between the buffers were written")


@test("one operation: each request continues the IV, in both directions, on the host")
def _() -> None:
    key, iv = afalg.random_key(24)
    data = os.urandom(64 * 1024)
    expected = afalg.openssl(key, iv, data)
    lengths = (16, 32, 4096, 16, 4080, 8208, 16384, 32, 32672)
    check_equal(sum(lengths), len(data), "sum of the lengths")
    requests, bytes_ = 2 * len(lengths), 2 * len(data)  # with MSG_MORE and without
    with (
        host.serves_exactly(HostStats(requests, bytes_, requests, bytes_)),
        afalg.Transform(crypto.SYNC, key) as transform,
    ):
        for op, source, output in ((ENCRYPT, data, expected), (DECRYPT, expected, data)):
            for more in (True, False):
                with transform.operation() as operation:
                    at = 0
                    for length in lengths:
                        end = at + length
                        op_, iv_ = (op, iv) if at == 0 else (None, None)
                        operation.send(source[at:end], op_, iv_, more and end < len(data))
                        what = f"op {op}, MSG_MORE {more}, {length} bytes from {at} on"
                        check_same(operation.recv(length), output[at:end], what)
                        at = end


@test("recv() sizes that differ from send() sizes: correct result")
def _() -> None:
    key, iv = afalg.random_key(32)
    data = os.urandom(48 * 1024)
    expected = afalg.openssl(key, iv, data)
    with afalg.Transform(crypto.SYNC, key) as transform:
        for op, source, output in ((ENCRYPT, data, expected), (DECRYPT, expected, data)):
            with host.watched() as stats, transform.operation() as operation:
                operation.send(odd_pieces(source[:30001], random.Random(op)), op, iv, more=True)
                operation.send(source[30001:])
                result = bytearray()
                while len(result) < len(data):
                    # The kernel rounds down to whole blocks.
                    result += operation.recv(min(1003, len(data) - len(result)))
            check_same(bytes(result), output, f"op {op}")
            check_equal(stats.total, len(data), "bytes on the host")


@test("kcapi-enc: encrypts like openssl and decrypts, on the host")
def _() -> None:
    key, iv = afalg.random_key(32)
    data = os.urandom(300_000) + b"not a whole block"
    with tempfile.TemporaryDirectory() as name:
        plain, secret, decrypted, key_file = (Path(name, file) for file in ("p", "s", "d", "k"))
        plain.write_bytes(data)
        key_file.write_bytes(key)
        with host.watched() as stats:
            for flag, source, target in (("-e", plain, secret), ("-d", secret, decrypted)):
                with key_file.open("rb") as keys:
                    command = ["kcapi-enc", "-q", flag, "-c", crypto.SYNC, "--iv", iv.hex()]
                    command += ["--keyfd", str(keys.fileno()), "-i", str(source), "-o", str(target)]
                    subprocess.run(command, check=True, pass_fds=[keys.fileno()])
        expected = afalg.openssl(key, iv, data, pad=True)
        check_same(secret.read_bytes(), expected, "encrypted file")
        check_same(decrypted.read_bytes(), data, "decrypted file")
        check_equal(stats.encrypt_bytes, len(expected), "bytes encrypted by the host")
        check_equal(stats.decrypt_bytes, len(expected), "bytes decrypted by the host")


@test(f"algorithm name {crypto.NAME}: on the host only if preferred")
def _() -> None:
    preferred = crypto.preferred()
    tap.note(f"the driver is {'' if preferred else 'not '}preferred")
    key, iv = afalg.random_key(16)
    data = os.urandom(65536)
    expected = afalg.openssl(key, iv, data)
    stats = HostStats(1, len(data), 1, len(data)) if preferred else HostStats()
    with host.serves_exactly(stats), afalg.Transform(crypto.NAME, key) as transform:
        check_same(transform.crypt(ENCRYPT, iv, data), expected, "encrypted")
        check_same(transform.crypt(DECRYPT, iv, expected), data, "decrypted")


def encrypt_repeatedly(number: int, rounds: int) -> tuple[int, str]:
    """Encrypts and decrypts with random keys, in one of several processes. Returns the number of
    bytes, and an error message or an empty string."""
    chance = random.Random(number)
    done = 0
    try:
        for _ in range(rounds):
            key, iv = afalg.random_key(chance.choice(KEYS))
            data = os.urandom(chance.choice((16, 512, 4096, 40000 // BLOCK * BLOCK)))
            expected = afalg.openssl(key, iv, data)
            with afalg.Transform(crypto.SYNC, key) as transform:
                for _ in range(20):
                    check_same(transform.crypt(ENCRYPT, iv, data), expected, "encrypted")
                    check_same(transform.crypt(DECRYPT, iv, expected), data, "decrypted")
                    done += len(data)
    except Exception as error:  # reported by the parent
        return done, f"process {number}: {error!r}"
    return done, ""


@test(f"{PROCESSES} processes, each with its own keys: correct results")
def _() -> None:
    with host.watched() as stats, multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        results = pool.starmap(encrypt_repeatedly, [(number, 4) for number in range(PROCESSES)], 1)
    errors = [error for _, error in results if error]
    check(not errors, "\n".join(errors))
    total = sum(done for done, _ in results)
    check_equal((stats.encrypt_bytes, stats.decrypt_bytes), (total, total), "the host's bytes")


if __name__ == "__main__":
    afalg.prepare()
    tap.run()
