#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Bad use through AF_ALG: the driver answers as the kernel's own software cipher does.

Every situation is played with both; what comes of it (an errno, or the bytes of a result) must
be the same. What software refuses must not get as far as the host.
"""

import dataclasses
import errno
import os
import socket
import struct
from collections.abc import Callable

from lib import afalg, crypto, host, tap
from lib.afalg import BLOCK, DECRYPT, ENCRYPT, SOL_ALG, Transform
from lib.tap import check, check_equal, check_same

KEY, IV = afalg.random_key(16)
DATA = os.urandom(4096)
LIMIT = 20  # seconds; a call that goes on for longer hangs

Play = Callable[[str], object]
situations: list[tuple[str, Play]] = []


@dataclasses.dataclass
class Outcome:
    """What has come of a situation."""

    error: int | None
    result: object = None

    def __str__(self) -> str:
        return "success" if self.error is None else errno.errorcode.get(self.error, "?")


def situation(title: str) -> Callable[[Play], Play]:
    """Decorator: what is done with a cipher of some name."""

    def add(play: Play) -> Play:
        situations.append((title, play))
        return play

    return add


def played(play: Play, name: str) -> Outcome:
    """Does it and returns what comes of it."""
    with tap.time_limit(LIMIT, name):
        try:
            return Outcome(None, play(name))
        except OSError as error:
            return Outcome(error.errno)


def raw_send(operation: afalg.Operation, data: bytes, *control: tuple[int, bytes]) -> None:
    """Sends with control messages as they are given."""
    operation.sock.sendmsg([data], [(SOL_ALG, kind, value) for kind, value in control])


for size in (0, 1, 8, 15, 17, 23, 25, 31, 33, 48, 64, 65536):

    def set_bad_key(name: str, size: int = size) -> None:
        """A key of a wrong length."""
        with Transform(name, bytes(size)):
            pass

    situations.append((f"a key of {size} bytes", set_bad_key))

for size in (0, 1, 8, 15, 17, 31, 4095):

    def crypt_bad_length(name: str, size: int = size) -> bytes:
        """Data of a wrong length."""
        with Transform(name, KEY) as transform, transform.operation() as operation:
            operation.send(DATA[:size], ENCRYPT, IV)
            return operation.recv(max(size, BLOCK))

    def decrypt_bad_length(name: str, size: int = size) -> bytes:
        """The same the other way."""
        with Transform(name, KEY) as transform, transform.operation() as operation:
            operation.send(DATA[:size], DECRYPT, IV)
            return operation.recv(max(size, BLOCK))

    situations.append((f"{size} bytes to encrypt", crypt_bad_length))
    situations.append((f"{size} bytes to decrypt", decrypt_bad_length))

for size in (0, 1, 8, 15, 17, 32):

    def crypt_bad_iv(name: str, size: int = size) -> bytes:
        """An IV of a wrong length."""
        with Transform(name, KEY) as transform:
            return transform.crypt(ENCRYPT, bytes(size), DATA)

    situations.append((f"an IV of {size} bytes", crypt_bad_iv))


@situation("no key")
def _(name: str) -> bytes:
    with Transform(name) as transform:
        return transform.crypt(ENCRYPT, IV, DATA)


@situation("no key, and a receive before anything is sent")
def _(name: str) -> bytes:
    with Transform(name) as transform, transform.operation() as operation:
        return operation.sock.recv(BLOCK, socket.MSG_DONTWAIT)


for size in (15, 17):

    def bad_key_after_good(name: str, size: int = size) -> bytes:
        """The framework refuses 15 bytes, the cipher itself 17."""
        with Transform(name, KEY) as transform:
            try:
                transform.set_key(bytes(size))
            except OSError:
                return transform.crypt(ENCRYPT, IV, DATA)
            raise tap.Failure("the bad key was taken")

    situations.append((f"a key of {size} bytes after a good one, then data", bad_key_after_good))


@situation("a good key after a bad one, then data")
def _(name: str) -> bytes:
    with Transform(name) as transform:
        try:
            transform.set_key(bytes(33))
        except OSError:
            transform.set_key(KEY)
            return transform.crypt(ENCRYPT, IV, DATA)
        raise tap.Failure("the bad key was taken")


@situation("a new key between two requests")
def _(name: str) -> bytes:
    with Transform(name, KEY) as transform:
        first = transform.crypt(ENCRYPT, IV, DATA)
        transform.set_key(KEY[::-1])
        return first + transform.crypt(ENCRYPT, IV, DATA)


@situation("a new key while a stream is open")
def _(name: str) -> None:
    with Transform(name, KEY) as transform, transform.operation():
        transform.set_key(KEY[::-1])


@situation("no IV")
def _(name: str) -> bytes:
    with Transform(name, KEY) as transform, transform.operation() as operation:
        raw_send(operation, DATA, (socket.ALG_SET_OP, struct.pack("=I", ENCRYPT)))
        return operation.recv(len(DATA))


@situation("no direction")
def _(name: str) -> bytes:
    with Transform(name, KEY) as transform, transform.operation() as operation:
        operation.send(DATA)
        return operation.recv(len(DATA))


@situation("a direction that does not exist")
def _(name: str) -> None:
    with Transform(name, KEY) as transform, transform.operation() as operation:
        raw_send(operation, DATA, (socket.ALG_SET_OP, struct.pack("=I", 7)))


@situation("an IV whose length says more than there is")
def _(name: str) -> None:
    with Transform(name, KEY) as transform, transform.operation() as operation:
        op = (socket.ALG_SET_OP, struct.pack("=I", ENCRYPT))
        raw_send(operation, DATA, op, (socket.ALG_SET_IV, struct.pack("=I", BLOCK) + IV[:8]))


@situation("a length of associated data")
def _(name: str) -> bytes:
    with Transform(name, KEY) as transform, transform.operation() as operation:
        op = (socket.ALG_SET_OP, struct.pack("=I", ENCRYPT))
        length = (socket.ALG_SET_AEAD_ASSOCLEN, struct.pack("=I", BLOCK))
        raw_send(operation, DATA, op, length)
        return operation.recv(len(DATA))


@situation("a size of an authentication tag")
def _(name: str) -> None:
    with Transform(name, KEY) as transform:
        transform.sock.setsockopt(SOL_ALG, socket.ALG_SET_AEAD_AUTHSIZE, None, 16)


@situation("a receive before anything is sent")
def _(name: str) -> bytes:
    with Transform(name, KEY) as transform, transform.operation() as operation:
        return operation.sock.recv(BLOCK, socket.MSG_DONTWAIT)


@situation("a receive of less than a block")
def _(name: str) -> bytes:
    with Transform(name, KEY) as transform, transform.operation() as operation:
        operation.send(DATA, ENCRYPT, IV)
        return operation.recv(BLOCK - 1)


@situation("a receive of one block and a half, then of the rest")
def _(name: str) -> bytes:
    with Transform(name, KEY) as transform, transform.operation() as operation:
        operation.send(DATA[:48], ENCRYPT, IV)
        return operation.recv(24) + operation.recv(32)


@situation("a stream that ends in the middle of a block")
def _(name: str) -> bytes:
    with Transform(name, KEY) as transform, transform.operation() as operation:
        operation.send(DATA[:40], ENCRYPT, IV, more=True)
        first = operation.recv(32)
        operation.send(b"", more=False)
        return first + operation.recv(16)


@situation("half a block with more to come, and a receive that does not wait")
def _(name: str) -> bytes:
    with Transform(name, KEY) as transform, transform.operation() as operation:
        operation.send(DATA[:8], ENCRYPT, IV, more=True)
        return operation.sock.recv(64, socket.MSG_DONTWAIT)


@situation("a second send before the first is received")
def _(name: str) -> None:
    with Transform(name, KEY) as transform, transform.operation() as operation:
        operation.send(DATA, ENCRYPT, IV)
        operation.send(DATA, ENCRYPT, IV)


for kind in ("aead", "hash", "rng", "nonsense"):

    def bind_other_kind(name: str, kind: str = kind) -> None:
        """The name where another kind of algorithm is wanted."""
        with Transform(name, kind=kind):
            pass

    situations.append((f"bound as {kind}", bind_other_kind))


def compare(title: str, play: Play, reference: str, refused: list[Play]) -> None:
    """Adds a test that plays a situation with both and compares."""

    @tap.holds(f"{title}: the same as with the kernel's own")
    def _() -> None:
        expected = played(play, reference)
        tap.note(f"{reference}: {expected}")
        if expected.error is not None:
            refused.append(play)
        got = played(play, crypto.SYNC)
        check_equal(str(got), str(expected), crypto.SYNC)
        check(got.result == expected.result, "the results are different bytes")


def final_tests(refused: list[Play]) -> None:
    """Adds the tests that look at all of it together."""

    @tap.holds("no request of those that are refused gets as far as the host")
    def _() -> None:
        check(refused, "nothing was refused")
        with host.watched() as work:
            for play in refused:
                played(play, crypto.SYNC)
        # One of them is refused after its first two blocks were done.
        check(work.ops <= 1, f"{work.ops} requests")

    @tap.holds("after all this a request is done by the host, and right")
    def _() -> None:
        with (
            host.does_exactly(host.Work(1, len(DATA), 1, len(DATA))),
            Transform(crypto.SYNC, KEY) as transform,
        ):
            secret = transform.crypt(ENCRYPT, IV, DATA)
            check_same(secret, afalg.openssl(KEY, IV, DATA), "encrypted")
            check_same(transform.crypt(DECRYPT, IV, secret), DATA, "decrypted")


def main() -> None:
    """Runs it all."""
    afalg.prepare()
    reference = crypto.software().driver
    refused: list[Play] = []
    for title, play in situations:
        compare(title, play, reference, refused)
    final_tests(refused)
    tap.run()


if __name__ == "__main__":
    main()
