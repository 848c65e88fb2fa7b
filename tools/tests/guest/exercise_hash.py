#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Hashes and MACs with invalid use, messages of many lengths that are hashed in one call or in
parts, and many requests in parallel, with and without backlog.

usage: exercise_hash.py [--stateless] [--any-count] PARAMETERS [ALGORITHM...]

PARAMETERS are module parameters of vc_hash.ko, which is in the shared folder. For a guest with a
reference device. The device must serve requests of each algorithm: without sessions with
--stateless, otherwise with a certain number of sessions. With --any-count it need not serve any.
ALGORITHM is an algorithm name, or a template over an algorithm of the driver, for example
hmac(sha256-virtio).
"""

import argparse
import re
from functools import partial
from typing import Any

from lib import digests, reference, tap, test_module
from lib.digests import Digest
from lib.tap import check, check_equal, test

LEAST = 300  # minimum number of requests on the device

parser = argparse.ArgumentParser()
parser.add_argument("--stateless", action="store_true")
parser.add_argument("--any-count", action="store_true")
parser.add_argument("parameters")
parser.add_argument("algorithms", nargs="*")
options = parser.parse_args()
PARAMETERS = dict(word.split("=") for word in options.parameters.split())


def sessions_gone() -> None:
    """Waits until the device has no session."""
    tap.wait_until(lambda: reference.status()["sessions"] == 0, 60, "no session")


def check_work(digest: Digest, said: str, before: dict[str, Any]) -> None:
    """Fails the test unless the device has served the expected requests."""
    after = reference.status()

    def made(**wanted: object) -> int:
        return reference.requests(after, status="OK", **wanted) - reference.requests(
            before, status="OK", **wanted
        )

    count = made(operation=digest.service)
    sessions = made(operation=f"{digest.service}_CREATE_SESSION")
    stateless = made(operation=digest.service, stateless=True)
    tap.note(f"{count} digests, {stateless} of them without a session; {sessions} sessions")
    check(options.any_count or count >= LEAST, f"{count} digests, expected {LEAST} or more")
    if options.stateless:
        check_equal((stateless, sessions), (count, 0), "stateless requests, and sessions")
    elif not options.any_count:
        keys = re.search(r": (\d+) accepted", said)
        # One session for each transform, or for each key: every third of 100 keys is an old key.
        expected = int(keys[1]) + 67 + 1 if keys else 2
        check_equal((stateless, sessions), (0, expected), "stateless requests, and sessions")


def exercise(driver: str, digest: Digest, backlog: int) -> None:
    """Tests an algorithm."""
    sessions_gone()
    before = reference.status()
    what = {"driver": driver, "reference": digest.name, "key_len": digest.key}
    said = test_module.TestModule("vc_hash", **what, backlog=backlog, **PARAMETERS).finish()
    check_work(digest, said, before)
    sessions_gone()


for name in options.algorithms or digests.ALL:
    one = digests.ALL[name.replace("-virtio", "")]
    for backlog in (1, 0):
        test(f"{name}, {'with' if backlog else 'without'} backlog: results of {one.name}")(
            partial(exercise, one.driver if name in digests.ALL else name, one, backlog)
        )

tap.run()
