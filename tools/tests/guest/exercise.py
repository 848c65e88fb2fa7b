#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Ciphers with invalid use, with data of any length, and with scatterlists of any layout.

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
    """Tests a variant of a cipher with vc_exercise.ko, which compares with the kernel's cipher."""
    with host.watched() as stats:
        test_module.run("vc_exercise", driver=driver, reference=cipher.generic)
    # On reference devices, which have a small max_size, most XTS requests run on the fallback.
    least = 10 if cipher is ciphers.XTS and reference.devices() else 40
    check(stats.ops >= least, f"the host has served {stats.ops} requests")


for each in [ciphers.ALL[name] for name in sys.argv[1:]] or ciphers.of_devices():
    for variant in each.variants:
        test(f"{variant}: results and errors of {each.generic}, on the host")(
            partial(exercise, each, variant)
        )

tap.run()
