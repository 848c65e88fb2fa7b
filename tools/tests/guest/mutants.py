#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Has a command notice mutations of the driver: one build has all of them, and a parameter of the module
switches one on.

usage: mutants.py [--parameters "NAME=VALUE..."] [--limit SECONDS] NUMBER... -- COMMAND...

Loads the module anew for each NUMBER, 0 for none, and runs COMMAND. Prints

  try NUMBER
  reached NUMBER...               after number 0: what the module's code has run into
  result NUMBER noticed|survived [REASON]

and ends after a mutation that the kernel has reported something about: the next one needs another
guest. Numbers that 0 does not reach are left out. tools/tests/mutate/mutate runs it.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

from lib import crypto, reference
from lib.kernel_log import TROUBLE, KernelLog

DRIVER = Path("/run/testbed/driver.ko")
# What the kernel says of a mutation that a test has noticed; it can go on afterwards.
HARMLESS = re.compile(r"self-tests for .* failed|alg: .* failed|not ok ")
# Seconds to load or unload the module, which runs its unit tests; a host may be busy.
LIMIT = 600

parser = argparse.ArgumentParser()
parser.add_argument("--parameters", default="")
parser.add_argument("--limit", type=int, default=900)
parser.add_argument("numbers", type=int, nargs="+")


def say(*words: object) -> None:
    """Prints a line."""
    print(*words, flush=True)


def load(number: int) -> str:
    """Loads the module with a mutation, and returns what is wrong."""
    command = ["insmod", DRIVER, *options.parameters.split(), f"mutant={number}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return "insmod does not end"
    return f"insmod: {done.stderr.strip()}" if done.returncode else ""


def unload() -> str:
    """Unloads the module, which a self-test may use for a while, and returns what is wrong."""
    if not Path("/sys/module", crypto.MODULE).exists():
        return ""
    for _ in range(LIMIT):
        try:
            done = subprocess.run(
                ["rmmod", crypto.MODULE], capture_output=True, text=True, timeout=LIMIT
            )
        except subprocess.TimeoutExpired:
            return "rmmod does not end"
        if not done.returncode:
            return ""
        subprocess.run(["sleep", "1"], check=False)
    return f"rmmod: {done.stderr.strip()}"


def judge() -> str:
    """Runs the command, and returns what it has found."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=options.limit,
        )
    except subprocess.TimeoutExpired:
        return "the test does not end"
    if not done.returncode:
        return ""
    bad = [line for line in done.stdout.splitlines() if line.startswith("not ok")]
    return bad[0] if bad else f"status {done.returncode}: {done.stdout[-200:]!r}"


def violations() -> list[str]:
    """Returns the requirements that the driver has violated, by the reference devices' account."""
    return [
        violation["requirement"]
        for device in reference.devices()
        for violation in reference.status(device)["violations"]
    ]


def attempt(number: int) -> bool:
    """Tries one mutation. Returns false if this guest must end."""
    say("try", number)
    log = KernelLog()
    before = violations()
    wrong = load(number) or judge()
    stuck = unload()
    trouble = [line for line in log.lines() if TROUBLE.search(line)]
    new = violations()[len(before) :]
    wrong = wrong or stuck or (trouble[0] if trouble else "") or " ".join(new)
    if not number:
        global reached
        reached = {
            int(word) for word in re.findall(r"mutation (\d+) is reached", "\n".join(log.lines()))
        }
        say("reached", *sorted(reached))
    outcome = f"noticed {' '.join(wrong.split())[:160]}" if wrong else "survived"
    say("result", number, outcome)
    return not stuck and all(HARMLESS.search(line) for line in trouble)


at = sys.argv.index("--")
command = sys.argv[at + 1 :]
options = parser.parse_args(sys.argv[1:at])
reached = set(options.numbers)
unload()
for one in options.numbers:
    if (not one or one in reached) and not attempt(one):
        break
