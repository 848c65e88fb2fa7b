#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Invalid use through AF_ALG: the driver returns the same errors as the kernel's own cipher.

usage: afalg_errors.py [CIPHER...]

A situation is a sequence of calls. Each situation runs with both implementations of each CIPHER,
for example "cbc(aes)", by default of all ciphers of the devices. The outcome (an errno, or a
result) must be the same. A request that the kernel's own cipher rejects must not reach the host.
"""

import dataclasses
import errno
import os
import socket
import struct
import sys
from collections.abc import Callable

from lib import afalg, ciphers, crypto, host, tap
from lib.afalg import DECRYPT, ENCRYPT, SOL_ALG, Transform
from lib.ciphers import Cipher
from lib.tap import check, check_equal, check_same

DATA = os.urandom(4096)
LIMIT = 20  # seconds until a call counts as hung


@dataclasses.dataclass
class Subject:
    """An implementation of a cipher, with a key and an IV."""

    cipher: Cipher
    name: str
    key: bytes
    iv: bytes


Situation = Callable[[Subject], object]
situations: list[tuple[str, Situation]] = []
# Situations in which a request continues the IV of the previous request. XTS does not support this.
continues_iv: set[Situation] = set()
# Situations in which a key is rejected and the previous key stays in use. An algorithm of type
# lskcipher loses the previous key, so these situations are left out for such an algorithm.
keeps_key: set[Situation] = set()


@dataclasses.dataclass
class Outcome:
    """The outcome of a situation."""

    error: int | None
    result: object = None

    def __str__(self) -> str:
        return "success" if self.error is None else errno.errorcode.get(self.error, "?")


def situation(title: str, continues: bool = False) -> Callable[[Situation], Situation]:
    """Returns a decorator that registers a function as a situation."""

    def add(function: Situation) -> Situation:
        situations.append((title, function))
        if continues:
            continues_iv.add(function)
        return function

    return add


def outcome_of(function: Situation, subject: Subject) -> Outcome:
    """Runs a situation and returns its outcome."""
    with tap.time_limit(LIMIT, subject.name):
        try:
            return Outcome(None, function(subject))
        except OSError as error:
            return Outcome(error.errno)


def raw_send(operation: afalg.Operation, data: bytes, *control: tuple[int, bytes]) -> None:
    """Sends data with the given control messages."""
    operation.sock.sendmsg([data], [(SOL_ALG, kind, value) for kind, value in control])


for size in (0, 1, 8, 15, 17, 23, 25, 31, 33, 48, 64, 65536):

    def set_bad_key(subject: Subject, size: int = size) -> None:
        """Sets a key of an invalid length."""
        with Transform(subject.name, bytes(size)):
            pass

    situations.append((f"a key of {size} bytes", set_bad_key))

for size in (0, 1, 8, 15, 17, 31, 4095):

    def crypt_bad_length(subject: Subject, size: int = size) -> bytes:
        """Encrypts data of an invalid length."""
        with Transform(subject.name, subject.key) as transform, transform.operation() as operation:
            operation.send(DATA[:size], ENCRYPT, subject.iv)
            # recv() would wait for more than the size of the result.
            return operation.recv(size or 16)

    def decrypt_bad_length(subject: Subject, size: int = size) -> bytes:
        """Decrypts data of an invalid length."""
        with Transform(subject.name, subject.key) as transform, transform.operation() as operation:
            operation.send(DATA[:size], DECRYPT, subject.iv)
            # recv() would wait for more than the size of the result.
            return operation.recv(size or 16)

    situations.append((f"{size} bytes to encrypt", crypt_bad_length))
    situations.append((f"{size} bytes to decrypt", decrypt_bad_length))

for size in (0, 1, 8, 15, 17, 32):

    def crypt_bad_iv(subject: Subject, size: int = size) -> bytes:
        """Encrypts with an IV of an invalid length."""
        with Transform(subject.name, subject.key) as transform:
            return transform.crypt(ENCRYPT, bytes(size), DATA)

    situations.append((f"an IV of {size} bytes", crypt_bad_iv))


@situation("no key")
def _(subject: Subject) -> bytes:
    with Transform(subject.name) as transform:
        return transform.crypt(ENCRYPT, subject.iv, DATA)


@situation("no key, and a receive before anything is sent")
def _(subject: Subject) -> bytes:
    with Transform(subject.name) as transform, transform.operation() as operation:
        return operation.sock.recv(16, socket.MSG_DONTWAIT)


for size in (15, 17):

    def bad_key_after_good(subject: Subject, size: int = size) -> bytes:
        """Sets a bad key after a good one. The crypto API rejects a key of 15 bytes. The cipher
        rejects a key of 17 bytes."""
        with Transform(subject.name, subject.key) as transform:
            try:
                transform.set_key(bytes(size))
            except OSError:
                return transform.crypt(ENCRYPT, subject.iv, DATA)
            raise tap.Failure("the bad key was accepted")

    situations.append((f"a key of {size} bytes after a good one, then data", bad_key_after_good))
    keeps_key.add(bad_key_after_good)


@situation("a good key after a bad one, then data")
def _(subject: Subject) -> bytes:
    with Transform(subject.name) as transform:
        try:
            transform.set_key(bytes(33))
        except OSError:
            transform.set_key(subject.key)
            return transform.crypt(ENCRYPT, subject.iv, DATA)
        raise tap.Failure("the bad key was accepted")


@situation("a new key between two requests")
def _(subject: Subject) -> bytes:
    with Transform(subject.name, subject.key) as transform:
        first = transform.crypt(ENCRYPT, subject.iv, DATA)
        transform.set_key(subject.key[::-1])
        return first + transform.crypt(ENCRYPT, subject.iv, DATA)


@situation("a new key while a stream is open")
def _(subject: Subject) -> None:
    with Transform(subject.name, subject.key) as transform, transform.operation():
        transform.set_key(subject.key[::-1])


@situation("no IV")
def _(subject: Subject) -> bytes:
    with Transform(subject.name, subject.key) as transform, transform.operation() as operation:
        raw_send(operation, DATA, (socket.ALG_SET_OP, struct.pack("=I", ENCRYPT)))
        return operation.recv(len(DATA))


@situation("no direction")
def _(subject: Subject) -> bytes:
    with Transform(subject.name, subject.key) as transform, transform.operation() as operation:
        operation.send(DATA)
        return operation.recv(len(DATA))


@situation("a direction that does not exist")
def _(subject: Subject) -> None:
    with Transform(subject.name, subject.key) as transform, transform.operation() as operation:
        raw_send(operation, DATA, (socket.ALG_SET_OP, struct.pack("=I", 7)))


@situation("an IV that is shorter than its length field")
def _(subject: Subject) -> None:
    with Transform(subject.name, subject.key) as transform, transform.operation() as operation:
        op = (socket.ALG_SET_OP, struct.pack("=I", ENCRYPT))
        raw_send(operation, DATA, op, (socket.ALG_SET_IV, struct.pack("=I", 16) + subject.iv[:7]))


@situation("a length of associated data")
def _(subject: Subject) -> bytes:
    with Transform(subject.name, subject.key) as transform, transform.operation() as operation:
        op = (socket.ALG_SET_OP, struct.pack("=I", ENCRYPT))
        length = (socket.ALG_SET_AEAD_ASSOCLEN, struct.pack("=I", 16))
        raw_send(operation, DATA, op, length)
        return operation.recv(len(DATA))


@situation("a size of an authentication tag")
def _(subject: Subject) -> None:
    with Transform(subject.name, subject.key) as transform:
        transform.sock.setsockopt(SOL_ALG, socket.ALG_SET_AEAD_AUTHSIZE, None, 16)


@situation("a receive before anything is sent")
def _(subject: Subject) -> bytes:
    with Transform(subject.name, subject.key) as transform, transform.operation() as operation:
        return operation.sock.recv(16, socket.MSG_DONTWAIT)


@situation("a receive of less than a block")
def _(subject: Subject) -> bytes:
    with Transform(subject.name, subject.key) as transform, transform.operation() as operation:
        operation.send(DATA, ENCRYPT, subject.iv)
        return operation.recv(subject.cipher.block - 1)


@situation("a receive of one block and a half, then of the rest", continues=True)
def _(subject: Subject) -> bytes:
    with Transform(subject.name, subject.key) as transform, transform.operation() as operation:
        block = subject.cipher.block
        operation.send(DATA[: 3 * block], ENCRYPT, subject.iv)
        return operation.recv(block + block // 2) + operation.recv(2 * block)


@situation("a stream that ends in the middle of a block", continues=True)
def _(subject: Subject) -> bytes:
    with Transform(subject.name, subject.key) as transform, transform.operation() as operation:
        block = subject.cipher.block
        operation.send(DATA[: 2 * block + block // 2], ENCRYPT, subject.iv, more=True)
        first = operation.recv(2 * block)
        operation.send(b"", more=False)
        return first + operation.recv(block // 2)


@situation("half a block with more to come, and a receive that does not wait")
def _(subject: Subject) -> bytes:
    with Transform(subject.name, subject.key) as transform, transform.operation() as operation:
        operation.send(DATA[: subject.cipher.block // 2], ENCRYPT, subject.iv, more=True)
        return operation.sock.recv(64, socket.MSG_DONTWAIT)


@situation("a second send before the first is received")
def _(subject: Subject) -> None:
    with Transform(subject.name, subject.key) as transform, transform.operation() as operation:
        operation.send(DATA, ENCRYPT, subject.iv)
        operation.send(DATA, ENCRYPT, subject.iv)


for kind in ("aead", "hash", "rng", "nonsense"):

    def bind_other_kind(subject: Subject, kind: str = kind) -> None:
        """Binds the cipher's name as another type of algorithm."""
        # The error for a template depends on the template, so use a name without one.
        name = subject.name if "(" not in subject.name else crypto.generic(crypto.NAME).driver
        with Transform(name, kind=kind):
            pass

    situations.append((f"bound as {kind}", bind_other_kind))


def subjects(cipher: Cipher) -> tuple[Subject, Subject]:
    """Returns the driver's and the kernel's own implementation, with the same key and IV."""
    key, iv = cipher.random_key(), cipher.random_iv()
    generic = crypto.generic(cipher.name).driver
    return Subject(cipher, cipher.synchronous, key, iv), Subject(cipher, generic, key, iv)


def compare(
    title: str, function: Situation, ours: Subject, reference: Subject, rejected: list[Situation]
) -> None:
    """Defines a test that runs a situation with both implementations. The test adds a situation
    that the reference rejects to `rejected`."""

    @tap.test(f"{ours.name}: {title}: same outcome as the kernel's own cipher")
    def _() -> None:
        expected = outcome_of(function, reference)
        tap.note(f"{reference.name}: {expected}")
        if expected.error is not None:
            rejected.append(function)
        got = outcome_of(function, ours)
        check_equal(str(got), str(expected), ours.name)
        check(got.result == expected.result, "the results are different bytes")


def final_tests(ours: Subject, rejected: list[Situation]) -> None:
    """Defines the tests that follow all situations."""

    @tap.test(f"{ours.name}: rejected requests do not reach the host")
    def _() -> None:
        check(rejected, "no situation was rejected")
        with host.watched() as stats:
            for function in rejected:
                outcome_of(function, ours)
        # One situation fails after its first two blocks were encrypted.
        check(stats.ops <= 1, f"{stats.ops} requests")

    @tap.test(f"{ours.name}: a valid request afterwards succeeds on the host")
    def _() -> None:
        with (
            host.serves_exactly(host.HostStats(1, len(DATA), 1, len(DATA))),
            Transform(ours.name, ours.key) as transform,
        ):
            secret = transform.crypt(ENCRYPT, ours.iv, DATA)
            check_same(secret, ours.cipher.openssl(ours.key, ours.iv, DATA), "encrypted")
            check_same(transform.crypt(DECRYPT, ours.iv, secret), DATA, "decrypted")


def main() -> None:
    """Defines and runs the tests."""
    afalg.prepare()
    for cipher in [ciphers.ALL[name] for name in sys.argv[1:]] or ciphers.of_devices():
        ours, reference = subjects(cipher)
        left_out = set() if cipher.chains else continues_iv
        if crypto.generic(cipher.name).fields["type"] == "lskcipher":
            left_out = left_out | keeps_key
        rejected: list[Situation] = []
        for title, function in situations:
            if function not in left_out:
                compare(title, function, ours, reference, rejected)
        final_tests(ours, rejected)
    tap.run()


if __name__ == "__main__":
    main()
