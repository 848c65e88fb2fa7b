#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""What the self-tests leave out of hashes and MACs: bad use, messages as they may come, and many at
once, with and without a backlog.

usage: exercise_hash.py [--stateless] [--no-work] PARAMETERS [ALGORITHM...]

PARAMETERS are vc_hash.ko's, which is in /mnt/share. For a guest with a reference device, which must
have worked for each algorithm: with --stateless without a session, else with no more sessions than
it takes. With --no-work it need not have worked. ALGORITHM is a name of the kernel's, or that of a
template on one of the driver's, hmac(sha256-virtio) for example.
"""

import argparse
import re
from functools import partial
from typing import Any

from lib import digests, reference, tap, test_module
from lib.digests import Digest
from lib.tap import check, check_equal, test

LEAST = 300  # what the device must have done of what it was asked to

parser = argparse.ArgumentParser()
parser.add_argument("--stateless", action="store_true")
parser.add_argument("--no-work", action="store_true")
parser.add_argument("parameters")
parser.add_argument("algorithms", nargs="*")
options = parser.parse_args()
PARAMETERS = dict(word.split("=") for word in options.parameters.split())


def sessions_gone() -> None:
    """Waits until nobody has a session."""
    tap.wait_until(lambda: reference.status()["sessions"] == 0, 60, "no session")


def check_work(digest: Digest, said: str, before: dict[str, Any]) -> None:
    """Fails unless the device has done what it should."""
    after = reference.status()

    def made(**wanted: object) -> int:
        return reference.requests(after, status="OK", **wanted) - reference.requests(
            before, status="OK", **wanted
        )

    count = made(operation=digest.service)
    sessions = made(operation=f"{digest.service}_CREATE_SESSION")
    stateless = made(operation=digest.service, stateless=True)
    tap.note(f"{count} digests, {stateless} of them without a session; {sessions} sessions")
    check(options.no_work or count >= LEAST, f"{count} digests, expected {LEAST} or more")
    if options.stateless:
        check_equal((stateless, sessions), (count, 0), "without a session, and sessions")
    elif not options.no_work:
        keys = re.search(r": (\d+) accepted", said)
        # One for each transform; or for each key, of 100 every third of which is an old one.
        expected = int(keys[1]) + 67 + 1 if keys else 2
        check_equal((stateless, sessions), (0, expected), "without a session, and sessions")


def exercise(driver: str, digest: Digest, backlog: int) -> None:
    """One algorithm."""
    sessions_gone()
    before = reference.status()
    what = {"driver": driver, "reference": digest.name, "key_len": digest.key}
    said = test_module.TestModule("vc_hash", **what, backlog=backlog, **PARAMETERS).finish()
    check_work(digest, said, before)
    sessions_gone()


for name in options.algorithms or digests.ALL:
    one = digests.ALL[name.replace("-virtio", "")]
    for backlog in (1, 0):
        test(
            f"{name}, {'with' if backlog else 'without'} backlog: the same as {one.name} of the kernel's own"
        )(partial(exercise, one.driver if name in digests.ALL else name, one, backlog))

tap.run()
