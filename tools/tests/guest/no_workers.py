#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""A device stops responding while the kernel cannot create threads.

usage: no_workers.py TIMEOUT_MS

For a guest with a reference device. TIMEOUT_MS is the driver's timeout_ms. Many dm-crypt volumes
are read. When the ring is full, their kcryptd workers wait for the device, until the worker pool of
the unbound workqueues has no idle worker. A limit on threads prevents new workers, as a lack of
memory would. The volumes' rescuers also wait. The driver must still reset and restart the device.
"""

import contextlib
import mmap
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from lib import ciphers, loops, reference, tap, volume
from lib.kernel_log import KernelLog
from lib.tap import check, check_equal, check_same, test, wait_until

TIMEOUT = int(sys.argv[1]) / 1000
LONG = 60
VOLUMES = 24
READERS = 2 * VOLUMES
SIZE = 1 << 16
SECTOR = 4096
THREADS_MAX = Path("/proc/sys/kernel/threads-max")
RAM = Path("/dev/ram0")
log = KernelLog()
guard = loops.Guard()


class Reader:
    """A thread that reads the beginning of a volume on request."""

    def __init__(self, path: Path, start: threading.Event) -> None:
        self._start = start
        self._file = os.open(path, os.O_RDONLY | os.O_DIRECT)
        self._buffer = mmap.mmap(-1, SIZE)
        self.error = ""
        self.thread = threading.Thread(target=self._main, daemon=True)
        self.thread.start()

    def _main(self) -> None:
        self._start.wait()
        try:
            check_equal(os.preadv(self._file, [self._buffer], 0), SIZE, "bytes read")
        except (OSError, tap.Failure) as error:
            self.error = repr(error)
        os.close(self._file)

    def check(self, expected: bytes) -> None:
        """Fails the test unless the reader has read the expected data."""
        check(not self.thread.is_alive(), "a reader has not ended")
        check(not self.error, self.error)
        check_same(self._buffer[:], expected, "data read")


@contextlib.contextmanager
def no_new_threads() -> Iterator[None]:
    """Prevents new threads during the block."""
    before = THREADS_MAX.read_text()
    THREADS_MAX.write_text("20")
    try:
        yield
    finally:
        THREADS_MAX.write_text(before)


def rescuers() -> int:
    """Returns how many rescuers of dm-crypt volumes wait for the device."""
    count = 0
    for thread in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (thread / "comm").read_text().startswith("kworker/R-kcryptd"):
                count += (thread / "wchan").read_text() == "crypt_convert"
    return count


def restarts() -> int:
    """Returns how often the driver has restarted the device."""
    return len(log.matching("device reset and restarted"))


@test("no idle worker, no new thread: the driver restarts the device")
def _() -> None:
    data, key = os.urandom(SIZE), os.urandom(64)
    start = threading.Event()
    with guard.within(5 * LONG), contextlib.ExitStack() as stack:
        line = volume.table(RAM, f"capi:{ciphers.XTS.asynchronous}-plain64", key, SECTOR)
        paths = [
            stack.enter_context(volume.mapped(f"volume{number}", line))
            for number in range(VOLUMES)
        ]
        with paths[0].open("wb") as file:
            file.write(data)
            os.fsync(file.fileno())
        readers = [Reader(paths[number % VOLUMES], start) for number in range(READERS)]

        def ended() -> bool:
            return not any(reader.thread.is_alive() for reader in readers)

        with no_new_threads():
            with reference.faulty("never-answer:queue=0"):
                start.set()
                wait_until(lambda: rescuers() >= VOLUMES // 2, LONG, "a pool without workers")
            started = time.monotonic()
            waiting = sum(reader.thread.is_alive() for reader in readers)
            wait_until(lambda: restarts() > 0, LONG, f"a restart, while {waiting} readers wait")
            wait_until(ended, LONG, "all readers end")
            tap.note(f"{waiting} readers waited for {time.monotonic() - started:.1f} s")
        for reader in readers:
            reader.check(data)


@test("no idle worker, no new thread: no kernel reports")
def _() -> None:
    log.check_quiet()


volume.run("modprobe", "brd", "rd_nr=1", "rd_size=4096")
volume.run("modprobe", "dm_crypt")
tap.run()
