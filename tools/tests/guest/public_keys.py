#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The expected public key algorithms are registered. These algorithms, and templates over them,
pass the kernel's self-tests. The device performs the operations of the self-tests.

usage: public_keys.py [NAME...]

NAME is rsa or ecdsa. Without a NAME, no public key algorithm may be registered. For a guest with
one reference device. The folder that the guest shares with its host must contain vc_akcipher.ko,
which allocates the transforms.
"""

import sys

from lib import crypto, pubkey, reference, tap
from lib.pubkey import Transform
from lib.tap import check, check_equal, test, wait_until

EXPECTED = sys.argv[1:]
CURVES = ("p192", "p256", "p384", "p521")
NAMES = {"rsa": ["rsa-virtio"], "ecdsa": [f"ecdsa-nist-{curve}-virtio" for curve in CURVES]}
# Templates, and an operation that the device must perform for the self-test of the template. None:
# the kernel's self-test sends no request. A signature by RSA is a decryption with the private key,
# and its verification is an encryption with the public key.
TEMPLATES: dict[str, dict[str, str | None]] = {
    "rsa": {
        "pkcs1pad(rsa-virtio)": None,
        "pkcs1(rsa-virtio,sha256)": "AKCIPHER_DECRYPT",
        "pkcs1(rsa-virtio,none)": "AKCIPHER_ENCRYPT",
    },
    "ecdsa": {
        **{f"x962({name})": "AKCIPHER_VERIFY" for name in NAMES["ecdsa"]},
        "p1363(ecdsa-nist-p256-virtio)": "AKCIPHER_VERIFY",
    },
}


def registered() -> list[str]:
    """Returns the driver names of the registered public key algorithms of the driver."""
    return sorted(
        name for name, alg in crypto.ours().items() if alg.fields["type"] in ("akcipher", "sig")
    )


def passed(name: str) -> bool:
    """Returns true if an algorithm has passed its self-tests."""
    return any(alg.driver == name and alg.passed for alg in crypto.algorithms())


def ready() -> bool:
    """Returns true if the driver has registered a cipher, and every registered algorithm of the
    driver has passed its self-test. The driver registers public key algorithms after ciphers. If
    the device is ready, the driver has registered all algorithms when the module is loaded, which
    is before this program begins. The self-tests may still run then."""
    found = crypto.ours()
    return "cbc-aes-virtio" in found and all(alg.passed for alg in found.values())


@test(f"public keys: {' and '.join(EXPECTED) or 'none'} registered, self-tests passed")
def _() -> None:
    wait_until(ready, 300, "self-tests")
    expected = sorted(name for what in EXPECTED for name in NAMES[what])
    check_equal(registered(), expected, "public key algorithms")
    for name in expected:
        check(passed(name), f"{name} has not passed")


@test("templates over public key algorithms: self-tests passed, the device was used")
def _() -> None:
    for what in EXPECTED:
        for name, operation in TEMPLATES[what].items():
            before = reference.data_requests(reference.status(), operation=operation, status="OK")
            # The first transform of a template runs the self-test.
            Transform(name, sig=not name.startswith("pkcs1pad")).close()
            check(passed(name), f"{name} has not passed")
            after = reference.data_requests(reference.status(), operation=operation, status="OK")
            check(operation is None or after > before, f"{name}: no {operation} by the device")


@test("no session is left")
def _() -> None:
    wait_until(lambda: reference.status()["sessions"] == 0, 60, "no session")


pubkey.load()
tap.run()
