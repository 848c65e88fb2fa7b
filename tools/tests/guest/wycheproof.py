#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Vectors of project Wycheproof: valid ones must be accepted, invalid ones rejected, and the device
must never differ from the kernel's own implementation.

For a guest with one reference device with ECDSA. The shared folder has vc_akcipher.ko and the
vectors.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lib import crypto, der, pubkey, reference, tap
from lib.pubkey import DECRYPT, OK, SLEEP, Transform
from lib.tap import check, check_equal, test, wait_until

FOLDER = Path("/mnt/share/wycheproof")
CURVES = {"secp192r1": "p192", "secp256r1": "p256", "secp384r1": "p384", "secp521r1": "p521"}
HASHES = {
    "SHA-1": "sha1", "SHA-224": "sha224", "SHA-256": "sha256", "SHA-384": "sha384",
    "SHA-512": "sha512", "SHA3-256": "sha3-256", "SHA3-384": "sha3-384", "SHA3-512": "sha3-512",
}  # fmt: skip

# Flags of vectors with a correct signature in an invalid encoding. The kernel's template decodes
# signatures, not the driver, and accepts some of these encodings.
LAX = {"BerEncodedSignature", "InvalidEncoding", "MissingZero"}


def groups(pattern: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields all groups of vectors in the matching files."""
    files = sorted(FOLDER.glob(pattern))
    check(files, f"no file matches {pattern}")
    for file in files:
        for group in json.loads(file.read_text())["testGroups"]:
            yield file.stem, group


def digest(group: dict[str, Any], message: str) -> bytes:
    """Returns the digest of a message."""
    name = HASHES[group["sha"]].replace("-", "_")
    return hashlib.new(name, bytes.fromhex(message)).digest()


def served(operation: str) -> int:
    """Returns how many requests the device has served."""
    return reference.data_requests(reference.status(), operation=operation, status="OK")


class Tally:
    """Results of vectors."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self.wrong: list[str] = []

    def add(self, where: str, case: dict[str, Any], ours: str, theirs: str | None) -> None:
        """Adds the results of a vector. `theirs` is None if only the device supports the key."""
        what = f"{where} {case['tcId']} ({case['comment']}): {case['result']}, {ours}"
        if theirs is not None and ours != theirs:
            self.wrong.append(f"{what}; the kernel's implementation: {theirs}")
        elif case["result"] == "invalid" and ours == OK:
            if theirs is None or not set(case["flags"]) <= LAX:
                self.wrong.append(what)
        elif case["result"] == "valid" and ours != OK:
            self.wrong.append(what)
        self.found[f"{case['result']}: {ours}"] += 1

    def end(self, least: int) -> None:
        """Fails the test if a result is wrong, or if there were too few vectors."""
        for what, count in sorted(self.found.items()):
            tap.note(f"{count} {what}")
        check(not self.wrong, "\n".join(self.wrong[:20]))
        check(self.found.total() >= least, "too few vectors")


def ecdsa(template: str, pattern: str, least: int) -> None:
    """Tests the vectors of one signature format."""
    tally = Tally()
    before = served("AKCIPHER_VERIFY")
    for where, group in groups(pattern):
        key = group["publicKey"]
        if group["sha"] not in HASHES or ("p1363" in where) != (template == "p1363"):
            continue
        base = f"ecdsa-nist-{CURVES[key['curve']]}"
        point = bytes.fromhex(key["uncompressed"])
        with Transform(f"{template}({base}-virtio)", sig=True) as ours:
            with Transform(f"{template}({base}-generic)", sig=True) as theirs:
                check_equal(ours.set_key(point), theirs.set_key(point), f"{where}: key")
                for case in group["tests"]:
                    signature, hash_ = bytes.fromhex(case["sig"]), digest(group, case["msg"])
                    verdicts = (each.verify(signature, hash_) for each in (ours, theirs))
                    tally.add(where, case, *verdicts)
    valid = sum(count for what, count in tally.found.items() if what.endswith(OK))
    done = served("AKCIPHER_VERIFY") - before
    check(done >= valid, f"the device has verified {done} signatures, expected at least {valid}")
    tally.end(least)


@test("ECDSA, signatures in DER: expected results")
def _() -> None:
    ecdsa("x962", "ecdsa_secp*r1_*_test.json", 5000)


@test("ECDSA, signatures in P1363 format: expected results")
def _() -> None:
    ecdsa("p1363", "ecdsa_secp*r1_*_p1363_test.json", 1000)


@test("RSA signatures: expected results")
def _() -> None:
    tally = Tally()
    before = served("AKCIPHER_ENCRYPT")
    for where, group in groups("rsa_signature_*_test.json"):
        if group["sha"] not in HASHES:
            continue
        name = f"pkcs1({{}},{HASHES[group['sha']]})"
        key = bytes.fromhex(group["publicKeyAsn"])
        try:
            ours = Transform(name.format("rsa-virtio"), sig=True)
        except OSError:
            # The kernel has no name for this hash in signatures.
            continue
        with ours, Transform(name.format("rsa-generic"), sig=True) as theirs:
            check_equal(ours.set_key(key), OK, f"{where}: key")
            has_fallback = theirs.set_key(key) == OK
            check(has_fallback or group["keySize"] == 8192, f"{where}: key rejected")
            for case in group["tests"]:
                signature, hash_ = bytes.fromhex(case["sig"]), digest(group, case["msg"])
                verdict = theirs.verify(signature, hash_) if has_fallback else None
                tally.add(where, case, ours.verify(signature, hash_), verdict)
    check(served("AKCIPHER_ENCRYPT") - before > 1000, "the device has served too few requests")
    tally.end(2000)


@test("RSA decryption: expected results")
def _() -> None:
    tally = Tally()
    before = served("AKCIPHER_DECRYPT")
    for where, group in groups("rsa_pkcs1_*_test.json"):
        info = der.Reader(der.Reader(bytes.fromhex(group["privateKeyPkcs8"])).take(der.SEQUENCE))
        info.number()
        info.take(der.SEQUENCE)
        key = info.take(der.OCTET_STRING)
        with Transform("pkcs1pad(rsa-virtio)") as ours, Transform("pkcs1pad(rsa-generic)") as theirs:
            for transform in (ours, theirs):
                check_equal(transform.set_key(key, private=True), OK, f"{where}: key")
            size = ours.max_size
            for case in group["tests"]:
                secret, message = bytes.fromhex(case["ct"]), bytes.fromhex(case["msg"])
                actual, expected = (
                    each.crypt(DECRYPT, secret, size, SLEEP) for each in (ours, theirs)
                )
                tally.add(where, case, actual.name, expected.name)
                if actual.name == OK and (actual.result != message or expected.result != message):
                    tally.wrong.append(f"{where} {case['tcId']}: wrong message")
    check(served("AKCIPHER_DECRYPT") - before > 50, "the device has served too few requests")
    tally.end(100)


pubkey.load()
wait_until(
    lambda: sum(
        alg.passed for name, alg in crypto.ours().items() if name.startswith(("rsa-", "ecdsa-"))
    ) == 5,
    300,
    "RSA and ECDSA",
)  # fmt: skip
tap.run()
