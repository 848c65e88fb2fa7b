#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Hashes and MACs through AF_ALG: correct results, with any priority of the driver.

AF_ALG uses synchronous algorithms only, and its hash requests may not sleep. The driver's hashes
are asynchronous, so AF_ALG uses the kernel's own hashes. Loading the driver, also with prefer=1,
must neither hide an algorithm nor change a result. For a guest with a reference device.
"""

import errno
import hashlib
import hmac
import os
import subprocess

from lib import afalg, tap
from lib.afalg import Transform
from lib.offload import OffloadStats
from lib.tap import check_equal, check_same, test

HASHES = {"md5": "md5", "sha1": "sha1", "sha224": "sha224", "sha256": "sha256",
          "sha384": "sha384", "sha512": "sha512", "sha3-224": "sha3_224",
          "sha3-256": "sha3_256", "sha3-384": "sha3_384", "sha3-512": "sha3_512"}  # fmt: skip
HMACS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
SIZES = (0, 1, 63, 64, 65, 129, 1000, 4097, 65536)
# The longest message that is sent byte by byte. Longer messages are sent in three pieces.
BYTE_BY_BYTE = 129
# Shorter than a block, one block, and longer than a block. HMAC hashes a longer key first.
KEYS = (1, 64, 131)


def names() -> list[str]:
    """Returns the names of all algorithms under test."""
    return [*HASHES, *(f"hmac({name})" for name in HMACS), "cmac(aes)"]


def expected(name: str, key: bytes | None, data: bytes) -> bytes:
    """Returns OpenSSL's result."""
    if name == "cmac(aes)":
        assert key
        command = ["openssl", "mac", "-cipher", f"AES-{len(key) * 8}-CBC", "-macopt",
                   f"hexkey:{key.hex()}", "-binary", "CMAC"]  # fmt: skip
        return subprocess.run(command, input=data, check=True, capture_output=True).stdout
    if name.startswith("hmac("):
        assert key
        return hmac.digest(key, data, name[5:-1])
    return hashlib.new(HASHES[name], data).digest()


def digest(transform: Transform, pieces: list[bytes], size: int) -> bytes:
    """Returns the digest of a message that is sent in pieces."""
    with transform.operation() as operation:
        for piece in pieces:
            operation.send(piece, more=True)
        return operation.recv(size)


def keys(name: str) -> list[bytes | None]:
    """Returns keys of several lengths, or None for a hash."""
    if name in HASHES:
        return [None]
    return [os.urandom(size) for size in ((16, 24, 32) if name == "cmac(aes)" else KEYS)]


def check_name(name: str) -> None:
    """Tests messages of all sizes, whole and in pieces."""
    for key in keys(name):
        with Transform(name, key, "hash") as transform:
            for size in SIZES:
                data = os.urandom(size)
                wanted = expected(name, key, data)
                got = digest(transform, [data], len(wanted))
                check_same(got, wanted, f"{name} of {size} bytes")
                step = 1 if size <= BYTE_BY_BYTE else size // 3
                pieces = [data[at : at + step] for at in range(0, size, step)]
                got = digest(transform, pieces, len(wanted))
                check_same(got, wanted, f"{name} of {size} bytes, {step} at a time")


for name in names():

    @test(f"{name}: OpenSSL's results for all sizes, no request of the driver")
    def _(name: str = name) -> None:
        stats = OffloadStats()
        check_name(name)
        stats.check_none()


@test("copied hash state: two messages with a common beginning")
def _() -> None:
    key, first = os.urandom(32), os.urandom(1000)
    with Transform("hmac(sha256)", key, "hash") as transform, transform.operation() as original:
        original.send(first, more=True)
        # accept() on an operation copies the operation's hash state.
        copy = afalg.Operation(original.sock.accept()[0], whole=True)
        with copy:
            for operation, end in ((original, b"original"), (copy, b"copy")):
                operation.send(end)
                wanted = expected("hmac(sha256)", key, first + end)
                check_same(operation.recv(32), wanted, f"the end {end!r}")


@test("MAC without a key: ENOKEY")
def _() -> None:
    with Transform("hmac(sha256)", kind="hash") as transform, transform.operation() as operation:
        try:
            operation.send(b"message")
        except OSError as error:
            check_equal(error.errno, errno.ENOKEY, "errno")
        else:
            raise tap.Failure("the message was accepted")


afalg.prepare()
tap.run()
