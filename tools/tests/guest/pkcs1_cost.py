#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The cost of PKCS#1 padding in the guest: requests, and time in the kernel.

usage: pkcs1_cost.py ROUNDS

For a guest with one reference device. The shared folder has vc_akcipher.ko and keys.
"""

import random
import statistics
import sys

from lib import crypto, keys, pubkey, reference, tap
from lib.pubkey import DECRYPT, ENCRYPT, OK, Transform
from lib.tap import check_equal, test, wait_until

ROUNDS = int(sys.argv[1])
KEY = keys.rsa(2048)


def served() -> int:
    """Returns how many requests the device has served."""
    now = reference.status()
    return sum(
        reference.data_requests(now, operation=f"AKCIPHER_{what}", status="OK")
        for what in ("ENCRYPT", "DECRYPT")
    )


@test("PKCS#1 padding: one request for each operation, as without padding")
def _() -> None:
    with Transform("rsa-virtio") as raw, Transform("pkcs1pad(rsa-virtio)") as padded:
        for transform in (raw, padded):
            check_equal(transform.set_key(KEY.private, private=True), OK, "key")
        message = bytes(100)
        secret = padded.crypt(ENCRYPT, message, 256).result
        number = random.randrange(2, KEY.n - 1).to_bytes(256)
        kinds = {
            "raw, encrypt": (raw, ENCRYPT, number),
            "padded, encrypt": (padded, ENCRYPT, message),
            "raw, decrypt": (raw, DECRYPT, number),
            "padded, decrypt": (padded, DECRYPT, secret),
        }
        before = served()
        seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(ROUNDS):
            # The kinds take turns, so background load affects all alike.
            for kind, (transform, what, data) in kinds.items():
                answer = transform.crypt(what, data, 256)
                check_equal(answer.name, OK, kind)
                seconds[kind].append(answer.seconds)
        check_equal(served() - before, ROUNDS * len(kinds), "requests")
    for kind, each in seconds.items():
        tap.note(f"{kind}: {statistics.median(each) * 1e6:.0f} us (median of {ROUNDS})")


pubkey.load()
wait_until(lambda: "rsa-virtio" in crypto.ours() and crypto.ours()["rsa-virtio"].passed, 300, "rsa")
tap.run()
