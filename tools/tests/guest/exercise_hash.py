#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Tests hashes and MACs with vc_hash.ko: invalid use, messages of many lengths, and many requests
in parallel. Messages are hashed in one call or in parts. Requests may or may not be backlogged.

usage: exercise_hash.py [--stateless] [--any-count] PARAMETERS [ALGORITHM...]

PARAMETERS are module parameters of vc_hash.ko, which is in the shared folder. ALGORITHM is an
algorithm name, or a template over an algorithm of the driver, for example hmac(sha256-virtio). By
default all hashes and MACs are tested.

For a guest with a reference device. The device must serve at least 300 requests of each algorithm,
with the expected number of sessions. With --stateless there must be no session. With --any-count
the device may serve any number of requests.
"""

import argparse
import re
from functools import partial
from typing import Any

from lib import digests, reference, tap, test_module
from lib.digests import Digest
from lib.tap import check, check_equal, test

MIN_REQUESTS = 300  # on the device

parser = argparse.ArgumentParser()
parser.add_argument("--stateless", action="store_true")
parser.add_argument("--any-count", action="store_true")
parser.add_argument("parameters")
parser.add_argument("algorithms", nargs="*")
options = parser.parse_args()
PARAMETERS = dict(word.split("=") for word in options.parameters.split())


def wait_for_no_session() -> None:
    """Waits until the device has no session."""
    tap.wait_until(lambda: reference.status()["sessions"] == 0, 60, "no session")


def check_served(digest: Digest, output: str, before: dict[str, Any]) -> None:
    """Fails the test unless the device has served the expected requests since `before`. `output` is
    that of vc_hash.ko."""
    after = reference.status()

    def increase(**filters: object) -> int:
        return reference.requests(after, status="OK", **filters) - reference.requests(
            before, status="OK", **filters
        )

    count = increase(operation=digest.service)
    sessions = increase(operation=f"{digest.service}_CREATE_SESSION")
    stateless = increase(operation=digest.service, stateless=True)
    tap.note(f"{count} digests, {stateless} of them without a session; {sessions} sessions")
    enough = options.any_count or count >= MIN_REQUESTS
    check(enough, f"{count} digests, expected {MIN_REQUESTS} or more")
    if options.stateless:
        check_equal((stateless, sessions), (count, 0), "stateless requests, and sessions")
    elif not options.any_count:
        keys = re.search(r": (\d+) accepted", output)
        # A hash has one session for each transform. A MAC has one session for each new key: the
        # first key, the accepted keys, and 67 of 100 further keys, because every third of these
        # repeats the previous key.
        expected = int(keys[1]) + 67 + 1 if keys else 2
        check_equal((stateless, sessions), (0, expected), "stateless requests, and sessions")


def exercise(driver: str, digest: Digest, backlog: int) -> None:
    """Tests an algorithm."""
    wait_for_no_session()
    before = reference.status()
    parameters = {"driver": driver, "reference": digest.name, "key_len": digest.key}
    output = test_module.TestModule("vc_hash", **parameters, backlog=backlog, **PARAMETERS).finish()
    check_served(digest, output, before)
    wait_for_no_session()


for name in options.algorithms or digests.ALL:
    digest_ = digests.ALL[name.replace("-virtio", "")]
    for backlog in (1, 0):
        test(f"{name}, {'with' if backlog else 'without'} backlog: results of {digest_.name}")(
            partial(exercise, digest_.driver if name in digests.ALL else name, digest_, backlog)
        )

tap.run()
