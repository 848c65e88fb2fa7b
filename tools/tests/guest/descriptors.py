#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The descriptors of data requests have the layout that DPDK's vhost_crypto requires.

The first descriptor contains exactly the header, which has 72 bytes. The IV and the status byte
have a descriptor each. vhost_crypto accepts at most 32 descriptors in a request.

For a guest with a reference device with "trace". The device's log is in the shared folder.
"""

import json
import os
from pathlib import Path
from typing import Any

from lib import aead, afalg, crypto, reference, tap
from lib.tap import check, check_equal, check_same, test

TRACE = Path("/mnt/share/trace-0.jsonl")
HEADER, IV, STATUS = 72, 16, 1  # bytes
MAX_DESCRIPTORS = 32
# Sizes in bytes. The last one is the longest source that vhost_crypto accepts, for a cipher and for
# a cipher with a MAC. Longer requests may have more descriptors.
SIZES = (16, 512, 1024, 2176)
CHAIN_SIZES = (*SIZES, 4096)


def requests() -> list[dict[str, Any]]:
    """Returns the data requests that the device has served."""
    lines = [json.loads(line) for line in TRACE.read_text().splitlines()]
    return [line for line in lines if "data" in line and line["status"] == "OK"]


@test("cipher with and without a MAC: correct results, on the device")
def _() -> None:
    key, data, iv = os.urandom(16), os.urandom(max(CHAIN_SIZES)), os.urandom(IV)
    before = reference.data_requests(reference.status(), status="OK")
    with afalg.Transform(crypto.SYNC, key) as transform:
        for size in SIZES:
            sealed = transform.crypt(afalg.ENCRYPT, iv, data[:size])
            check_same(sealed, afalg.openssl(key, iv, data[:size]), f"{size} bytes")
            check_same(transform.crypt(afalg.DECRYPT, iv, sealed), data[:size], f"{size} bytes")
    algorithm = aead.CBC_SHA256
    with aead.Transform(algorithm.synchronous, algorithm.random_key(), algorithm.tag) as chain:
        for size in CHAIN_SIZES:
            sealed = chain.seal(iv, b"", data[:size])
            check_same(chain.unseal(iv, b"", sealed), data[:size], f"{size} bytes with a MAC")
    served = reference.data_requests(reference.status(), status="OK") - before
    check(served >= len(SIZES) + len(CHAIN_SIZES), f"the device has served {served} requests")


@test("header: a descriptor of 72 bytes")
def _() -> None:
    found = requests()
    check(len(found) > 2 * len(SIZES), f"{len(found)} requests in the trace")
    for line in found:
        check_equal(line["readable"][0], HEADER, f"bytes of the first descriptor of {line}")


@test("IV: a descriptor of its own")
def _() -> None:
    for line in requests():
        check_equal(line["readable"][1], IV, f"bytes of the second descriptor of {line}")


@test("status byte: a descriptor of its own, after the result")
def _() -> None:
    for line in requests():
        check(len(line["writable"]) > 1, f"writable descriptors of {line}")
        check_equal(line["writable"][-1], STATUS, f"bytes of the last descriptor of {line}")


@test("requests: at most 32 descriptors")
def _() -> None:
    most = max(len(line["readable"]) + len(line["writable"]) for line in requests())
    tap.note(f"maximum {most}")
    check(most <= MAX_DESCRIPTORS, f"a request has {most} descriptors")


afalg.prepare()
tap.run()
