#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""ECDSA on the device gives the same results as the kernel's own implementation.

usage: ecdsa.py session|stateless [--quick]

For a guest with one reference device. The shared folder has vc_akcipher.ko and keys. --quick runs
only the quick tests.
"""

import contextlib
import hashlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator

from lib import crypto, der, keys, module, pubkey, reference, tap
from lib.pubkey import OK, Transform
from lib.tap import check, check_equal, wait_until

STATELESS = sys.argv[1] == "stateless"
QUICK = "--quick" in sys.argv
HASHES = ("sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256")


def test(title: str, quick: bool = False) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Returns tap.test(title), or a decorator that does nothing for a long test with --quick."""
    return tap.test(title) if quick or not QUICK else lambda function: function


def driver(curve: keys.Curve) -> str:
    """Returns the driver name of the driver's implementation."""
    return f"ecdsa-nist-{curve.name}-virtio"


def generic(curve: keys.Curve) -> str:
    """Returns the driver name of the kernel's own implementation."""
    return f"ecdsa-nist-{curve.name}-generic"


def verified(status: str = "OK", **wanted: object) -> int:
    """Returns how many signatures the device has verified successfully."""
    return reference.data_requests(
        reference.status(), operation="AKCIPHER_VERIFY", status=status, **wanted
    )


def wait_for_no_session() -> None:
    """Waits until the device has no session."""
    wait_until(lambda: reference.status()["sessions"] == 0, 60, "no session is left")


@contextlib.contextmanager
def fault(name: str, **fault_options: object) -> Iterator[None]:
    """Injects a fault during the block."""
    reference.command(command="fault", fault={"name": name, **fault_options})
    try:
        yield
    finally:
        reference.command(command="clear")


@contextlib.contextmanager
def keyed_pair(curve: keys.Curve, template: str = "x962") -> Iterator[tuple[Transform, Transform]]:
    """Yields transforms of both implementations with the curve's public key."""

    def name(base: str) -> str:
        return f"{template}({base})" if template else base

    with Transform(name(driver(curve)), sig=True) as ours:
        with Transform(name(generic(curve)), sig=True) as theirs:
            for transform in (ours, theirs):
                check_equal(transform.set_key(curve.public), OK, "key")
            yield ours, theirs


def p1363(curve: keys.Curve, r: int, s: int) -> bytes:
    """Returns a signature in P1363 format: r followed by s."""
    return r.to_bytes(curve.field) + s.to_bytes(curve.field)


@test("openssl's signatures, all hashes and formats: valid, on the device")
def _() -> None:
    for curve in keys.CURVES:
        signatures = {}
        for hash_ in HASHES:
            digest = hashlib.new(hash_, b"message").digest()
            signatures[digest] = curve.sign(digest)
        for template in ("x962", "p1363", ""):
            # The first use of a template starts a self-test, so count the device's requests
            # afterwards.
            with keyed_pair(curve, template) as (ours, theirs):
                before = verified(stateless=STATELESS)
                for digest, signature in signatures.items():
                    r, s = der.numbers(signature)
                    data = {"x962": signature, "p1363": p1363(curve, r, s)}.get(
                        template, curve.raw(r, s, 0xFF)
                    )
                    for transform in (theirs, ours):
                        what = f"{transform.driver}, {len(digest)} bytes"
                        check_equal(transform.verify(data, digest), OK, what)
                on_device = verified(stateless=STATELESS) - before
                check_equal(on_device, len(HASHES), f"{ours.driver}: verified by the device")


@test("sizes: equal to those of the kernel's implementation")
def _() -> None:
    for curve in keys.CURVES:
        for template in ("x962", "p1363", ""):
            with keyed_pair(curve, template) as (ours, theirs):
                check_equal(ours.do(pubkey.SIZES), theirs.do(pubkey.SIZES), curve.name)


@test("invalid signatures and digests: same errors as the kernel's implementation")
def _() -> None:
    results = set()
    for curve in keys.CURVES:
        digest = hashlib.sha256(b"message").digest()
        signature = curve.sign(digest)
        r, s = der.numbers(signature)
        n, top = curve.order, (1 << 8 * curve.field) - 1
        with keyed_pair(curve) as (ours, theirs), keyed_pair(curve, "p1363") as (ours_2, theirs_2):
            with keyed_pair(curve, "") as (ours_3, theirs_3):

                def check_same(
                    signature: bytes, digest: bytes, pair: tuple[Transform, Transform]
                ) -> None:
                    actual, expected = (transform.verify(signature, digest) for transform in pair)
                    results.add(expected)
                    check_equal(actual, expected, f"{pair[0].driver}: {signature.hex()}")

                for at in {0, 1, 2, 3, 4, 5, 20, len(signature) // 2, len(signature) - 1}:
                    corrupted = bytearray(signature)
                    corrupted[at] ^= 1
                    check_same(bytes(corrupted), digest, (ours, theirs))
                for length in (0, 1, 2, len(signature) - 1):
                    check_same(signature[:length], digest, (ours, theirs))
                check_same(signature + b"\0", digest, (ours, theirs))
                check_same(der.sequence(b"\2\x81\1\1", der.integer(s)), digest, (ours, theirs))
                check_same(der.integers(r), digest, (ours, theirs))
                check_same(der.integers(r, s, s), digest, (ours, theirs))
                for bad in (0, 1, 2, n - 1, n, n + 1, curve.p, top):
                    for pair in ((bad, s), (r, bad), (bad, bad)):
                        check_same(der.integers(*pair), digest, (ours, theirs))
                        check_same(p1363(curve, *pair), digest, (ours_2, theirs_2))
                        check_same(curve.raw(*pair), digest, (ours_3, theirs_3))
                # n - s is equivalent to s.
                check_same(der.integers(r, n - s), digest, (ours, theirs))
                check_same(der.integers(s, r), digest, (ours, theirs))
                whole = p1363(curve, r, s)
                for length in (0, 1, curve.field, len(whole) - 2, len(whole) - 1):
                    check_same(whole[:length], digest, (ours_2, theirs_2))
                check_same(whole + b"\0", digest, (ours_2, theirs_2))
                whole = curve.raw(r, s)
                for length in (0, 1, 72, 143):
                    check_same(whole[:length], digest, (ours_3, theirs_3))
                check_same(whole + b"\0", digest, (ours_3, theirs_3))
                for wrong in (b"", b"\0", digest[:-1], digest[1:], digest + b"\0", bytes(32),
                              b"\xff" * 64, b"\xff" * 65, b"\xff" * 66, b"\xff" * 100):  # fmt: skip
                    check_same(signature, wrong, (ours, theirs))
    tap.note(", ".join(sorted(results)))
    check({OK, "EKEYREJECTED", "EBADMSG", "EINVAL"} <= results, f"only the results {results}")


@test("ECDSA, digests longer than SHA-512: the fallback's result", quick=True)
def _() -> None:
    curve = keys.CURVES[3]
    digest = os.urandom(64)
    signature = curve.sign(digest)
    # The standard uses the first 521 bits of a digest, and so do devices that use openssl. Those
    # bits are the same number in all these digests. The kernel's own implementation uses all bits.
    number = int.from_bytes(digest)
    digests = [digest, number.to_bytes(65)]
    digests += [(number << 7).to_bytes(66) + bytes(more) for more in (0, 1, 6, 34)]
    with keyed_pair(curve) as (ours, theirs):
        results = [theirs.verify(signature, each) for each in digests]
        for each, expected in zip(digests, results):
            check_equal(ours.verify(signature, each), expected, f"a digest of {len(each)} bytes")
    check_equal(results, [OK] * 2 + ["EKEYREJECTED"] * 4, "results of the kernel's implementation")


def points(curve: keys.Curve) -> Iterator[tuple[str, bytes]]:
    """Yields public keys in valid and invalid formats, each with a description."""
    good = curve.public
    x, y = good[1 : 1 + curve.field], good[1 + curve.field :]
    yield "good", good
    yield "empty", b""
    for first in (0, 1, 2, 3, 5, 6, 7, 0x84):
        yield f"begins with {first}", bytes([first]) + good[1:]
    yield "compressed", bytes([2 + (y[-1] & 1)]) + x
    yield "infinity", b"\0"
    yield "only a 4", b"\4"
    yield "a byte short", good[:-1]
    yield "two bytes short", good[:-2]
    yield "a byte too many", good + b"\0"
    yield "not on the curve", good[:-1] + bytes([good[-1] ^ 1])
    yield "0, 0", b"\4" + bytes(2 * curve.field)
    yield "0, 1", b"\4" + bytes(2 * curve.field - 1) + b"\1"
    yield "p, y", b"\4" + curve.p.to_bytes(curve.field) + y
    yield "x, p", b"\4" + x + curve.p.to_bytes(curve.field)
    yield "all ones", b"\4" + b"\xff" * (2 * curve.field)
    for zeros in (1, 2, 3, 6, 7, 8):
        yield f"{zeros} zeros in front", b"\4" + bytes(zeros) + x + bytes(zeros) + y
    yield "x, -y", b"\4" + x + (curve.p - int.from_bytes(y)).to_bytes(curve.field)
    for other in keys.CURVES:
        yield f"one of {other.name}", other.public


@test("public keys: same result of setkey and verify as the kernel's implementation")
def _() -> None:
    accepted = rejected = 0
    for curve in keys.CURVES:
        digest = hashlib.sha256(b"message").digest()
        signature = curve.sign(digest)
        with keyed_pair(curve) as (ours, theirs):
            for what, point in points(curve):
                expected = theirs.set_key(point)
                check_equal(ours.set_key(point), expected, f"{curve.name}: {what}")
                accepted, rejected = accepted + (expected == OK), rejected + (expected != OK)
                for data in (signature, signature[:-1] + bytes([signature[-1] ^ 1])):
                    actual, expected = ours.verify(data, digest), theirs.verify(data, digest)
                    check_equal(actual, expected, f"{curve.name}: {what}: signature")
    tap.note(f"{accepted} keys accepted, {rejected} rejected")
    check(accepted >= 12 and rejected >= 60, "too few keys accepted or rejected")


@test("public key with leading zeros: converted for the device")
def _() -> None:
    for curve, extra in itertools.product(keys.CURVES, (0, 6)):
        if extra and curve.name != "p521":
            continue  # coordinates of other curves fill whole words, so the kernel accepts no zeros
        good = curve.public
        x, y = good[1 : 1 + curve.field], good[1 + curve.field :]
        digest = os.urandom(32)
        with keyed_pair(curve) as (ours, _):
            check_equal(ours.set_key(b"\4" + bytes(extra) + x + bytes(extra) + y), OK, "key")
            before = verified()
            check_equal(ours.verify(curve.sign(digest), digest), OK, "signature")
            check_equal(verified() - before, 1, "verified by the device")


@test("no key, or an invalid key: EINVAL")
def _() -> None:
    for curve in keys.CURVES:
        digest = hashlib.sha256(b"message").digest()
        signature = curve.raw(*der.numbers(curve.sign(digest)))
        with Transform(driver(curve), sig=True) as transform:
            check_equal(transform.verify(signature, digest), "EINVAL", "no key")
            check_equal(transform.set_key(curve.public), OK, "key")
            check_equal(transform.verify(signature, digest), OK, "key")
            check_equal(transform.set_key(b"\4\0\0"), "EINVAL", "bad key")
            check_equal(transform.verify(signature, digest), "EINVAL", "no key")
    wait_for_no_session()


def numbers(curve: keys.Curve, signature: bytes) -> tuple[int, int]:
    """Returns r and s of a signature in the kernel's format."""
    digits = 8 * -(-curve.bits // 64)
    r, s = signature[:72], signature[72:]
    check(not any(r[digits:] + s[digits:]), "unused bytes are not 0")
    return int.from_bytes(r, "little"), int.from_bytes(s, "little")


@test("sign: openssl and the kernel's own accept the device's signatures")
def _() -> None:
    for curve in keys.CURVES:
        with (
            Transform(driver(curve), sig=True) as ours,
            Transform(generic(curve), sig=True) as theirs,
        ):
            check_equal(ours.set_key(curve.private, private=True), OK, "private key")
            check_equal(theirs.set_key(curve.public), OK, "public key")
            check_equal(ours.max_size, 144, "longest signature")
            for hash_ in HASHES:
                digest = hashlib.new(hash_, os.urandom(10)).digest()
                answer = ours.do(pubkey.SIGN, digest, dst_len=144)
                check_equal(answer.ret, 144, f"{curve.name}, {hash_}: signature")
                r, s = numbers(curve, answer.data)
                check(curve.verify(der.integers(r, s), digest), f"{curve.name}: openssl: {r}, {s}")
                check_equal(theirs.verify(answer.data, digest), OK, "the kernel's implementation")
                before = verified()
                check_equal(ours.verify(answer.data, digest), OK, "with a private key")
                check_equal(verified() - before, 1, "verified by the device")
                wrong = bytes([digest[0] ^ 1]) + digest[1:]
                check_equal(ours.verify(answer.data, wrong), "EKEYREJECTED", "wrong digest")
            for room in (0, 143):
                answer = ours.do(pubkey.SIGN, bytes(32), dst_len=room)
                check_equal(answer.name, "EOVERFLOW", f"destination of {room} bytes")
            for length in (0, 65):
                answer = ours.do(pubkey.SIGN, bytes(length), dst_len=144)
                check_equal(answer.name, "EINVAL", f"a digest of {length} bytes")


@test("invalid private keys: rejected, and the previous key is removed")
def _() -> None:
    for curve in keys.CURVES:
        good, digest = curve.private, bytes(32)
        signature = curve.raw(*der.numbers(curve.sign(digest)))
        other = keys.CURVES[keys.CURVES.index(curve) - 1]
        bad = [
            *(good[:length] for length in (0, 1, 2, 10, len(good) - 1)),
            good + b"\0",
            curve.public,
            curve.private_without_public,
            other.private,
            # The public point does not match the private key, and is not on the curve.
            good[:-1] + bytes([good[-1] ^ 1]),
        ]
        with Transform(driver(curve), sig=True) as transform:
            for key in bad:
                check_equal(transform.set_key(good, private=True), OK, "a good key")
                check_equal(transform.set_key(key, private=True), "EINVAL", key.hex())
                check_equal(transform.do(pubkey.SIGN, digest, dst_len=144).name, "ENOSYS", "sign")
                check_equal(transform.verify(signature, digest), "EINVAL", "verify")
    wait_for_no_session()


@test("sign without a key or on a failing device: error like the kernel's implementation")
def _() -> None:
    for curve in keys.CURVES[1:3]:
        with Transform(generic(curve), sig=True) as transform:
            check_equal(transform.set_key(curve.private, private=True), "ENOSYS", "generic")
            check_equal(transform.do(pubkey.SIGN, bytes(32), dst_len=144).name, "ENOSYS", "generic")
        with Transform(driver(curve), sig=True) as transform:
            check_equal(transform.do(pubkey.SIGN, bytes(32), dst_len=144).name, "ENOSYS", "no key")
            check_equal(transform.set_key(curve.public), OK, "public key")
            answer = transform.do(pubkey.SIGN, bytes(32), dst_len=144)
            check_equal(answer.name, "ENOSYS", "a public key")
            if not STATELESS:
                with fault("refuse-create"):
                    answer_ = transform.set_key(curve.private, private=True)
                check_equal(answer_, "ENOSYS", "a device that rejects the key")
            check_equal(transform.set_key(curve.private, private=True), OK, "private key")
            faults = [
                {"name": "refuse-operation"},
                {"name": "status-unwritten"},
                {"name": "corrupt-output"},
                {"name": "fail-after-write"},
            ]
            for fault_options in faults:
                with fault(**fault_options):
                    answer = transform.do(pubkey.SIGN, bytes(32), dst_len=144)
                check_equal(answer.name, "EIO", f"{fault_options}")
                check_equal(answer.data, bytes(144), "destination after an error")


@test("sessions: one for a public key, two for a private key, none is left")
def _() -> None:
    wait_for_no_session()
    for curve in keys.CURVES:
        with Transform(driver(curve), sig=True) as transform:
            for private, sessions in ((False, 1), (True, 2), (False, 1)):
                key = curve.private if private else curve.public
                check_equal(transform.set_key(key, private), OK, "key")
                expected = 0 if STATELESS else sessions
                wait_until(lambda: reference.status()["sessions"] == expected, 10, "sessions")
        wait_for_no_session()


@test("faults: valid signatures are accepted, invalid ones rejected")
def _() -> None:
    for curve in keys.CURVES:
        digest = hashlib.sha256(b"message").digest()
        signature = curve.sign(digest)
        wrong = signature[:-1] + bytes([signature[-1] ^ 1])
        faults = [
            # Without status 4, INVSESS: the driver would create another session.
            *({"name": "refuse-operation", "value": value} for value in (1, 2, 3, 5, 6)),
            *({"name": "status-unknown", "value": value} for value in (7, 8, 255)),
            {"name": "status-unwritten"},
            {"name": "wrong-tag"},
            {"name": "used-len-zero"},
            {"name": "used-len-long"},
        ]
        with keyed_pair(curve) as (ours, theirs):
            # Only P-256 is tested with all faults, the other curves with a part, because each
            # command to the device takes long.
            first = keys.CURVES.index(curve)
            part = faults if curve.name == "p256" else faults[first :: len(keys.CURVES)]
            for fault_options in part:
                with fault(**fault_options):  # type: ignore[arg-type]
                    check_equal(ours.verify(signature, digest), OK, f"{fault_options}")
                    actual = ours.verify(wrong, digest)
                check_equal(actual, theirs.verify(wrong, digest), f"{fault_options}")
        with fault("refuse-create"), keyed_pair(curve) as (ours, theirs):
            check_equal(ours.verify(signature, digest), OK, "a key that the device rejects")
            check_equal(ours.verify(wrong, digest), theirs.verify(wrong, digest), "invalid one")


@test("unbind with keys in use: the fallback verifies; after bind the device does")
def _() -> None:
    with contextlib.ExitStack() as stack:
        pairs = [(curve, stack.enter_context(keyed_pair(curve))) for curve in keys.CURVES]
        signing_curve = keys.CURVES[1]
        signer = stack.enter_context(Transform(driver(signing_curve), sig=True))
        check_equal(signer.set_key(signing_curve.private, private=True), OK, "private key")
        private_signature = signing_curve.raw(*der.numbers(signing_curve.sign(bytes(32))))
        module.unbind()
        for curve, pair in pairs:
            digest = os.urandom(32)
            signature = curve.sign(digest)
            for transform in pair:
                check_equal(transform.verify(signature, digest), OK, transform.driver)
                check_equal(transform.verify(signature, bytes(32)), "EKEYREJECTED", "wrong digest")
            check_equal(pair[0].set_key(curve.public), OK, "key")
            check_equal(signer.do(pubkey.SIGN, bytes(32), dst_len=144).name, "ENODEV", "sign")
            check_equal(signer.verify(private_signature, bytes(32)), OK, "private key, no device")
        check_equal(signer.set_key(signing_curve.private, private=True), "ENOSYS", "private key")
        for name in module.devices():
            (module.DRIVER / "bind").write_text(name)
        ready()
        # The transforms must use the device again.
        for curve, (ours, _) in pairs:
            digest = os.urandom(32)
            before = verified()
            check_equal(ours.verify(curve.sign(digest), digest), OK, "signature")
            check_equal(verified() - before, 1, "verified by the device")
    wait_for_no_session()


@test("request timeout: correct result, and the device is used again")
def _() -> None:
    if "timeout_ms" not in os.environ:
        raise tap.Skip("requires a short timeout_ms")
    curve = keys.CURVES[1]
    digest = os.urandom(32)
    signature = curve.sign(digest)
    with keyed_pair(curve) as (ours, _):
        reference.command(command="fault", fault="never-answer:queue=0:count=1")
        check_equal(ours.verify(signature, digest), OK, "signature")
        check_equal(ours.verify(signature, bytes(32)), "EKEYREJECTED", "wrong digest")

        def device_verifies() -> bool:
            before = verified()
            check_equal(ours.verify(signature, digest), OK, "signature")
            return verified() > before

        wait_until(device_verifies, 60, "the device serves a request")
        reference.command(command="clear")


def ready() -> None:
    """Waits until the driver has registered all curves."""
    names = [driver(curve) for curve in keys.CURVES]
    wait_until(
        lambda: all(name in crypto.ours() and crypto.ours()[name].passed for name in names),
        300,
        "all curves have passed their self-tests",
    )


pubkey.load()
ready()
tap.run()
