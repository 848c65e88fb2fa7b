#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Writes the plan of each guest of a mode of the benchmark. A plan lists what the guest measures.

usage: plan.py MODE FOLDER

MODE is quick, usual, long, guard or single (settings.py). For each guest (class Boot), plan.py
creates a folder in FOLDER with the file "plan.json" for measure.py, and prints a line with these
words:

- "counted" if the guest needs the QEMU plugin that counts instructions, "timed" otherwise
- the folder
- the options of the command "run" of tools/testbed/vm
"""

import dataclasses
import json
import shlex
import sys
from pathlib import Path

import programs
import settings


def main() -> None:
    """Creates the folders and prints the lines."""
    if len(sys.argv) != 3:
        sys.exit("usage: plan.py MODE FOLDER")
    try:
        boots = [*settings.boots(sys.argv[1]), *programs.boots(sys.argv[1])]
    except ValueError as error:
        sys.exit(f"plan: {error}")
    # The steps of all guests and of the earlier guests, for the progress messages of measure.py.
    total = sum(boot.steps for boot in boots)
    done = 0
    for boot in boots:
        folder = Path(sys.argv[2], boot.name)
        folder.mkdir(parents=True)
        plan = {
            "devices": boot.devices,
            "settings": [dataclasses.asdict(setting) for setting in boot.settings],
            "pairs": [[dataclasses.asdict(setting) for setting in pair] for pair in boot.pairs],
            "programs": [dataclasses.asdict(program) for program in programs.in_boot(boot)],
            "rounds": boot.rounds,
            "counted": boot.is_counted,
            "processors": boot.processors,
            "contended": boot.contended,
            "done": done,
            "total": total,
        }
        (folder / "plan.json").write_text(json.dumps(plan, indent=1))
        kind = "counted" if boot.is_counted else "timed"
        print(shlex.join([kind, str(folder), *boot.options]))
        done += boot.steps


if __name__ == "__main__":
    main()
