#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The vectors of project Wycheproof: what is valid is accepted, what is not is not, and the device
never differs from the kernel's software.

For a guest with one reference device that knows ECDSA, and vc_akcipher and the vectors in what it
shares with its host.
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

# The signature is right, its encoding is not. That is for the kernel to judge, in a template that is
# not the driver's, and it takes some of them.
LAX = {"BerEncodedSignature", "InvalidEncoding", "MissingZero"}


def groups(pattern: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """All groups of vectors in those files."""
    files = sorted(FOLDER.glob(pattern))
    check(files, f"there is no {pattern}")
    for file in files:
        for group in json.loads(file.read_text())["testGroups"]:
            yield file.stem, group


def digest(group: dict[str, Any], message: str) -> bytes:
    """What is signed of a message."""
    name = HASHES[group["sha"]].replace("-", "_")
    return hashlib.new(name, bytes.fromhex(message)).digest()


def served(operation: str) -> int:
    """Requests that the device has done so far."""
    return reference.data_requests(reference.status(), operation=operation, status="OK")


class Tally:
    """What was found."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self.wrong: list[str] = []

    def add(self, where: str, case: dict[str, Any], ours: str, theirs: str | None) -> None:
        """The verdicts on a vector; there is only one on what software does not know."""
        what = f"{where} {case['tcId']} ({case['comment']}): {case['result']}, {ours}"
        if theirs is not None and ours != theirs:
            self.wrong.append(f"{what}; software: {theirs}")
        elif case["result"] == "invalid" and ours == OK:
            if theirs is None or not set(case["flags"]) <= LAX:
                self.wrong.append(what)
        elif case["result"] == "valid" and ours != OK:
            self.wrong.append(what)
        self.found[f"{case['result']}: {ours}"] += 1

    def end(self, least: int) -> None:
        """Fails the test if something was wrong, or too little found."""
        for what, count in sorted(self.found.items()):
            tap.note(f"{count} {what}")
        check(not self.wrong, "\n".join(self.wrong[:20]))
        check(self.found.total() >= least, "there were not enough vectors")


def ecdsa(template: str, pattern: str, least: int) -> None:
    """The vectors for signatures of one form."""
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
    check(done >= valid, f"the device has found {done} signatures right, expected {valid} or more")
    tally.end(least)


@test("ECDSA with signatures in DER")
def _() -> None:
    ecdsa("x962", "ecdsa_secp*r1_*_test.json", 5000)


@test("ECDSA with signatures of two numbers")
def _() -> None:
    ecdsa("p1363", "ecdsa_secp*r1_*_p1363_test.json", 1000)


@test("RSA signatures")
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
            # A hash that the kernel has no name for in signatures.
            continue
        with ours, Transform(name.format("rsa-generic"), sig=True) as theirs:
            check_equal(ours.set_key(key), OK, f"{where}: key")
            in_software = theirs.set_key(key) == OK
            check(in_software or group["keySize"] == 8192, f"{where}: software refuses the key")
            for case in group["tests"]:
                signature, hash_ = bytes.fromhex(case["sig"]), digest(group, case["msg"])
                verdict = theirs.verify(signature, hash_) if in_software else None
                tally.add(where, case, ours.verify(signature, hash_), verdict)
    check(served("AKCIPHER_ENCRYPT") - before > 1000, "the device has not worked")
    tally.end(2000)


@test("RSA decryption")
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
                is_, should = (each.crypt(DECRYPT, secret, size, SLEEP) for each in (ours, theirs))
                tally.add(where, case, is_.name, should.name)
                if is_.name == OK and (is_.result != message or should.result != message):
                    tally.wrong.append(f"{where} {case['tcId']}: another message")
    check(served("AKCIPHER_DECRYPT") - before > 50, "the device has not worked")
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
