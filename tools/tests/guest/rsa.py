#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""RSA on the device: results equal Python's arithmetic, errors equal the kernel's own
implementation.

usage: rsa.py session|stateless [--quick]

For a guest with one reference device. The shared folder has vc_akcipher.ko and keys.
"""

import contextlib
import itertools
import os
import random
import sys
from collections.abc import Iterator

from lib import crypto, der, keys, module, pubkey, reference, tap
from lib.pubkey import (
    ATOMIC,
    BACKLOG,
    DECRYPT,
    ENCRYPT,
    IN_PLACE,
    OK,
    SLEEP,
    SPLIT,
    TAIL,
    Transform,
)
from lib.tap import check, check_equal, check_same, test, wait_until

STATELESS = sys.argv[1] == "stateless"
QUICK = "--quick" in sys.argv
OURS, THEIRS = "rsa-virtio", "rsa-generic"
SHAPES = (0, IN_PLACE, SPLIT, SPLIT | IN_PLACE, TAIL, TAIL | SPLIT)
ALL = {bits: keys.rsa(bits) for bits in keys.RSA_BITS}
KEY = ALL[2048]
LARGE = ALL[8192]  # too large for the kernel's own implementation
ROUNDS = 1 if QUICK else 3


def served(**wanted: object) -> int:
    """Returns how many requests the device has served."""
    now = reference.status()
    return sum(
        reference.data_requests(now, operation=f"AKCIPHER_{what}", status="OK", **wanted)
        for what in ("ENCRYPT", "DECRYPT")
    )


def wait_for_no_session() -> None:
    """Waits until the device has no session."""
    wait_until(lambda: reference.status()["sessions"] == 0, 60, "no session is left")


@contextlib.contextmanager
def fault(name: str, **how: object) -> Iterator[None]:
    """Injects a fault during the block."""
    reference.command(command="fault", fault={"name": name, **how})
    try:
        yield
    finally:
        reference.command(command="clear")


@contextlib.contextmanager
def keyed(driver: str, key: keys.Rsa, private: bool = True) -> Iterator[Transform]:
    """Yields a transform with a key."""
    with Transform(driver) as transform:
        check_equal(transform.set_key(key.private if private else key.public, private), OK, "key")
        yield transform


def size_of(key: keys.Rsa) -> int:
    """Returns the length of the results of a key."""
    return key.size if key.has_fallback else key.length


def input_and_output(key: keys.Rsa, what: int, number: int = 0) -> tuple[bytes, bytes]:
    """Returns an input, random unless `number` is given, and the expected output."""
    plain = number or random.randrange(2, key.n - 1)
    cipher = pow(plain, key.e, key.n)
    src, dst = (plain, cipher) if what == ENCRYPT else (cipher, plain)
    return src.to_bytes(key.length), dst.to_bytes(size_of(key))


def check_crypt(transform: Transform, key: keys.Rsa, what: int, flags: int = SLEEP, text: str = "",
                count: int = 1) -> None:  # fmt: skip
    """Runs a request and checks its result."""
    src, expected = input_and_output(key, what)
    answer = transform.crypt(what, src, size_of(key), flags, count)
    text = f"{key.bits} bits, {'encrypt' if what == ENCRYPT else 'decrypt'}, flags {flags}, {text}"
    check_equal((answer.name, answer.length), (OK, size_of(key)), text)
    check_same(answer.result, expected, text)


@test("all key lengths: correct results")
def _() -> None:
    before = served(stateless=STATELESS)
    made = 0
    for key in ALL.values():
        for private in (False, True):
            with keyed(OURS, key, private) as transform:
                check_equal(transform.max_size, size_of(key), f"{key.bits} bits: maximum size")
                for what in (ENCRYPT, DECRYPT) if private else (ENCRYPT,):
                    for _ in range(ROUNDS):
                        check_crypt(transform, key, what)
                        made += 1
    check_equal(served(stateless=STATELESS) - before, made, "requests of the device")


@test("short input, and input with leading zeros: correct results")
def _() -> None:
    with keyed(OURS, KEY) as transform:
        before = served()
        for number in (2, 255, 256, 1 << 63, 1 << 512, 1 << 2040):
            shortest = number.to_bytes((number.bit_length() + 7) // 8)
            _, expected = input_and_output(KEY, ENCRYPT, number)
            for zeros in (0, 1, 7, 256, 1000):
                answer = transform.crypt(ENCRYPT, bytes(zeros) + shortest, KEY.size)
                check_equal(answer.name, OK, f"{number:#x} with {zeros} zeros")
                check_same(answer.result, expected, f"{zeros} zeros")
                answer = transform.crypt(DECRYPT, bytes(zeros) + expected, KEY.size)
                check_same(answer.result, shortest.rjust(KEY.size, b"\0"), f"{zeros} zeros")
        check_equal(served() - before, 60, "requests of the device")


@test("scatterlist layouts: correct results, no write after the result")
def _() -> None:
    for bits in (512, 2040, 2048, 8192):
        key = ALL[bits]
        with keyed(OURS, key) as transform:
            before = served()
            for what, shape in itertools.product((ENCRYPT, DECRYPT), SHAPES):
                check_crypt(transform, key, what, SLEEP | shape)
            done = served() - before
            # Requests with too many segments run on the fallback.
            check(done >= len(SHAPES), f"the device has served {done} requests of {bits} bits")


@test("range of inputs: same errors and results as the kernel's implementation")
def _() -> None:
    for bits in (512, 2040, 2048):
        key = ALL[bits]
        n, top = key.n, 1 << 8 * key.size
        wanted = {0, 1, 2, 3, n - 3, n - 2, n - 1, n, n + 1, top - 1, top, top << 64, n << 8}
        with keyed(OURS, key) as ours, keyed(THEIRS, key) as theirs:
            for what, number in itertools.product((ENCRYPT, DECRYPT), sorted(wanted)):
                src = number.to_bytes((number.bit_length() + 7) // 8)
                for data in {src, src.rjust(key.length, b"\0"), bytes(3) + src}:
                    actual = ours.crypt(what, data, key.size)
                    expected = theirs.crypt(what, data, key.size)
                    check_equal(actual.name, expected.name, f"{number:#x}")
                    check(actual.ret or actual.data == expected.data, f"{number:#x}: wrong result")


@test("empty input: rejected before it reaches the device")
def _() -> None:
    with keyed(OURS, KEY) as ours, keyed(THEIRS, KEY) as theirs:
        before = reference.data_requests(reference.status())
        for what in (ENCRYPT, DECRYPT):
            check_equal(ours.crypt(what, b"", KEY.size).name, "EINVAL", "driver")
            check_equal(theirs.crypt(what, b"", KEY.size).name, "EINVAL", "kernel's implementation")
        check_equal(reference.data_requests(reference.status()) - before, 0, "requests")


@test("short destination: EOVERFLOW and the required length")
def _() -> None:
    for bits in (2040, 2048, 8192):
        key = ALL[bits]
        size = size_of(key)
        with keyed(OURS, key) as transform:
            for what, room in itertools.product((ENCRYPT, DECRYPT), (0, 1, size - 8, size - 1)):
                answer = transform.crypt(what, input_and_output(key, what)[0], room)
                check_equal((answer.name, answer.length), ("EOVERFLOW", size), f"{room} bytes")


@test("long destination: the rest is unchanged")
def _() -> None:
    for bits in (2040, 2048, 8192):
        key = ALL[bits]
        size = size_of(key)
        for flags in (SLEEP, SLEEP | SPLIT):
            with keyed(OURS, key) as transform:
                src, expected = input_and_output(key, ENCRYPT)
                answer = transform.crypt(ENCRYPT, src, size + 77, flags)
                check_equal((answer.name, answer.length), (OK, size), "answer")
                check_same(answer.result, expected, "result")
                check_same(answer.data[size:], b"\xa5" * 77, "rest of the destination")


@test("no key: EINVAL, size 0")
def _() -> None:
    with Transform(OURS) as ours, Transform(THEIRS) as theirs:
        check_equal(ours.max_size, 0, "size")
        for what in (ENCRYPT, DECRYPT):
            check_equal(ours.crypt(what, b"\2" * 64, 64).name, "EINVAL", "no key")
            check_equal(theirs.crypt(what, b"\2" * 64, 64).name, "EINVAL", "no key")


@test("public key: decryption fails")
def _() -> None:
    for key in (KEY, LARGE):
        with keyed(OURS, key, private=False) as transform:
            answer = transform.crypt(DECRYPT, b"\2" * 64, size_of(key))
            check_equal(answer.name, "EINVAL", "public key")


@test("rejected key: the previous key and its sessions are removed")
def _() -> None:
    wait_for_no_session()
    for private in (False, True):
        with keyed(OURS, KEY, private) as transform:
            check_equal(transform.set_key(b"\x30\x03\x02\x01\x00"), "EBADMSG", "bad key")
            check_equal(transform.crypt(ENCRYPT, b"\2" * 64, KEY.size).name, "EINVAL", "no key")
            check_equal(transform.max_size, 0, "size")
            wait_for_no_session()
            check_equal(transform.set_key(KEY.public), OK, "good key")
            check_crypt(transform, KEY, ENCRYPT)


@test("sessions: one for a public key, two for a private key, none is left")
def _() -> None:
    wait_for_no_session()
    for key, (private, expected) in itertools.product((KEY, LARGE), ((False, 1), (True, 2))):
        with keyed(OURS, key, private):
            sessions = reference.status()["sessions"]
            check_equal(sessions, 0 if STATELESS else expected, "sessions")
        wait_for_no_session()


def malformed() -> Iterator[tuple[str, bytes, bool]]:
    """Yields keys in invalid and unusual formats, each with a description."""
    public, private = KEY.public, KEY.private
    n, e, d, *crt = der.numbers(private)[1:]
    yield "empty", b"", False
    yield "empty", b"", True
    yield "private key as public key", private, False
    yield "public key as private key", public, True
    for data, is_private in ((public, False), (private, True)):
        step = len(data) // 12
        for length in {1, 2, 3, 4, 5, *range(6, len(data), step), len(data) - 1}:
            yield f"{length} of {len(data)} bytes", data[:length], is_private
        for at in (0, 4, len(data) - 5):
            for value in (0x00, 0x03, 0x1F, 0x30, 0x80, 0xFF):
                spoilt = bytearray(data)
                spoilt[at] = value
                yield f"byte {at} is {value:#x}", bytes(spoilt), is_private
        yield "trailing bytes", data + b"\0\1\2", is_private
    body = der.integer(n) + der.integer(e)
    yield "BER: indefinite length", b"\x30\x80" + body + b"\0\0", False
    yield "BER: a long length", b"\x30\x82" + len(body).to_bytes(2) + body, False
    yield "BER: a longer length", b"\x30\x83" + len(body).to_bytes(3) + body, False
    yield "BER: a long exponent", der.sequence(der.integer(n), b"\2\x82\0\3" + e.to_bytes(3)), False
    zeros = der.element(der.INTEGER, bytes(9) + n.to_bytes(256))
    yield "zeros in front of the modulus", der.sequence(zeros, der.integer(e)), False
    negative = der.element(der.INTEGER, n.to_bytes(256))
    yield "a negative modulus", der.sequence(negative, der.integer(e)), False
    zeros = der.element(der.INTEGER, bytes(9) + e.to_bytes(3))
    yield "zeros in front of the exponent", der.sequence(der.integer(n), zeros), False
    yield "an exponent longer than the modulus", der.integers(n, n << 64), False
    for what, modulus in (("even", n - 1), ("0", 0), ("1", 1), ("a power of 2", 1 << 2047),
                          ("short", n >> 1000), ("odd and short", n >> 8 | 1)):  # fmt: skip
        yield f"the modulus is {what}", der.integers(modulus, e), False
        yield f"the modulus is {what}", der.integers(0, modulus, e, d, *crt), True
    for exponent in (0, 1, 2, 3, 4, 65536, n - 2, n, n + 2):
        yield f"the exponent is {exponent:#x}", der.integers(n, exponent), False
    for at in range(8):
        for what, change in (("0", lambda _: 0), ("1", lambda _: 1), ("off by 2", lambda x: x + 2)):
            changed = [n, e, d, *crt]
            changed[at] = change(changed[at])
            yield f"number {at} of a private key is {what}", der.integers(0, *changed), True
    yield "a version of 1", der.integers(1, n, e, d, *crt), True
    yield "two numbers only", der.integers(0, n, e, d), True
    yield "a number too many", der.integers(0, n, e, d, *crt, 1), True
    for bits in (1032, 2040, 4096):
        yield f"a valid key of {bits} bits", ALL[bits].public, False


@test("malformed keys: same results of setkey and requests as the kernel's implementation")
def _() -> None:
    accepted = rejected = device_only = 0
    with Transform(OURS) as ours, Transform(THEIRS) as theirs:
        for what, data, private in malformed():
            expected = theirs.set_key(data, private)
            actual = ours.set_key(data, private)
            if expected == "EINVAL" and actual == OK:
                # The kernel's own implementation does not support the length of the modulus.
                bits = 8 * ours.max_size
                known = bits in (512, 1024, 1536, 2048, 3072, 4096)
                check(512 <= bits <= 8192 and not known, f"{what}: a key of {bits} bits")
                device_only += 1
                continue
            check_equal(actual, expected, what)
            if actual != OK:
                rejected += 1
                continue
            accepted += 1
            check_equal(ours.max_size, theirs.max_size, f"{what}: size")
            size = theirs.max_size
            for which in (ENCRYPT, DECRYPT):
                src = random.randrange(2, KEY.n >> 1100).to_bytes(size)
                result = ours.crypt(which, src, size)
                wanted = theirs.crypt(which, src, size)
                check_equal(result.name, wanted.name, f"{what}: {which}")
                check(result.ret or result.data == wanted.data, f"{what}: {which}: wrong result")
        tap.note(f"{accepted} keys accepted, {rejected} rejected, {device_only} device-only")
        check(accepted > 20 and rejected > 60, "too few keys accepted or rejected")


@test("bottom halves disabled: correct results, on the device and the fallback")
def _() -> None:
    with keyed(OURS, KEY) as transform:
        for how in (contextlib.nullcontext(), fault("refuse-operation")):
            with how:
                for flags in (ATOMIC, ATOMIC | BACKLOG, BACKLOG, 0):
                    for what in (ENCRYPT, DECRYPT):
                        check_crypt(transform, KEY, what, flags)


@test("many requests in parallel: all complete, with and without backlog")
def _() -> None:
    count = 100 if QUICK else 600
    for key, flags in itertools.product((ALL[512], KEY), (SLEEP | BACKLOG, SLEEP, BACKLOG, 0)):
        with keyed(OURS, key) as transform:
            check_crypt(transform, key, ENCRYPT, flags, count=count)


def check_with_faults(*faults: dict[str, object]) -> None:
    """Checks that results are correct in spite of the faults."""
    with keyed(OURS, KEY) as transform:
        for how in faults:
            with fault(**how):  # type: ignore[arg-type]
                for what, flags in itertools.product((ENCRYPT, DECRYPT), (SLEEP, SLEEP | IN_PLACE)):
                    check_crypt(transform, KEY, what, flags, str(how))


@test("device rejects or fails requests: the fallback completes them")
def _() -> None:
    check_with_faults(
        # Not status 4, INVSESS: the driver then creates other sessions.
        *({"name": "refuse-operation", "value": value} for value in (1, 2, 3, 5, 6)),
        *({"name": "status-unknown", "value": value} for value in (7, 8, 255)),
        *({"name": "fail-after-write", "value": value} for value in (1, 3)),
        {"name": "status-unwritten"},
    )


@test("results of a wrong length: the fallback repeats the request")
def _() -> None:
    check_with_faults(
        *({"name": "used-len-short", "value": value} for value in (1, 2, 255)),
        *({"name": "used-len-long", "value": value} for value in (1, 4096)),
        {"name": "used-len-zero"},
    )


@test("device rejects keys: requests run on the fallback")
def _() -> None:
    for status in (1, 3, 5):
        with fault("refuse-create", value=status):
            wait_for_no_session()
            with keyed(OURS, KEY) as transform:
                sessions = reference.status()["sessions"]
                check_equal(sessions, 0, "sessions")
                check_crypt(transform, KEY, DECRYPT)
            if not STATELESS:
                with Transform(OURS) as transform:
                    answer_ = transform.set_key(LARGE.private, private=True)
                    check_equal(answer_, "EINVAL", "key only for the device")


@test("key without fallback, device fails: EIO")
def _() -> None:
    with keyed(OURS, LARGE) as transform:
        for name in ("refuse-operation", "status-unwritten", "fail-after-write", "used-len-zero",
                     "used-len-long"):  # fmt: skip
            with fault(name):
                for what in (ENCRYPT, DECRYPT):
                    answer = transform.crypt(what, input_and_output(LARGE, what)[0], LARGE.length)
                    check_equal(answer.name, "EIO", name)
        for what in (ENCRYPT, DECRYPT):
            check_crypt(transform, LARGE, what)


@test("key without fallback, short result: leading zeros")
def _() -> None:
    with keyed(OURS, LARGE) as transform:
        src, result = input_and_output(LARGE, ENCRYPT)
        for short in (1, 100, 1023):
            with fault("used-len-short", value=short):
                for flags in (SLEEP, SLEEP | IN_PLACE, SLEEP | SPLIT):
                    answer = transform.crypt(ENCRYPT, src, LARGE.length, flags)
                    check_equal((answer.name, answer.length), (OK, LARGE.length), "answer")
                    check_same(answer.result, bytes(short) + result[:-short], "result")


@test("unbind with keys in use: the fallback runs; after bind the device does")
def _() -> None:
    with keyed(OURS, KEY) as transform, keyed(OURS, LARGE) as large, Transform(OURS) as later:
        module.unbind()
        for what in (ENCRYPT, DECRYPT):
            for flags in (SLEEP, 0, ATOMIC):
                check_crypt(transform, KEY, what, flags)
            answer = large.crypt(what, b"\2" * 64, LARGE.length)
            check_equal(answer.name, "ENODEV", "key only for the device")
        check_equal(later.set_key(KEY.private, private=True), OK, "key")
        check_crypt(later, KEY, DECRYPT)
        check_equal(later.set_key(LARGE.public), "EINVAL", "key only for the device")
        for name in module.devices():
            (module.DRIVER / "bind").write_text(name)
        wait_until(lambda: OURS in crypto.ours() and crypto.ours()[OURS].passed, 120, "rsa-virtio")
        check_equal(later.set_key(LARGE.public), OK, "key only for the device")
        # The other transforms use the device again.
        before = served()
        for what in (ENCRYPT, DECRYPT):
            check_crypt(transform, KEY, what)
            check_crypt(large, LARGE, what)
        check_equal(served() - before, 4, "requests of the device")
    wait_for_no_session()


@test("lost session: re-established")
def _() -> None:
    if STATELESS:
        raise tap.Skip("the device has no sessions")
    with keyed(OURS, KEY) as transform:
        reference.command(command="fault", fault="session-forgotten:count=1")
        check_equal(transform.set_key(KEY.public), OK, "key")
        check_crypt(transform, KEY, ENCRYPT)

        def is_served() -> bool:
            before = served()
            check_crypt(transform, KEY, ENCRYPT)
            return served() > before

        wait_until(is_served, 30, "the device serves a request")
        reference.command(command="clear")


@test("request timeout: correct results, and the device is used again")
def _() -> None:
    if "timeout_ms" not in os.environ:
        raise tap.Skip("requires a short timeout_ms")
    with keyed(OURS, KEY) as transform:
        reference.command(command="fault", fault="never-answer:queue=0:count=5")
        check_crypt(transform, KEY, DECRYPT, SLEEP | BACKLOG, count=5)

        def is_served() -> bool:
            before = served()
            check_crypt(transform, KEY, DECRYPT)
            return served() > before

        wait_until(is_served, 60, "the device serves a request")
        reference.command(command="clear")


pubkey.load()
wait_until(lambda: OURS in crypto.ours() and crypto.ours()[OURS].passed, 300, "rsa-virtio")
tap.run()
