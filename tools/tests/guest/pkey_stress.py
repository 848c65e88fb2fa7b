#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Many operations by several threads with keys of all kinds, half of them killed in the middle.

usage: pkey_stress.py OPERATIONS

For a guest with one reference device that knows ECDSA, and a module that was loaded with
prefer_public_keys=1.
"""

import contextlib
import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

from lib import crypto, keyctl, keys, reference, tap
from lib.tap import check, test, wait_until

OPERATIONS = int(sys.argv[1])
THREADS = 8
START, DONE, WRONG = b"S", b"D", b"W"


def gives(result: object, function: Callable[..., object], *arguments: object) -> bool:
    """Returns true if the call returns that result."""
    return function(*arguments) == result


def raises(number: int, function: Callable[..., object], *arguments: object) -> bool:
    """The call ends with that error."""
    try:
        function(*arguments)
    except OSError as error:
        return error.errno == number
    return False


def operations() -> list[Callable[[], bool]]:
    """What there is to do: each says whether the result is right."""
    found: list[Callable[[], bool]] = []
    for key in (keys.rsa(bits) for bits in (512, 1024, 2048, 4096)):
        public = keyctl.asymmetric(keys.certificate(key.file))
        private = keyctl.asymmetric(keys.pkcs8(key.file), description=f"rsa{key.bits}")
        plain = random.randrange(2, key.n - 1)
        cipher = pow(plain, key.e, key.n).to_bytes(key.length)
        plain_ = plain.to_bytes(key.length)
        how = "enc=pkcs1 hash=sha1"
        digest = hashlib.sha1(os.urandom(8)).digest()
        signature = keys.openssl(
            "pkeyutl", "-sign", "-inkey", key.file, "-pkeyopt", "digest:sha1", data=digest
        )
        found += [
            partial(gives, cipher, keyctl.encrypt, public, "enc=raw", plain_, key.length),
            partial(gives, plain_, keyctl.decrypt, private, "enc=raw", cipher, key.length),
            partial(gives, signature, keyctl.sign, private, how, digest, len(signature)),
            partial(gives, None, keyctl.verify, public, how, digest, signature),
            partial(
                raises, errno.EKEYREJECTED, keyctl.verify, public, how, digest[::-1], signature
            ),
            partial(raises, errno.EINVAL, keyctl.encrypt, public, "enc=raw", b"", key.length),
        ]
    for curve in keys.CURVES:
        public = keyctl.asymmetric(keys.certificate(curve.file))
        how = "enc=x962 hash=sha256"
        digest = os.urandom(32)
        signature = curve.sign(digest)
        found += [
            partial(gives, None, keyctl.verify, public, how, digest, signature),
            partial(
                raises, errno.EKEYREJECTED, keyctl.verify, public, how, digest[::-1], signature
            ),
        ]
    return found


def work(todo: list[Callable[[], bool]], say: int) -> None:
    """Does one thing after the other, and says so, until it is killed."""
    while True:
        operation = random.choice(todo)
        os.write(say, START)
        os.write(say, DONE if operation() else WRONG)


def thread(todo: list[Callable[[], bool]], count: int) -> tuple[int, int]:
    """Does so many things, of which half are killed in the middle; returns how many were done and
    how many killed."""
    done = killed = 0
    while done + killed < count:
        hear, say = os.pipe()
        child = os.fork()
        if child == 0:
            random.seed()
            with contextlib.suppress(BaseException):
                work(todo, say)
            os._exit(1)
        os.close(say)
        # As many as there have been killed, and a few more or less.
        left = max(0, killed - done + random.randrange(3))
        while True:
            heard = os.read(hear, 1)
            if heard == START and left == 0:
                # Somewhere on its way: to the device, in it, or back.
                time.sleep(random.random() * 0.004)
                os.kill(child, signal.SIGKILL)
                break
            if heard == DONE:
                done += 1
                left -= 1
            elif heard != START:
                raise tap.Failure("a result is wrong")
        _, status = os.waitpid(child, 0)
        tail = os.read(hear, 2)
        os.close(hear)
        if WRONG in tail:
            raise tap.Failure("a result is wrong")
        # It may have been done just before.
        done, killed = (done + 1, killed) if DONE in tail else (done, killed + 1)
    return done, killed


@test(f"{OPERATIONS} operations, half of them killed: nothing is wrong, or lost")
def _() -> None:
    todo = operations()
    tap.note(f"{len(todo)} kinds of operations")
    reference.command(command="fault", fault={"name": "delay", "value": 2, "queue": 0})
    pipes = []
    for _ in range(THREADS):
        hear, say = os.pipe()
        if os.fork() == 0:
            try:
                done, killed = thread(todo, OPERATIONS // THREADS)
                os.write(say, f"{done} {killed}".encode())
            except BaseException as error:  # pylint: disable=broad-except
                os.write(say, str(error).encode() or b"?")
            os._exit(0)
        os.close(say)
        pipes.append(hear)
    done = killed = 0
    for hear in pipes:
        words = os.read(hear, 1000).decode()
        numbers = words.split()
        check(len(numbers) == 2 and words.replace(" ", "").isdecimal(), words or "a thread is gone")
        done, killed = done + int(numbers[0]), killed + int(numbers[1])
    for _ in pipes:
        os.wait()
    reference.command(command="clear")
    tap.note(f"{done} were done, {killed} killed")
    check(done + killed >= OPERATIONS, "that is not as many as it should be")
    check(killed >= OPERATIONS * 4 // 10, "that is not half")
    check(done >= OPERATIONS * 4 // 10, "that is not half")


@test("no session is left on the device, and it has done most of it")
def _() -> None:
    wait_until(lambda: reference.status()["sessions"] == 0, 60, "no session")
    now = reference.status()
    made = sum(
        reference.data_requests(now, operation=f"AKCIPHER_{what}")
        for what in ("ENCRYPT", "DECRYPT", "VERIFY")
    )
    tap.note(f"{made} requests")
    check(made > OPERATIONS // 2, f"the device has done {made} requests")


@test("nobody holds an algorithm any more")
def _() -> None:
    keyctl.new_session()

    def held() -> list[str]:
        return [alg.driver for alg in crypto.ours().values() if alg.users]

    # Templates that were made of one do not count.
    wait_until(lambda: not held(), 60, "all transforms are gone")


for name in ("pkcs8_key_parser", "x509_key_parser", "ecdsa_generic"):
    subprocess.run(["modprobe", "-q", name], check=False)
keyctl.new_session()
wait_until(
    lambda: sum(
        alg.passed for name, alg in crypto.ours().items() if name.startswith(("rsa-", "ecdsa-"))
    ) == 5,
    300,
    "RSA and ECDSA",
)  # fmt: skip
tap.run()
