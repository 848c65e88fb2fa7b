#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Leaves a program with transforms and an open volume in use when the guest powers off.

At power-off the kernel shuts the devices down. The device's report must then show no leaked
session.
"""

import contextlib
import os
import sys
import time
from pathlib import Path

from lib import afalg, ciphers, crypto, reference, tap, volume
from lib.tap import check, check_same, test, wait_until

COUNT = 20
# The disk and the volume. They are not closed, because the program exits without cleanup.
HELD: list[contextlib.AbstractContextManager[Path]] = []


@test("program and volume: have sessions, which stay open")
def _() -> None:
    wait_until(lambda: reference.status()["sessions"] == 0, 120, "the self-tests ended")
    ready, ready_writer = os.pipe()
    if os.fork() == 0:
        # Close the output, so that its reader does not wait for this process.
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        transforms = [afalg.Transform(crypto.SYNC, os.urandom(16)) for _ in range(COUNT)]
        os.write(ready_writer, b"!")
        while transforms:
            time.sleep(1000)
    os.read(ready, 1)
    HELD.append(volume.disk(8))
    disk = HELD[-1].__enter__()
    line = volume.table(disk, f"capi:{ciphers.XTS.asynchronous}-plain64", os.urandom(64), 512)
    HELD.append(volume.mapped("live", line))
    mapped = HELD[-1].__enter__()
    data = os.urandom(65536)
    with mapped.open("r+b", buffering=0) as file:
        file.write(data)
        os.fsync(file.fileno())
        volume.drop_caches()
        file.seek(0)
        check_same(file.read(len(data)), data, "contents of the volume")
    found = reference.status()["sessions"]
    check(found == 2 * COUNT + 2, f"{found} sessions")


afalg.prepare()
try:
    tap.run()
except SystemExit as end:
    sys.stdout.flush()
    # Skip all cleanup.
    os._exit(int(end.code or 0))
