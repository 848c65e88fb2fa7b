#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Coverage-guided fuzzing of the driver by a hostile host.

usage: fuzz_host.py [--seconds N] [--seed SEED] [SCRIPT...]

The fuzzer plays scripts of faults and events (lib/scripts.py). It keeps a script that reaches new
code of the driver, and mutates the scripts that it has kept. No request may be lost or completed
twice, the kernel must report nothing, and the device must serve requests once its faults are
cleared. With SCRIPTs, only these files are played.

For a guest with one vfio device, which has one data queue, and with the QEMU plugin "cover". The
shared folder has the plugin's file "cover", vc_fault.ko, vc_sleep.ko, vc_nomem.ko, keys, and the
folder "corpus" with scripts of earlier runs. The program writes to the shared folder
  corpus                 the scripts that it keeps
  found                  the scripts that fail
  playing                the script that runs, so that it is known if the guest dies
  address, growth.json   data for tools/tests/fuzz/coverage.py
"""

import argparse
import hashlib
import json
import random
import time
from pathlib import Path

from lib import afalg, crypto, fault_requests, module, tap
from lib.covered import Coverage, write_address
from lib.fault_requests import SUBJECTS
from lib.hostile import Player
from lib.scripts import Maker, Malformed, Script
from lib.tap import check, test

SHARE = Path("/mnt/share")
CORPUS, FOUND, PLAYING = SHARE / "corpus", SHARE / "found", SHARE / "playing"
# The run ends after so many failed scripts, because each failure may be a consequence of an earlier
# failure.
MAX_FAILURES = 10
# This share of the mutated scripts is chosen from the RECENT scripts that were kept last.
RECENT, RECENT_SHARE = 20, 0.4

parser = argparse.ArgumentParser()
parser.add_argument("--seconds", type=float, default=60)
parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
parser.add_argument("scripts", nargs="*", type=Path)
options = parser.parse_args()


def earlier_scripts() -> list[Script]:
    """Returns the scripts of earlier runs. Scripts in an outdated format are left out."""
    found = []
    for path in sorted(CORPUS.glob("*")):
        try:
            found.append(Script.parse(path.read_text()))
        except Malformed as error:
            tap.note(f"corpus/{path.name} is not played: {error}")
    return found


def save(folder: Path, script: Script) -> str:
    """Writes a script to a folder. Returns the name of the file."""
    folder.mkdir(exist_ok=True)
    name = hashlib.sha256(str(script).encode()).hexdigest()[:12]
    (folder / name).write_text(str(script))
    return name


class Fuzzer:
    """Plays scripts, and keeps those that reach new code."""

    def __init__(self) -> None:
        self.chance = random.Random(options.seed)
        self.coverage = Coverage(SHARE / "cover")
        self.player = Player(self.chance)
        self.maker = Maker(self.chance, [subject.driver for subject in SUBJECTS])
        self.corpus: list[Script] = []
        self.failures: list[str] = []
        self.growth: list[tuple[float, int, int]] = []
        self.played = 0
        self._begin = time.monotonic()

    def play(self, script: Script) -> None:
        """Plays a script, and keeps it if it reaches new code."""
        PLAYING.write_text(str(script))
        self.played += 1
        try:
            self.player.play(script)
        except tap.Failure as failure:
            name = save(FOUND, script)
            self.failures.append(f"found/{name}: {failure}\n{script}")
            check(len(self.failures) < MAX_FAILURES, "\n".join(self.failures))
        if self.coverage.update():
            self.corpus.append(script)
            save(CORPUS, script)
            seconds = time.monotonic() - self._begin
            self.growth.append((round(seconds, 1), self.played, self.coverage.total))

    def choose_parent(self) -> Script:
        """Returns a script to mutate: one of all, or one of the last that were kept."""
        recent = self.chance.random() < RECENT_SHARE
        return self.chance.choice(self.corpus[-RECENT:] if recent else self.corpus)

    def fuzz(self, end: float) -> None:
        """Plays the seeds and the scripts of earlier runs, then mutations, until `end`."""
        initial = [*self.maker.seeds(), *earlier_scripts()]
        self.chance.shuffle(initial)
        self.coverage.update()
        for script in initial:
            if time.monotonic() >= end:
                return
            self.play(script)
        while time.monotonic() < end:
            self.play(self.maker.mutate(self.choose_parent(), self.choose_parent()))

    def report(self) -> None:
        """Prints a summary, and writes the growth of the coverage to a file."""
        seconds = time.monotonic() - self._begin
        tap.note(
            f"seed {options.seed}: {self.played} scripts in {seconds:.0f} s, {len(self.corpus)} kept;"
            f" {self.player.requests} requests, {self.player.device.restarts} restarts;"
            f" {self.coverage.total} bytes of code have run"
        )
        for name, count in sorted(self.player.outcomes.items()):
            tap.note(f"  {name}: {count}")
        (SHARE / "growth.json").write_text(json.dumps(self.growth) + "\n")


@test(f"hostile host (seed {options.seed}): no request is lost, the device works afterwards")
def _() -> None:
    fault_requests.load()
    write_address(SHARE / "address")
    fuzzer = Fuzzer()
    with fuzzer.player:
        try:
            if options.scripts:
                for path in options.scripts:
                    fuzzer.play(Script.parse(path.read_text()))
            else:
                fuzzer.fuzz(time.monotonic() + options.seconds)
        finally:
            fuzzer.report()
    PLAYING.unlink()
    check(not fuzzer.failures, "\n".join(fuzzer.failures))


@test("module: can be unloaded afterwards")
def _() -> None:
    module.unload(fault_requests.LONG)


if __name__ == "__main__":
    afalg.prepare()
    check(crypto.ours(), "the driver has no algorithms")
    tap.run()
