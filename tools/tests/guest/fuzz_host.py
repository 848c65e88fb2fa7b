#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""A hostile host, guided by coverage: it plays scripts (lib/scripts.py), keeps those by which code of
the driver runs that has not run before, and makes new ones of these.

usage: fuzz_host.py [--seconds N] [--seed SEED] [SCRIPT...]

Whatever the device does, no request is lost or completed twice, the kernel has nothing to report, and a
device that is well again works again. With SCRIPTs these files are played, and nothing else.

For a guest with one vfio device of one data queue and the plugin "cover" of QEMU's. In /mnt/share are
its file "cover", vc_fault.ko, vc_sleep.ko, vc_nomem.ko, keys, and "corpus", a folder with scripts to begin with.
Left there: scripts that are worth keeping, in "corpus"; the scripts that fail, in "found"; the one
that is being played, in "playing"; "address" and "growth.json" for tools/tests/fuzz/coverage.py.
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
# Scripts that fail end the run: what comes after them may be their consequence.
MOST_FAILURES = 10
# Of the scripts that are changed, so many are among the last that were kept.
RECENT, RECENT_SHARE = 20, 0.4

parser = argparse.ArgumentParser()
parser.add_argument("--seconds", type=float, default=60)
parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
parser.add_argument("scripts", nargs="*", type=Path)
options = parser.parse_args()


def kept() -> list[Script]:
    """The scripts of earlier runs. Those of an older form are left out."""
    found = []
    for path in sorted(CORPUS.glob("*")):
        try:
            found.append(Script.parse(path.read_text()))
        except Malformed as line:
            tap.note(f"corpus/{path.name} is not played: {line}")
    return found


def save(folder: Path, script: Script) -> str:
    """Writes a script to a folder; returns its name."""
    folder.mkdir(exist_ok=True)
    name = hashlib.sha256(str(script).encode()).hexdigest()[:12]
    (folder / name).write_text(str(script))
    return name


class Fuzzer:
    """Plays scripts, and keeps the good ones."""

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
            check(len(self.failures) < MOST_FAILURES, "\n".join(self.failures))
        if self.coverage.update():
            self.corpus.append(script)
            save(CORPUS, script)
            seconds = time.monotonic() - self._begin
            self.growth.append((round(seconds, 1), self.played, self.coverage.total))

    def parent(self) -> Script:
        """A script to change: one of all, or of the last that were kept."""
        recent = self.chance.random() < RECENT_SHARE
        return self.chance.choice(self.corpus[-RECENT:] if recent else self.corpus)

    def fuzz(self, end: float) -> None:
        """Plays what is there to begin with, then what becomes of it, until the time is over."""
        begun = [*self.maker.seeds(), *kept()]
        self.chance.shuffle(begun)
        self.coverage.update()
        for script in begun:
            if time.monotonic() >= end:
                return
            self.play(script)
        while time.monotonic() < end:
            self.play(self.maker.mutate(self.parent(), self.parent()))

    def report(self) -> None:
        """Says what was done, and leaves it for the host."""
        seconds = time.monotonic() - self._begin
        tap.note(
            f"seed {options.seed}: {self.played} scripts in {seconds:.0f} s, {len(self.corpus)} kept;"
            f" {self.player.requests} requests, {self.player.device.restarts} restarts;"
            f" {self.coverage.total} bytes of code have run"
        )
        for name, count in sorted(self.player.outcomes.items()):
            tap.note(f"  {name}: {count}")
        (SHARE / "growth.json").write_text(json.dumps(self.growth) + "\n")


@test(f"a hostile host, seed {options.seed}: no request is lost, and a device that is well works")
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


@test("the module can be unloaded afterwards")
def _() -> None:
    module.unload(fault_requests.LONG)


if __name__ == "__main__":
    afalg.prepare()
    check(crypto.ours(), "the driver has no algorithms")
    tap.run()
