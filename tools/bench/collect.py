#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Collects the measurements of all guests in one file: see Documentation/benchmark.rst.

usage: collect.py RESULTS KERNEL DEVICE FOLDER...

DEVICE is a file with the output of tools/bench/device. FOLDER is the folder of a guest.
"""

import datetime
import json
import re
import subprocess
import sys
from pathlib import Path

import counted_programs
import counts
import timing


def output(*command: str) -> str:
    """Returns the output of a command."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def commit() -> str:
    """Returns the project's commit, with "-dirty" if tracked files have uncommitted changes."""
    git = ("git", "-c", "safe.directory=*", "-C", str(Path(__file__).parent))
    name = output(*git, "rev-parse", "--short=12", "HEAD")
    changed = output(*git, "status", "--porcelain", "--untracked-files=no")
    return f"{name}-dirty" if changed else name


def processor() -> str:
    """Returns the model of the host's processor."""
    match = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return match[1] if match else "unknown"


def accelerator(folders: list[Path]) -> str:
    """Returns the accelerator of the guests that were timed. Guests with the plugin use TCG."""
    guests = [json.loads((folder / "measured.json").read_text()) for folder in folders]
    return next((guest["accelerator"] for guest in guests if "timed" in guest), "tcg")


def main() -> None:
    """Writes the results."""
    if len(sys.argv) < 5:
        sys.exit("usage: collect.py RESULTS KERNEL DEVICE FOLDER...")
    path, kernel = Path(sys.argv[1]), sys.argv[2]
    folders = [Path(folder) for folder in sys.argv[4:]]
    try:
        device = json.loads(Path(sys.argv[3]).read_text())
        guests = {folder: json.loads((folder / "measured.json").read_text()) for folder in folders}
        counted = [one for folder, measured in guests.items() if "measured" in measured
                   for one in counts.results(folder)]  # fmt: skip
        programs = [one for folder, measured in guests.items() if "programs" in measured
                    for one in counted_programs.results(folder)]  # fmt: skip
        results = {
            "format": 1,
            "of": {
                "commit": commit(),
                "kernel": kernel,
                "qemu": output("qemu-system-x86_64", "--version").split()[3],
                "processor": processor(),
                "accelerator": accelerator(folders),
                "date": datetime.date.today().isoformat(),
            },
            "counts": counted,
            "programs": programs,
            "times": [one for folder in folders for one in timing.times(folder)],
            "scaling": timing.scaling(folders),
            "contention": timing.contention(folders),
            "device": device,
        }
    except (counts.Unusable, OSError, ValueError, subprocess.CalledProcessError) as problem:
        sys.exit(f"collect: {problem}")
    new = path.with_suffix(".new")
    new.write_text(json.dumps(results, indent=1) + "\n")
    new.replace(path)


if __name__ == "__main__":
    main()
