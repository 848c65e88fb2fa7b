#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Ciphers with invalid use, any length of data, and any layout of scatterlists.

usage: exercise.py [CIPHER...]

For a guest with vc_exercise.ko in the shared folder. Tests both variants of each CIPHER, for
example "cbc(aes)", or of all ciphers of the devices.
"""

import sys
from functools import partial

from lib import ciphers, host, reference, tap, test_module
from lib.ciphers import Cipher
from lib.tap import check, test


def exercise(cipher: Cipher, driver: str) -> None:
    """Tests a variant."""
    with host.watched() as work:
        test_module.run("vc_exercise", driver=driver, reference=cipher.generic)
    # On reference devices, which have a small max_size, most XTS requests run on the fallback.
    least = 10 if cipher is ciphers.XTS and reference.devices() else 40
    check(work.ops >= least, f"the host has served {work.ops} requests")


for one in [ciphers.ALL[name] for name in sys.argv[1:]] or ciphers.of_devices():
    for variant in one.variants:
        test(f"{variant}: results and errors of {one.generic}, on the host")(
            partial(exercise, one, variant)
        )

tap.run()
