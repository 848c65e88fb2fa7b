#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Tests whether a command detects mutations of the driver. One build contains all mutations, and a
module parameter selects one.

usage: mutants.py [--parameters "NAME=VALUE..."] [--limit SECONDS] NUMBER... -- COMMAND...

Loads the module for each NUMBER, 0 for no mutation, and runs COMMAND. Prints

  try NUMBER
  reached NUMBER...               after number 0: the mutations whose code COMMAND executes
  result NUMBER noticed|survived [REASON]

and ends after a mutation that causes a kernel report: the next mutation needs a new guest. Skips
mutations whose code COMMAND does not execute. tools/tests/mutate/mutate runs this program.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

from lib import crypto, reference
from lib.kernel_log import TROUBLE, KernelLog

DRIVER = Path("/run/testbed/driver.ko")
# Kernel reports after which the guest can continue.
HARMLESS = re.compile(r"self-tests for .* failed|alg: .* failed|not ok ")
# Time limit in seconds to load or unload the module. Loading runs its unit tests.
LIMIT = 600

parser = argparse.ArgumentParser()
parser.add_argument("--parameters", default="")
parser.add_argument("--limit", type=int, default=900)
parser.add_argument("numbers", type=int, nargs="+")


def say(*words: object) -> None:
    """Prints a line."""
    print(*words, flush=True)


def load(number: int) -> str:
    """Loads the module with a mutation. Returns an error message or an empty string."""
    command = ["insmod", DRIVER, *options.parameters.split(), f"mutant={number}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return "insmod does not end"
    return f"insmod: {done.stderr.strip()}" if done.returncode else ""


def unload() -> str:
    """Unloads the module. Waits while a self-test uses it. Returns an error message."""
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


def run_command() -> str:
    """Runs COMMAND. Returns its first error, or an empty string."""
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
    """Returns the requirements that the driver has violated, as reported by the reference
    devices."""
    return [
        violation["requirement"]
        for device in reference.devices()
        for violation in reference.status(device)["violations"]
    ]


def attempt(number: int) -> bool:
    """Tests one mutation. Returns false if the guest must end."""
    say("try", number)
    log = KernelLog()
    before = violations()
    error = load(number) or run_command()
    unload_error = unload()
    trouble = [line for line in log.lines() if TROUBLE.search(line)]
    new = violations()[len(before) :]
    error = error or unload_error or (trouble[0] if trouble else "") or " ".join(new)
    if not number:
        global reached
        reached = {
            int(word) for word in re.findall(r"mutation (\d+) is reached", "\n".join(log.lines()))
        }
        say("reached", *sorted(reached))
    outcome = f"noticed {' '.join(error.split())[:160]}" if error else "survived"
    say("result", number, outcome)
    return not unload_error and all(HARMLESS.search(line) for line in trouble)


at = sys.argv.index("--")
command = sys.argv[at + 1 :]
options = parser.parse_args(sys.argv[1:at])
reached = set(options.numbers)
unload()
for mutant in options.numbers:
    if (not mutant or mutant in reached) and not attempt(mutant):
        break
