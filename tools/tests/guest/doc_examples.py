#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs the code blocks of a document that are marked as tests.

usage: doc_examples.py FILE.rst prefer|reference|"preferred reference"|plain

A comment ".. test: NAME" marks the code block that follows. "sh -eu" runs each block in a new
folder. The end of NAME selects the guest:
  prefer               the module parameter prefer=1
  reference            the reference device
  preferred reference  both
  anything else        neither ("plain")
"""

import re
import subprocess
import sys
import tempfile
import textwrap

GUESTS = ("preferred reference", "prefer", "reference")
BLOCK = re.compile(r"^\.\. test: (?P<name>.+)\n\.\. code-block:: sh\n\n(?P<code>(?:\t.*\n|\n)+)", re.M)


def guest_of(name: str) -> str:
    """Returns the guest of a block."""
    return next((end for end in GUESTS if name.endswith(end)), "plain")


def main() -> int:
    path, guest = sys.argv[1], sys.argv[2]
    with open(path, encoding="utf-8") as file:
        blocks = [(m["name"], textwrap.dedent(m["code"])) for m in BLOCK.finditer(file.read())]
    blocks = [(name, code) for name, code in blocks if guest_of(name) == guest]
    failed = not blocks
    for number, (name, code) in enumerate(blocks, 1):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(["sh", "-eu"], input=code, cwd=folder, text=True, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        passed = done.returncode == 0
        failed |= not passed
        print(f"{'ok' if passed else 'not ok'} {number} - {name}", flush=True)
        if not passed:
            print(textwrap.indent(done.stdout, "# "))
    print(f"1..{len(blocks)}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
