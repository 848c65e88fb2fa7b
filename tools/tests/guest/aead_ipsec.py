#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Which implementations does IPsec take? If we are preferred ours, alone or by the kernel's
templates over them; else none of ours.

For a guest with a reference device.
"""

import os
import subprocess

from lib import crypto, tap
from lib.crypto import Algorithm
from lib.tap import check, check_equal, holds

# What an algorithm is for, its name, and the lengths of its key and its tag, in bits.
Part = tuple[str, str, int, int]

# What is taken if we are preferred. The IVs are made by another template of the kernel's.
STATES: list[tuple[list[Part], str]] = [
    ([("aead", "rfc4106(gcm(aes))", 160, 128)], "seqiv(rfc4106-gcm-aes-virtio)"),
    ([("aead", "rfc4309(ccm(aes))", 152, 128)], "seqiv(rfc4309(ccm-aes-virtio))"),
    ([("aead", "rfc4543(gcm(aes))", 160, 128)], "seqiv(rfc4543(gcm-aes-virtio))"),
    (
        [("aead", "rfc7539esp(chacha20,poly1305)", 288, 128)],
        "seqiv(rfc7539esp-chacha20-poly1305-virtio)",
    ),
    (
        [("auth-trunc", "hmac(sha256)", 256, 128), ("enc", "cbc(aes)", 256, 0)],
        "echainiv(authenc-hmac-sha256-cbc-aes-virtio)",
    ),
    (
        [("auth-trunc", "hmac(sha1)", 160, 96), ("enc", "cbc(des3_ede)", 192, 0)],
        "echainiv(authenc-hmac-sha1-cbc-des3_ede-virtio)",
    ),
    (
        [("auth-trunc", "hmac(sha512)", 512, 256), ("enc", "rfc3686(ctr(aes))", 160, 0)],
        "seqiv(authenc-hmac-sha512-rfc3686-ctr-aes-virtio)",
    ),
]

# With long sequence numbers a chain of the device's will not do.
LONG = ["flag", "esn", "replay-window", "32"]
LONG_STATE: list[Part] = [("auth-trunc", "hmac(sha256)", 256, 128), ("enc", "cbc(aes)", 256, 0)]
LONG_TAKEN = "echainiv(authencesn(hmac-sha256-virtio,cbc-aes-virtio))"


def ip(*words: str) -> None:
    """Does it, or fails with what it says."""
    done = subprocess.run(["ip", "xfrm", *words], capture_output=True, text=True)
    check(done.returncode == 0, f"ip xfrm {' '.join(words)}: {done.stderr.strip()}")


def add(parts: list[Part], options: list[str]) -> Algorithm:
    """Adds a state, the only one; returns what has a user then that it had not."""
    before = {alg.driver: alg.users for alg in crypto.algorithms()}
    words = ["src", "10.0.0.1", "dst", "10.0.0.2", "proto", "esp", "spi", "0x1000"]
    for use, name, key, tag in parts:
        words += [use, name, "0x" + os.urandom(key // 8).hex()] + ([str(tag)] if tag else [])
    ip("state", "add", *words, *options)
    found = [
        alg
        for alg in crypto.algorithms()
        if alg.driver.startswith(("seqiv(", "echainiv("))
        and alg.users > before.get(alg.driver, 0)
    ]
    check_equal(len(found), 1, "algorithms with a new user")
    return found[0]


def picked(parts: list[Part], driver: str, options: list[str]) -> None:
    """The right one is taken."""
    preferred = crypto.ours()["gcm-aes-virtio"].priority > 1000
    try:
        taken = add(parts, options)
    finally:
        ip("state", "flush")
    tap.note(f"the driver is {'' if preferred else 'not '}preferred: {taken.driver}")
    check(taken.passed, f"selftest: {taken.fields['selftest']}")
    if preferred:
        check_equal(taken.driver, driver, "taken")
    else:
        check("virtio" not in taken.driver, f"{taken.driver} is taken")


for state, expected in STATES:
    what = " and ".join(name for _, name, _, _ in state)
    holds(f"IPsec takes {what} from us if and only if we are preferred")(
        lambda state=state, expected=expected: picked(state, expected, [])
    )
holds("IPsec takes the parts of authencesn() from us if and only if we are preferred")(
    lambda: picked(LONG_STATE, LONG_TAKEN, LONG)
)

if __name__ == "__main__":
    subprocess.run(["modprobe", "-a", "esp4", "xfrm_user"], check=True)
    tap.wait_until(
        lambda: all(alg.passed for alg in crypto.ours().values()),
        600,
        "all algorithms have passed their self-tests",
    )
    tap.run()
