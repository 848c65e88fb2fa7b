#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Public bugs of the kernel's C driver, as regression tests of this driver.

usage: public_bugs.py [--requests N]

CVE-2026-23229: the bottom half drained a data queue without the queue's lock, while requests were
added. The ring's free list broke: "id N is not a head!", and no further request completed. In this
test all CPUs use one queue and the device reorders requests. No request may be lost.

A public key result longer than the request's destination: the C driver used the length that the
device reported for a copy, beyond the memory of the result. In this test the device reports lengths
that are too long, and the memory after the destination must be unchanged.

For a guest with one reference device with one data queue, and several CPUs. The shared folder has
vc_stress.ko, vc_akcipher.ko and keys.
"""

import argparse
import itertools
import os
import random

from lib import keys, pubkey, reference, tap, test_module
from lib.kernel_log import KernelLog
from lib.pubkey import DECRYPT, ENCRYPT, IN_PLACE, SLEEP, SPLIT, TAIL, Transform
from lib.tap import check, check_equal, check_same, test

parser = argparse.ArgumentParser()
parser.add_argument("--requests", type=int, default=6000)
options = parser.parse_args()
log = KernelLog()
NOT_A_HEAD = r"is not a head|out of range|Unhandled|broken"


def starts() -> int:
    """Returns how often a driver has started the device."""
    count: int = reference.status()["starts"]
    return count


@test("CVE-2026-23229, data queue drained without its lock: no request is lost")
def _() -> None:
    cpus = os.cpu_count() or 0
    check(cpus > 1, f"{cpus} CPUs: the test needs several")
    (queue,) = [line for line in reference.status()["queues"] if line["queue"] != "control"]
    before, started = reference.data_requests(reference.status(), status="OK"), starts()
    for fault in ("reorder:queue=0:value=3", "used-len-zero"):
        with reference.faulty(fault):
            test_module.run(
                "vc_stress",
                ciphers="cbc-aes-virtio:cbc-aes-lib,ecb-aes-virtio:ecb-aes-lib",
                requests=options.requests,
                threads=2 * cpus,
                depth=64,
                max_len=256,
            )
    made = reference.data_requests(reference.status(), status="OK") - before
    check(made >= options.requests, f"queue {queue['queue']} has served {made} requests")
    check_equal(starts(), started, "starts of the device")
    check(not log.matching(NOT_A_HEAD), "\n".join(log.matching(NOT_A_HEAD)))


@test("public key result longer than the destination: no write after the destination")
def _() -> None:
    pubkey.load()
    key = keys.rsa(2048)
    lengths = (1, key.size, 4096, (1 << 31) - 1, (1 << 32) - 1)
    flags = (SLEEP, SLEEP | IN_PLACE, SLEEP | SPLIT, SLEEP | TAIL)
    started = starts()
    with Transform("rsa-virtio") as transform:
        check_equal(transform.set_key(key.private, True), "OK", "key")
        for longer, what, how in itertools.product(lengths, (ENCRYPT, DECRYPT), flags):
            plain = random.randrange(2, key.n - 1)
            cipher = pow(plain, key.e, key.n)
            src, dst = (plain, cipher) if what == ENCRYPT else (cipher, plain)
            before = reference.data_requests(reference.status())
            with reference.faulty(f"used-len-long:queue=0:value={longer}"):
                # vc_akcipher reports bytes that are written after the destination.
                answer = transform.crypt(what, src.to_bytes(key.size), key.size, how)
            text = f"{longer} bytes too long, operation {what}, flags {how}"
            check_equal((answer.name, answer.length), ("OK", key.size), text)
            check_same(answer.result, dst.to_bytes(key.size), text)
            made = reference.data_requests(reference.status()) - before
            check_equal(made, 1, f"{text}: requests of the device")
    check_equal(starts(), started, "starts of the device")


@test("no kernel reports")
def _() -> None:
    log.check_quiet()


tap.run()
