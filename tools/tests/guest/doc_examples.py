#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs the commands of a document that are marked as tests.

usage: doc_examples.py FILE.rst prefer|reference|"preferred reference"|plain

A comment ".. test: NAME" marks the code block that follows. "sh -eu" runs each block in a folder of
its own. The end of NAME selects the guest: "prefer" for the module parameter prefer=1, "reference"
for the reference device, "preferred reference" for both, and any other end for "plain".
"""

import re
import subprocess
import sys
import tempfile
import textwrap

SPECIAL = ("preferred reference", "prefer", "reference")
BLOCK = re.compile(r"^\.\. test: (?P<name>.+)\n\.\. code-block:: sh\n\n(?P<code>(?:\t.*\n|\n)+)", re.M)


def kind(name: str) -> str:
    """Returns the guest of a block."""
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
