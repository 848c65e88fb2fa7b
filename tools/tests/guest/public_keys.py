#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The driver has the public key algorithms that it should have, they and what the kernel makes of them
have passed its self-tests, and the device has done the work.

usage: public_keys.py NAME...

NAME is rsa or ecdsa. For a guest with one reference device, and vc_akcipher in what it shares with its
host.
"""

import sys

from lib import crypto, pubkey, reference, tap
from lib.pubkey import Transform
from lib.tap import check, check_equal, test, wait_until

EXPECTED = sys.argv[1:]
CURVES = ("p192", "p256", "p384", "p521")
NAMES = {"rsa": ["rsa-virtio"], "ecdsa": [f"ecdsa-nist-{curve}-virtio" for curve in CURVES]}
# What the kernel has self-tests for, and what it makes the device do.
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


def ours() -> list[str]:
    """The public key algorithms that the driver has."""
    return sorted(
        name for name, alg in crypto.ours().items() if alg.fields["type"] in ("akcipher", "sig")
    )


def passed(name: str) -> bool:
    """An algorithm has passed its self-tests."""
    return any(alg.driver == name and alg.passed for alg in crypto.algorithms())


def ready() -> bool:
    """All others are registered, which these come behind, and what there is was tested."""
    found = crypto.ours()
    return "cbc-aes-virtio" in found and all(alg.passed for alg in found.values())


@test(f"of public keys there is {' and '.join(EXPECTED) or 'nothing'}, and it has passed")
def _() -> None:
    wait_until(ready, 300, "self-tests")
    expected = sorted(name for what in EXPECTED for name in NAMES[what])
    check_equal(ours(), expected, "public key algorithms")
    for name in expected:
        check(passed(name), f"{name} has not passed")


@test("so has what the kernel makes of it")
def _() -> None:
    for what in EXPECTED:
        for name, operation in TEMPLATES[what].items():
            before = reference.data_requests(reference.status(), operation=operation, status="OK")
            Transform(name, sig=not name.startswith("pkcs1pad")).close()
            check(passed(name), f"{name} has not passed")
            after = reference.data_requests(reference.status(), operation=operation, status="OK")
            check(operation is None or after > before, f"{name}: the device has done nothing")


@test("no session is left")
def _() -> None:
    wait_until(lambda: reference.status()["sessions"] == 0, 60, "no session")


pubkey.load()
tap.run()
