#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Loads vc_hash.ko from /mnt/share for each hash and MAC, with and without a backlog, and passes
its TAP on. The device must have worked for each.

usage: exercise_hash.py PARAMETERS [ALGORITHM...]

PARAMETERS are the module's, besides those that say what is exercised. For a guest with a reference
device.
"""

import re
import subprocess
import sys

from lib import digests, reference
from lib.digests import Digest

MODULE = "/mnt/share/vc_hash.ko"
LEAST = 300  # what the device must have done of what it was asked to
# EAGAIN is what the module says when all is well: it never stays.
GOOD = "temporarily unavailable"


def served(digest: Digest) -> int:
    """How many digests the device has made with that service."""
    return reference.requests(reference.status(), operation=digest.service, status="OK")


def exercise(digest: Digest, parameters: list[str], backlog: int) -> bool:
    """Loads the module once; returns whether all is well."""
    before = served(digest)
    subprocess.run(["dmesg", "--clear"], check=True)
    arguments = [f"driver={digest.driver}", f"reference={digest.name}", f"key_len={digest.key}"]
    done = subprocess.run(
        ["insmod", MODULE, *arguments, f"backlog={backlog}", *parameters],
        capture_output=True,
        text=True,
    )
    log = subprocess.run(["dmesg"], check=True, capture_output=True, text=True).stdout
    for line in re.findall(r"TAP (.*)$", log, re.M):
        print(re.sub(r"^(ok|not ok) (\d+) - ", rf"\1 \2 - {digest.driver}: ", line))
    good = GOOD in done.stderr
    if not good:
        print(f"not ok - {digest.driver}, backlog={backlog}: {done.stderr.strip()}")
    count = served(digest) - before
    enough = count >= LEAST
    print(f"{'ok' if enough else 'not ok'} - {digest.driver}: the device has made {count} digests")
    sys.stdout.flush()
    return good and enough


def main() -> int:
    """All of them."""
    parameters = sys.argv[1].split()
    names = sys.argv[2:] or list(digests.ALL)
    results = [
        exercise(digests.ALL[name], parameters, backlog) for name in names for backlog in (1, 0)
    ]
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
