#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs the commands of the documentation that are marked as tests.

usage: doc_examples.py FILE.rst prefer|reference|"preferred reference"|plain

A comment ".. test: NAME" before a code block marks it. Each is run by "sh -eu" in a folder of its
own. Those whose NAME ends in "prefer" are for a module that was loaded with prefer=1, those whose
NAME ends in "reference" for the reference device, those whose NAME ends in "preferred reference"
for both; the others are plain.
"""

import re
import subprocess
import sys
import tempfile
import textwrap

SPECIAL = ("preferred reference", "prefer", "reference")
BLOCK = re.compile(r"^\.\. test: (?P<name>.+)\n\.\. code-block:: sh\n\n(?P<code>(?:\t.*\n|\n)+)", re.M)


def kind(name: str) -> str:
    """What a block is for."""
    return next((end for end in SPECIAL if name.endswith(end)), "plain")


def main() -> int:
    path, which = sys.argv[1], sys.argv[2]
    with open(path, encoding="utf-8") as file:
        blocks = [(m["name"], textwrap.dedent(m["code"])) for m in BLOCK.finditer(file.read())]
    blocks = [(name, code) for name, code in blocks if kind(name) == which]
    failed = not blocks
    for number, (name, code) in enumerate(blocks, 1):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(["sh", "-eu"], input=code, cwd=folder, text=True, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        good = done.returncode == 0
        failed |= not good
        print(f"{'ok' if good else 'not ok'} {number} - {name}", flush=True)
        if not good:
            print(textwrap.indent(done.stdout, "# "))
    print(f"1..{len(blocks)}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
