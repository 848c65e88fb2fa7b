#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Bursts of requests on one CPU: no completion is missed, and the bottom half yields.

usage: bursts.py

For a guest with one CPU, a reference device whose data queue has 1024 descriptors,
timeout_ms=600000, and vc_burst.ko in the shared folder. With this timeout the watchdog checks the
queues only every 200 s. vc_burst counts a request as lost after 60 s, so the watchdog cannot hide a
completion that the driver missed.
"""

import re
import subprocess
from pathlib import Path

from lib import crypto, reference, tap
from lib.tap import check, check_equal, test

RUN = Path("/sys/module/vc_burst/parameters/run")
# Rounds, and requests in a small burst.
ROUNDS, SMALL = 2000, 20
# The bottom half yields after BUDGET requests or slightly more. A LARGE burst exceeds the budget.
BUDGET, LARGE = 256, 512


def run(rounds: int, count: int, hold_ms: int) -> dict[str, int]:
    """Runs bursts of up to `count` requests, with bottom halves disabled for `hold_ms` during each
    burst. Returns the counts of vc_burst, and the number of requests that the device has served."""
    before = reference.data_requests(reference.status(), status="OK")
    RUN.write_text(f"{crypto.ASYNC} {rounds} {count} {hold_ms}")
    tally = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", RUN.read_text())}
    tally["served"] = reference.data_requests(reference.status(), status="OK") - before
    tap.note(str(tally))
    check_equal((tally["lost"], tally["wrong"]), (0, 0), "requests lost, wrong results")
    # vc_burst makes one more request to get the expected result.
    check_equal(tally["served"], tally["done"] + 1, "requests served")
    return tally


@test("completions: each is noticed without the watchdog")
def _() -> None:
    check(run(ROUNDS, SMALL, 0)["done"] >= ROUNDS, "too few requests")


@test("the bottom half: other work runs after 256 completions")
def _() -> None:
    # All completions must be pending when bottom halves are enabled again. A slow device needs more
    # time for that.
    for hold_ms in (100, 1000, 5000):
        longest = run(3, LARGE, hold_ms)["longest"]
        check(longest < LARGE, f"{longest} completions in a row")
        if longest >= BUDGET:
            return
    raise tap.Failure(f"only {longest} completions in a row: the bottom half did not have to yield")


subprocess.run(["insmod", "/mnt/share/vc_burst.ko"], check=True)
tap.run()
