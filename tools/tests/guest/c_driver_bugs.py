#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""What goes wrong with the kernel's own driver in C, and not with this one: the same questions to
either.

usage: c_driver_bugs.py rust|c S-N...

S-N is a defect's number in Documentation/requirements.rst. What is asked must hold with the driver
in Rust, and must not with the one in C, in just the way that is known. For a guest with one
reference device, but for S-2 and S-23, and the test modules in /mnt/share. What does not leave the
kernel as it was comes last.
"""

import contextlib
import dataclasses
import os
import random
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from lib import crypto, der, fault_requests, module, pubkey, reference, sleep, tap, test_module
from lib.kernel_log import KernelLog
from lib.tap import check, check_equal, check_same

IN_C = sys.argv[1] == "c"
SECONDS = 20  # within which what does not take for ever is done
LIMIT = 10  # seconds after which vc_fault takes a request for lost
MODULE = "virtio_crypto" if IN_C else crypto.MODULE
CIPHER = "virtio_crypto_aes_cbc" if IN_C else "cbc-aes-virtio"
RSA = "virtio-crypto-rsa" if IN_C else "rsa-virtio"
SUBJECT = fault_requests.Subject("cipher", "skcipher", CIPHER, "cbc-aes-lib", 32)

# Any odd number is a modulus for who only encrypts.
MODULUS = random.getrandbits(1022) | 1 << 1023 | 1
EXPONENT = 65537
KEY = der.integers(MODULUS, EXPONENT)
SIZE = 128


@dataclasses.dataclass
class Defect:
    """What must hold, and what is said if it does not, as is known of the driver in C."""

    title: str
    known: str
    function: Callable[[], None]


DEFECTS: dict[str, Defect] = {}


def defect(
    number: str, title: str, known: str
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Decorator: makes a function the question whether that defect is absent."""

    def add(function: Callable[[], None]) -> Callable[[], None]:
        DEFECTS[number] = Defect(title, known, function)
        return function

    return add


def fails(one: Defect) -> None:
    """Fails the test unless a question has the answer that is known of the driver in C."""
    try:
        one.function()
    except tap.Failure as failure:
        tap.note(str(failure))
        check(re.search(one.known, str(failure)), f"that is not what is known: {one.known}")
    else:
        raise tap.Failure("it does: the defect is not there, or does not show")


def in_child(work: Callable[[], object], what: str) -> str:
    """Has a process of its own do something, which may never end; returns what came of it."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        try:
            text = str(work())
        except Exception as error:
            text = repr(error)
        os.write(writer, text.encode()[:4096])
        os._exit(0)
    os.close(writer)
    try:
        ready, _, _ = select.select([reader], [], [], SECONDS)
        check(ready, f"{what}: not done within {SECONDS} s")
        text = os.read(reader, 4096).decode()
    finally:
        os.close(reader)
    check(text, f"{what}: the process is dead")
    return text


def requests(count: int = 20) -> fault_requests.Result:
    """What becomes of requests for a cipher."""
    if not fault_requests.RUN.exists():
        subprocess.run(["insmod", "/mnt/share/vc_fault.ko", f"limit={LIMIT}"], check=True)
    return fault_requests.run(SUBJECT, count)


def all_right(count: int = 20) -> None:
    """So many requests at a time all get the right result."""
    check_equal(str(requests(count)), f"{count} right", "requests")


def keyed() -> pubkey.Transform:
    """A transform of RSA's with a key."""
    pubkey.load()
    transform = pubkey.Transform(RSA)
    check_equal(transform.set_key(KEY), pubkey.OK, "the key")
    return transform


@contextlib.contextmanager
def user() -> Iterator[tuple[pubkey.Transform, KernelLog]]:
    """A transform with a key, and the log from now on, in which there must not be trouble. If the
    block fails the transform is never freed, which might not end."""
    log = KernelLog()
    transform = keyed()
    encrypts(transform)
    keeper = os.fork()
    if not keeper:
        while True:
            signal.pause()
    yield transform, log
    os.kill(keeper, signal.SIGKILL)
    os.waitpid(keeper, 0)
    transform.close()
    log.check_quiet()


def encrypts(transform: pubkey.Transform, flags: int = pubkey.SLEEP, count: int = 1) -> None:
    """Encrypts numbers, which has to be right."""
    number = random.randrange(2, MODULUS)
    answer = transform.crypt(pubkey.ENCRYPT, number.to_bytes(SIZE), SIZE, flags, count)
    check_equal(answer.name, pubkey.OK, "encryption")
    check_same(answer.result, pow(number, EXPONENT, MODULUS).to_bytes(SIZE), "result")


def violations(requirement: str) -> int:
    """How often the driver has violated a requirement."""
    found = reference.status()["violations"]
    return sum(line["count"] for line in found if line["requirement"] == requirement)


def popped() -> int:
    """How many requests the device has taken from its data queues."""
    queues = reference.status()["queues"]
    return sum(line["popped"] for line in queues if line["queue"] != "control")


def unbind() -> None:
    """Takes the device from its driver."""
    path = Path("/sys/bus/virtio/drivers", MODULE, "unbind")
    path.write_text(module.devices()[0])


def bind() -> None:
    """Gives the device to its driver again."""
    Path("/sys/bus/virtio/drivers", MODULE, "bind").write_text(module.devices()[0])
    tap.wait_until(passed, SECONDS, "the cipher is there again")


def passed() -> bool:
    """The cipher is there, and has passed its self-test."""
    return any(alg.driver == CIPHER and alg.passed for alg in crypto.algorithms())


@defect("S-1", "a device is unbound that has a user", "WARNING")
def _() -> None:
    with user() as (transform, log):
        unbind()
        log.check_quiet()
        encrypts(transform)
    bind()


@defect("S-1-memory", "who uses a device that is unbound uses no freed memory", "KASAN|dead")
def _() -> None:
    with user() as (transform, log):
        unbind()
        in_child(lambda: encrypts(transform), "a request")
        found = log.matching("KASAN|general protection")
        check(not found, "\n".join(found))
    bind()


@defect("S-2", "data in parts is right with bounce buffers", "[1-9][0-9]* wrong, 0 lost")
def _() -> None:
    test_module.run(
        "vc_stress", ciphers=f"{CIPHER}:cbc-aes-lib", requests=40, threads=1, depth=1
    )


@defect("S-3", "requests that find the ring full are right", r"\d+ right, \d+ wrong")
def _() -> None:
    # Not every time that there is no room it is a decryption that finds it.
    with reference.faulty("delay:value=50:queue=0"):
        for _ in range(3):
            all_right(600)


@defect("S-4", "requests are done after one that is too long for the device", "1 lost")
def _() -> None:
    for _ in range(30):
        last = requests(1)
        check(not last.lost, f"a request: {last}")
    all_right()


@defect("S-5", "a device sleeps that has a user", "WARNING")
def _() -> None:
    with user() as (transform, log):
        sleep.load()
        with sleep.sleeping():
            pass
        log.check_quiet()
        encrypts(transform)


@defect("S-6", "a request that a device has is done when it is unbound", "1 lost")
def _() -> None:
    requests(0)
    before = popped()
    with reference.faulty("never-answer:queue=0"):
        reader, writer = os.pipe()
        if not os.fork():
            os.write(writer, str(requests(1)).encode())
            os._exit(0)
        os.close(writer)
        tap.wait_until(lambda: popped() > before, SECONDS, "the device has it")
        unbind()
        check(select.select([reader], [], [], 3 * SECONDS)[0], "requests: no end")
        check_equal(os.read(reader, 4096).decode(), "1 right", "a request")
    bind()


@defect("S-7", "a key is set though the device does not answer", "not done")
def _() -> None:
    with reference.faulty("never-answer:queue=control"):
        check_equal(in_child(lambda: requests(1), "the key"), "1 right", "a request")


@defect("S-8", "a transform whose key was refused is freed", "dead")
def _() -> None:
    pubkey.load()

    def work() -> str:
        with pubkey.Transform(RSA) as transform:
            return transform.set_key(b"\x30\x03\x02\x01\x01")

    check(in_child(work, "a bad key") != pubkey.OK, "a bad key was taken")


@defect("S-9", "software is the system's choice for RSA", f"the choice: {RSA}")
def _() -> None:
    found = [alg for alg in crypto.algorithms() if alg.name == "rsa" and alg.passed]
    check(any(alg.driver == RSA for alg in found), f"there is no {RSA}")
    check_equal(max(found, key=lambda alg: alg.priority).driver, "rsa-generic", "the choice")


@defect("S-10", "an empty number does not get to the device", r"requests: 1, expected 0")
def _() -> None:
    with keyed() as transform:
        before = popped()
        answer = in_child(lambda: transform.crypt(pubkey.ENCRYPT, b"", SIZE).name, "nothing")
        check_equal(popped() - before, 0, "requests")
        check_equal(answer, "EINVAL", "nothing")


@defect("S-11", "requests that will never fit the ring are done", "1 lost")
def _() -> None:
    all_right(1)


@defect("S-12", "there may be more keys than the device has sessions", "the key: EINVAL")
def _() -> None:
    transforms = []
    try:
        for _ in range(70):
            transforms.append(keyed())
        encrypts(transforms[-1])
    finally:
        for transform in transforms:
            transform.close()


@defect("S-13", "a status that was not written is no success", r"\d+ wrong")
def _() -> None:
    with reference.faulty("corrupt-output:queue=0", "status-unwritten:queue=0"):
        # Software cannot do those again whose source was written to, which is an error.
        result = requests()
        check(not result.wrong and not result.lost, f"requests: {result}")


@defect("S-14", "a device that is not ready has no request", "D-3: [1-9]")
def _() -> None:
    with keyed() as transform:
        encrypts(transform)
        reference.command(command="ready", ready=False)
        # Until the news is there it is not the driver's fault.
        time.sleep(2)
        try:
            for _ in range(20):
                in_child(lambda: encrypts(transform), "a request")
        finally:
            reference.command(command="ready", ready=True)
        check_equal(violations("D-3"), 0, "violations of D-3")


@defect("S-17", "memory that is no part of a request is not posted", "exact: [1-9]")
def _() -> None:
    all_right()
    check_equal(violations("exact"), 0, "violations of exact")


@defect("S-19", "requests of RSA's that find the ring full are done", "ENOMEM|results differ")
def _() -> None:
    flags = pubkey.SLEEP | pubkey.BACKLOG
    with keyed() as transform, reference.faulty("delay:value=200:queue=0"):
        answer = in_child(lambda: encrypts(transform, flags, 200), "requests")
        check_equal(answer, "None", "requests")


@defect("S-20", "a key that the device refuses leaves no request without a session", "D-23: [1-9]")
def _() -> None:
    with keyed() as transform:
        with reference.faulty("refuse-create:queue=control"):
            transform.set_key(KEY)
            transform.crypt(pubkey.ENCRYPT, b"\2" * SIZE, SIZE)
        check_equal(violations("D-23"), 0, "violations of D-23")


@defect("S-23", "a device works in a machine of several nodes", "not passed")
def _() -> None:
    nodes = len(list(Path("/sys/devices/system/node").glob("node[0-9]*")))
    check_equal(nodes, 2, "nodes")
    check(passed(), f"{CIPHER} has not passed its self-test")


@defect("S-29", "a device that sleeps needs no memory for each time", r"kmalloc-\S+: [1-9]")
def _() -> None:
    sleep.load()
    check_equal(sleep.grown(), {}, "what has grown")


for name in sys.argv[2:]:
    the = DEFECTS[name]
    tap.test(f"{name}: {'it is not so that ' if IN_C else ''}{the.title}")(
        partial(fails, the) if IN_C else the.function
    )
tap.run()
