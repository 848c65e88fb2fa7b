#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""What the self-tests leave out of ciphers: bad use, and data of any length in lists of any shape.

usage: exercise.py [CIPHER...]

For a guest with vc_exercise.ko at /mnt/share. Exercises both variants of each CIPHER, "cbc(aes)"
for example, or of all that the devices do.
"""

import sys
from functools import partial

from lib import ciphers, host, reference, tap, test_module
from lib.ciphers import Cipher
from lib.tap import check, test


def exercise(cipher: Cipher, driver: str) -> None:
    """One variant."""
    with host.watched() as work:
        test_module.run("vc_exercise", driver=driver, reference=cipher.generic)
    # Reference devices take little, and XTS cannot be cut: software does most of it.
    least = 10 if cipher is ciphers.XTS and reference.devices() else 40
    check(work.ops >= least, f"the host has done {work.ops} requests")


for one in [ciphers.ALL[name] for name in sys.argv[1:]] or ciphers.of_devices():
    for variant in one.variants:
        test(f"{variant} gives the results and errors that {one.generic} gives, by the host")(
            partial(exercise, one, variant)
        )

tap.run()
