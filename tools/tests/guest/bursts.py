#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Bursts of requests on one CPU: interrupts are enough, and the bottom half yields.

usage: bursts.py

For a guest with one CPU, a reference device whose data queue has 1024 descriptors,
timeout_ms=600000, and vc_burst.ko in the shared folder. The watchdog checks the queues every 200
seconds then, and vc_burst gives up on a request after 60 seconds: the watchdog cannot find a
completion in time that the driver has missed.
"""

import re
import subprocess
from pathlib import Path

from lib import crypto, reference, tap
from lib.tap import check, check_equal, test

RUN = Path("/sys/module/vc_burst/parameters/run")
ROUNDS, SMALL = 2000, 20
# The bottom half yields when it has completed BUDGET requests or a few more, of LARGE.
BUDGET, LARGE = 256, 512


def run(rounds: int, count: int, hold: int) -> dict[str, int]:
    """Makes bursts. Returns what vc_burst has counted, and how many requests the device served."""
    before = reference.data_requests(reference.status(), status="OK")
    RUN.write_text(f"{crypto.ASYNC} {rounds} {count} {hold}")
    tally = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", RUN.read_text())}
    tally["served"] = reference.data_requests(reference.status(), status="OK") - before
    tap.note(str(tally))
    check_equal((tally["lost"], tally["wrong"]), (0, 0), "requests lost, wrong results")
    # vc_burst makes one more request to know the right result.
    check_equal(tally["served"], tally["done"] + 1, "requests served")
    return tally


@test("completions: each is noticed without the watchdog")
def _() -> None:
    check(run(ROUNDS, SMALL, 0)["done"] >= ROUNDS, "there were too few requests")


@test("the bottom half: other work runs after 256 completions")
def _() -> None:
    # The device needs some time to answer all requests.
    for hold in (100, 1000, 5000):
        longest = run(3, LARGE, hold)["longest"]
        check(longest < LARGE, f"{longest} completions in a row")
        if longest >= BUDGET:
            return
    raise tap.Failure(f"{longest} completions in a row: too few to make the bottom half yield")


subprocess.run(["insmod", "/mnt/share/vc_burst.ko"], check=True)
tap.run()
