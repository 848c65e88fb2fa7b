#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Bugs of the kernel's C driver. The same tests run with both drivers.

usage: c_driver_bugs.py rust|c S-N...

S-N is the number of a bug in Documentation/requirements.rst. The tests must pass with the Rust
driver, and fail with the C driver in the known way. For a guest with one reference device. The test
of S-2 needs QEMU's device with bounce buffers, and the test of S-23 two NUMA nodes. The shared
folder has the test modules. A test with which the C driver damages the kernel must be the last.
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

IS_C_DRIVER = sys.argv[1] == "c"
TIME_LIMIT = 20  # of an operation, in seconds
REQUEST_LIMIT = 10  # seconds after which vc_fault considers a request lost
MODULE = "virtio_crypto" if IS_C_DRIVER else crypto.MODULE
CIPHER = "virtio_crypto_aes_cbc" if IS_C_DRIVER else "cbc-aes-virtio"
RSA = "virtio-crypto-rsa" if IS_C_DRIVER else "rsa-virtio"
SUBJECT = fault_requests.Subject("cipher", "skcipher", CIPHER, "cbc-aes-lib", 32)

# A random odd number, not a product of two primes, because the tests only encrypt.
MODULUS = random.getrandbits(1022) | 1 << 1023 | 1
EXPONENT = 65537
KEY = der.integers(MODULUS, EXPONENT)
SIZE = 128


@dataclasses.dataclass
class Bug:
    """A test, and the pattern of the test's failure message with the C driver."""

    title: str
    known_failure: str
    function: Callable[[], None]


BUGS: dict[str, Bug] = {}


def bug(
    number: str, title: str, known_failure: str
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Returns a decorator that registers a function as the test of a bug."""

    def add(function: Callable[[], None]) -> Callable[[], None]:
        BUGS[number] = Bug(title, known_failure, function)
        return function

    return add


def check_known_failure(known_bug: Bug) -> None:
    """Fails the test unless the function fails in the known way of the C driver."""
    try:
        known_bug.function()
    except tap.Failure as failure:
        tap.note(str(failure))
        pattern = known_bug.known_failure
        check(re.search(pattern, str(failure)), f"the failure does not match {pattern}")
    else:
        raise tap.Failure("success: the bug is fixed, or the test does not trigger it")


def in_child(work: Callable[[], object], what: str) -> str:
    """Runs a function in a child process, which may hang. Returns the result as text."""
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
        ready, _, _ = select.select([reader], [], [], TIME_LIMIT)
        check(ready, f"{what}: not done within {TIME_LIMIT} s")
        text = os.read(reader, 4096).decode()
    finally:
        os.close(reader)
    check(text, f"{what}: the process is dead")
    return text


def requests(count: int = 20) -> fault_requests.Result:
    """Returns the results of cipher requests."""
    if not fault_requests.RUN.exists():
        subprocess.run(["insmod", "/mnt/share/vc_fault.ko", f"limit={REQUEST_LIMIT}"], check=True)
    return fault_requests.run(SUBJECT, count)


def check_requests(count: int = 20) -> None:
    """Fails the test unless `count` parallel requests have the right result."""
    check_equal(str(requests(count)), f"{count} right", "requests")


def transform_with_key() -> pubkey.Transform:
    """Returns an RSA transform with a key."""
    pubkey.load()
    transform = pubkey.Transform(RSA)
    check_equal(transform.set_key(KEY), pubkey.OK, "setkey")
    return transform


@contextlib.contextmanager
def active_user() -> Iterator[tuple[pubkey.Transform, KernelLog]]:
    """Yields a transform with a key, and a kernel log that must have no report. If the block fails,
    a child process keeps the transform open, because freeing might hang."""
    log = KernelLog()
    transform = transform_with_key()
    check_encrypt(transform)
    holder = os.fork()
    if not holder:
        while True:
            signal.pause()
    yield transform, log
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    transform.close()
    log.check_quiet()


def check_encrypt(transform: pubkey.Transform, flags: int = pubkey.SLEEP, count: int = 1) -> None:
    """Encrypts random numbers. The results must be correct."""
    number = random.randrange(2, MODULUS)
    answer = transform.crypt(pubkey.ENCRYPT, number.to_bytes(SIZE), SIZE, flags, count)
    check_equal(answer.name, pubkey.OK, "encryption")
    check_same(answer.result, pow(number, EXPONENT, MODULUS).to_bytes(SIZE), "result")


def violations(requirement: str) -> int:
    """Returns how often the driver has violated a requirement."""
    found = reference.status()["violations"]
    return sum(line["count"] for line in found if line["requirement"] == requirement)


def popped() -> int:
    """Returns how many requests the device has taken from its data queues."""
    queues = reference.status()["queues"]
    return sum(line["popped"] for line in queues if line["queue"] != "control")


def unbind() -> None:
    """Unbinds the device."""
    path = Path("/sys/bus/virtio/drivers", MODULE, "unbind")
    path.write_text(module.devices()[0])


def bind() -> None:
    """Binds the device."""
    Path("/sys/bus/virtio/drivers", MODULE, "bind").write_text(module.devices()[0])
    tap.wait_until(cipher_passed, TIME_LIMIT, "the cipher is registered")


def cipher_passed() -> bool:
    """Returns true if the cipher is registered and has passed its self-test."""
    return any(alg.driver == CIPHER and alg.passed for alg in crypto.algorithms())


@bug("S-1", "unbind of a device with a user: no warning", "WARNING")
def _() -> None:
    with active_user() as (transform, log):
        unbind()
        log.check_quiet()
        check_encrypt(transform)
    bind()


@bug("S-1-memory", "use of an unbound device: no use of freed memory", "KASAN|dead")
def _() -> None:
    with active_user() as (transform, log):
        unbind()
        in_child(lambda: check_encrypt(transform), "a request")
        found = log.matching("KASAN|general protection")
        check(not found, "\n".join(found))
    bind()


@bug("S-2", "segmented data with bounce buffers: correct", "[1-9][0-9]* wrong, 0 lost")
def _() -> None:
    test_module.run(
        "vc_stress", ciphers=f"{CIPHER}:cbc-aes-lib", requests=40, threads=1, depth=1
    )


@bug("S-3", "full ring: correct results", r"\d+ right, \d+ wrong")
def _() -> None:
    # Only a decryption that finds the ring full fails, so repeat the requests.
    with reference.faulty("delay:value=50:queue=0"):
        for _ in range(3):
            check_requests(600)


@bug("S-4", "requests after a request that exceeds max_size: complete", "1 lost")
def _() -> None:
    for _ in range(30):
        last = requests(1)
        check(not last.lost, f"a request: {last}")
    check_requests()


@bug("S-5", "suspend of a device with a user: no warning", "WARNING")
def _() -> None:
    with active_user() as (transform, log):
        sleep.load()
        with sleep.frozen():
            pass
        log.check_quiet()
        check_encrypt(transform)


@bug("S-6", "request in flight during unbind: completes", "1 lost")
def _() -> None:
    requests(0)
    before = popped()
    with reference.faulty("never-answer:queue=0"):
        reader, writer = os.pipe()
        if not os.fork():
            os.write(writer, str(requests(1)).encode())
            os._exit(0)
        os.close(writer)
        tap.wait_until(lambda: popped() > before, TIME_LIMIT, "the request is in flight")
        unbind()
        check(select.select([reader], [], [], 3 * TIME_LIMIT)[0], "requests: no result")
        check_equal(os.read(reader, 4096).decode(), "1 right", "request")
    bind()


@bug("S-7", "setkey with an unresponsive control queue: completes", "not done")
def _() -> None:
    with reference.faulty("never-answer:queue=control"):
        check_equal(in_child(lambda: requests(1), "setkey"), "1 right", "request")


@bug("S-8", "free of a transform whose key was rejected: succeeds", "dead")
def _() -> None:
    pubkey.load()

    def work() -> str:
        with pubkey.Transform(RSA) as transform:
            return transform.set_key(b"\x30\x03\x02\x01\x01")

    check(in_child(work, "invalid key") != pubkey.OK, "an invalid key was accepted")


@bug("S-9", "RSA: the kernel's own implementation is preferred", f"preferred: {RSA}")
def _() -> None:
    found = [alg for alg in crypto.algorithms() if alg.name == "rsa" and alg.passed]
    check(any(alg.driver == RSA for alg in found), f"{RSA} is not registered")
    check_equal(max(found, key=lambda alg: alg.priority).driver, "rsa-generic", "preferred")


@bug("S-10", "empty RSA input: does not reach the device", r"requests: 1, expected 0")
def _() -> None:
    with transform_with_key() as transform:
        before = popped()
        answer = in_child(lambda: transform.crypt(pubkey.ENCRYPT, b"", SIZE).name, "empty input")
        check_equal(popped() - before, 0, "requests")
        check_equal(answer, "EINVAL", "empty input")


@bug("S-11", "request that does not fit into the ring: completes", "1 lost")
def _() -> None:
    check_requests(1)


@bug("S-12", "more keys than sessions: setkey succeeds", "setkey: EINVAL")
def _() -> None:
    transforms = []
    try:
        for _ in range(70):
            transforms.append(transform_with_key())
        check_encrypt(transforms[-1])
    finally:
        for transform in transforms:
            transform.close()


@bug("S-13", "unwritten status: not a success", r"\d+ wrong")
def _() -> None:
    with reference.faulty("corrupt-output:queue=0", "status-unwritten:queue=0"):
        # The fallback cannot repeat in-place requests, so errors are permitted.
        result = requests()
        check(not result.wrong and not result.lost, f"requests: {result}")


@bug("S-14", "HW_READY is 0: no request", "D-3: [1-9]")
def _() -> None:
    with transform_with_key() as transform:
        check_encrypt(transform)
        reference.command(command="ready", ready=False)
        # Requests before the config change reaches the driver are permitted.
        time.sleep(2)
        try:
            for _ in range(20):
                in_child(lambda: check_encrypt(transform), "request")
        finally:
            reference.command(command="ready", ready=True)
        check_equal(violations("D-3"), 0, "violations of D-3")


@bug("S-17", "posted memory: only that of the request", "exact: [1-9]")
def _() -> None:
    check_requests()
    check_equal(violations("exact"), 0, "violations of exact")


@bug("S-19", "RSA with a full ring: requests complete", "ENOMEM|results differ")
def _() -> None:
    flags = pubkey.SLEEP | pubkey.BACKLOG
    with transform_with_key() as transform, reference.faulty("delay:value=200:queue=0"):
        answer = in_child(lambda: check_encrypt(transform, flags, 200), "requests")
        check_equal(answer, "None", "requests")


@bug("S-20", "key rejected by the device: no request without a session", "D-23: [1-9]")
def _() -> None:
    with transform_with_key() as transform:
        with reference.faulty("refuse-create:queue=control"):
            transform.set_key(KEY)
            transform.crypt(pubkey.ENCRYPT, b"\2" * SIZE, SIZE)
        check_equal(violations("D-23"), 0, "violations of D-23")


@bug("S-23", "several NUMA nodes: the device is used", "not passed")
def _() -> None:
    nodes = len(list(Path("/sys/devices/system/node").glob("node[0-9]*")))
    check_equal(nodes, 2, "nodes")
    check(cipher_passed(), f"{CIPHER} has not passed its self-test")


@bug("S-29", "suspend: no memory leak", r"kmalloc-\S+: [1-9]")
def _() -> None:
    sleep.load()
    check_equal(sleep.grown(), {}, "counters that grew")


for name in sys.argv[2:]:
    tested = BUGS[name]
    tap.test(f"{name}: {'the C driver fails: ' if IS_C_DRIVER else ''}{tested.title}")(
        partial(check_known_failure, tested) if IS_C_DRIVER else tested.function
    )
tap.run()
