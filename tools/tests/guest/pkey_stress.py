#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Threads run many operations with keys of all kinds. Half of the operations are killed.

usage: pkey_stress.py OPERATIONS

For a guest with one reference device with ECDSA, and the module parameter prefer_public_keys=1.
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


def returns(result: object, function: Callable[..., object], *arguments: object) -> bool:
    """Returns true if the call returns that result."""
    return function(*arguments) == result


def raises(number: int, function: Callable[..., object], *arguments: object) -> bool:
    """Returns true if the call raises that error."""
    try:
        function(*arguments)
    except OSError as error:
        return error.errno == number
    return False


def operations() -> list[Callable[[], bool]]:
    """Returns operations. Each returns true if its result is correct."""
    found: list[Callable[[], bool]] = []
    for key in (keys.rsa(bits) for bits in (512, 1024, 2048, 4096)):
        public = keyctl.asymmetric(keys.certificate(key.file))
        private = keyctl.asymmetric(keys.pkcs8(key.file), description=f"rsa{key.bits}")
        plain = random.randrange(2, key.n - 1)
        cipher = pow(plain, key.e, key.n).to_bytes(key.length)
        plaintext = plain.to_bytes(key.length)
        how = "enc=pkcs1 hash=sha1"
        digest = hashlib.sha1(os.urandom(8)).digest()
        signature = keys.openssl(
            "pkeyutl", "-sign", "-inkey", key.file, "-pkeyopt", "digest:sha1", data=digest
        )
        found += [
            partial(returns, cipher, keyctl.encrypt, public, "enc=raw", plaintext, key.length),
            partial(returns, plaintext, keyctl.decrypt, private, "enc=raw", cipher, key.length),
            partial(returns, signature, keyctl.sign, private, how, digest, len(signature)),
            partial(returns, None, keyctl.verify, public, how, digest, signature),
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
            partial(returns, None, keyctl.verify, public, how, digest, signature),
            partial(
                raises, errno.EKEYREJECTED, keyctl.verify, public, how, digest[::-1], signature
            ),
        ]
    return found


def work(todo: list[Callable[[], bool]], say: int) -> None:
    """Runs random operations until the process is killed. Writes START and a result for each."""
    while True:
        operation = random.choice(todo)
        os.write(say, START)
        os.write(say, DONE if operation() else WRONG)


def thread(todo: list[Callable[[], bool]], count: int) -> tuple[int, int]:
    """Runs `count` operations and kills about half of them. Returns how many completed, and how
    many were killed."""
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
        # Keeps the numbers of completed and killed operations about equal.
        until_kill = max(0, killed - done + random.randrange(3))
        while True:
            heard = os.read(hear, 1)
            if heard == START and until_kill == 0:
                # The request may not be sent yet, in flight, or completed.
                time.sleep(random.random() * 0.004)
                os.kill(child, signal.SIGKILL)
                break
            if heard == DONE:
                done += 1
                until_kill -= 1
            elif heard != START:
                raise tap.Failure("wrong result")
        _, status = os.waitpid(child, 0)
        tail = os.read(hear, 2)
        os.close(hear)
        if WRONG in tail:
            raise tap.Failure("wrong result")
        # The operation may have completed before the signal.
        done, killed = (done + 1, killed) if DONE in tail else (done, killed + 1)
    return done, killed


@test(f"{OPERATIONS} operations, half of them killed: correct results, none is lost")
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
        check(
            len(numbers) == 2 and words.replace(" ", "").isdecimal(), words or "a thread has ended"
        )
        done, killed = done + int(numbers[0]), killed + int(numbers[1])
    for _ in pipes:
        os.wait()
    reference.command(command="clear")
    tap.note(f"{done} completed, {killed} killed")
    check(done + killed >= OPERATIONS, "too few operations")
    check(killed >= OPERATIONS * 4 // 10, "too few killed operations")
    check(done >= OPERATIONS * 4 // 10, "too few completed operations")


@test("no session is left, and the device has served most operations")
def _() -> None:
    wait_until(lambda: reference.status()["sessions"] == 0, 60, "no session")
    now = reference.status()
    made = sum(
        reference.data_requests(now, operation=f"AKCIPHER_{what}")
        for what in ("ENCRYPT", "DECRYPT", "VERIFY")
    )
    tap.note(f"{made} requests")
    check(made > OPERATIONS // 2, f"the device has served {made} requests")


@test("algorithms: no users are left")
def _() -> None:
    keyctl.new_session()

    def held() -> list[str]:
        return [alg.driver for alg in crypto.ours().values() if alg.users]

    # Template instances do not count as users.
    wait_until(lambda: not held(), 60, "all transforms are freed")


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
