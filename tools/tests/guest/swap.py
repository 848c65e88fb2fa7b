#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Swap on a dm-crypt volume whose crypto device stops responding while memory is short.

usage: swap.py TIMEOUT_MS

For a guest with a disk, little memory, and a reference device. TIMEOUT_MS is the driver's
timeout_ms. Programs use more memory than the guest has, and check its contents. When the device
stops responding, the driver must reset and restart it. It must not depend on free memory, because
the kernel may need this device to free a page. No page may be wrong, and no program may hang. The
kernel may kill a program when memory is exhausted, if it logs this.
"""

import contextlib
import mmap
import os
import random
import re
import struct
import sys
import time
from pathlib import Path

from lib import ciphers, loops, reference, tap, volume
from lib.kernel_log import KernelLog
from lib.loops import DONE, Loop
from lib.tap import check, check_equal, test, wait_until

TIMEOUT = int(sys.argv[1]) / 1000
LONG = 300
DISK = Path("/dev/vda")
PAGE = mmap.PAGESIZE
PROGRAMS = 3
# The memory of all programs, relative to the guest's memory.
MEMORY_SHARE = 1.3
log = KernelLog()
guard = loops.Guard()


def meminfo(name: str) -> int:
    """Returns a value of /proc/meminfo in bytes."""
    found = re.search(rf"^{name}: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.M)
    check(found, f"/proc/meminfo has no {name}")
    assert found
    return int(found[1]) << 10


def swapped() -> tuple[int, int]:
    """Returns how many pages were swapped in and out since boot."""
    text = Path("/proc/vmstat").read_text()
    first, second = (
        int(number)
        for name in ("pswpin", "pswpout")
        for number in re.findall(rf"^{name} (\d+)$", text, re.M)
    )
    return first, second


def restarts() -> int:
    """Returns how often the driver has restarted the device."""
    return len(log.matching("device reset and restarted"))


def killed() -> list[str]:
    """Returns the kernel's messages about programs that it killed when memory was exhausted."""
    return log.matching("Out of memory: Killed process")


class Hog:
    """A program that fills its memory, and checks and changes some pages in each step."""

    pause = 0.0
    PAGES = 500

    def __init__(self, number: int, size: int) -> None:
        self.name = f"program {number}"
        self._size = size // PAGE
        self._memory: mmap.mmap | None = None
        self._stamps: list[int] = []
        self._next = 0

    def _page(self, page: int, stamp: int) -> bytes:
        return struct.pack("<QQ", page, stamp) * (PAGE // 16)

    def run(self, chance: random.Random) -> str:
        """Checks and rewrites the next pages. The first pass only fills them."""
        if self._memory is None:
            Path("/proc/self/oom_score_adj").write_text("1000")
            self._memory = mmap.mmap(-1, self._size * PAGE)
        for _ in range(self.PAGES):
            page, stamp = self._next, chance.getrandbits(64)
            span = slice(page * PAGE, (page + 1) * PAGE)
            if page == len(self._stamps):
                self._stamps.append(stamp)
            else:
                expected = self._page(page, self._stamps[page])
                tap.check_same(self._memory[span], expected, f"{self.name}: page {page}")
                self._stamps[page] = stamp
            self._memory[span] = self._page(page, stamp)
            self._next = (page + 1) % self._size
        return DONE

    def release(self) -> None:
        """Checks every page."""
        for page, stamp in enumerate(self._stamps):
            assert self._memory
            span = slice(page * PAGE, (page + 1) * PAGE)
            tap.check_same(self._memory[span], self._page(page, stamp), f"{self.name}: page {page}")


class SwapLoad:
    """The swap space, and the programs that use it."""

    def __init__(self) -> None:
        self._hogs: list[Loop] = []
        self._stack = contextlib.ExitStack()

    def open(self) -> None:
        """Creates the swap space, starts the programs, and waits until the guest swaps."""
        wait_until(DISK.exists, LONG, "the disk is there")
        key = os.urandom(64)
        line = volume.table(DISK, f"capi:{ciphers.XTS.asynchronous}-plain64", key, PAGE)
        space = self._stack.enter_context(volume.mapped("swap", line))
        volume.run("mkswap", space)
        volume.run("swapon", space)
        size = int(meminfo("MemTotal") * MEMORY_SHARE / PROGRAMS)
        self._hogs = [Loop(Hog(number, size), number) for number in range(PROGRAMS)]
        for hog in self._hogs:
            hog.start()
        wait_until(lambda: min(swapped()) > 5000, LONG, "pages are swapped in and out")
        self.wait_for_progress()

    def check(self) -> None:
        """Fails the test if a program found a wrong page, hangs, or ended although the
        kernel has not logged that it killed the program."""
        for hog in self._hogs:
            hog.check(LONG)
        ended = [hog.step.name for hog in self._hogs if not hog.alive]
        check(len(ended) <= len(killed()), f"{ended} have ended; killed: {killed()}")
        check(len(ended) < PROGRAMS, "no program is left")

    def wait_for_progress(self) -> None:
        """Waits until every remaining program has made progress and pages were swapped."""
        before = {hog: hog.counts[DONE] for hog in self._hogs}
        pages = swapped()

        def makes_progress() -> bool:
            self.check()
            progress = all(hog.counts[DONE] > count for hog, count in before.items() if hog.alive)
            return progress and all(after > count for after, count in zip(swapped(), pages))

        wait_until(makes_progress, LONG, "the programs make progress")

    def close(self) -> None:
        """Ends the programs, which check all their pages, and removes the swap space."""
        self.check()
        loops.stop([hog for hog in self._hogs if hog.alive], LONG)
        for hog in self._hogs:
            tap.note(f"{hog.step.name}: {hog.counts[DONE] * Hog.PAGES} pages")
        volume.run("swapoff", "--all")
        self._stack.close()


LOAD = SwapLoad()


def served() -> int:
    """Returns how many requests the device has served."""
    return reference.data_requests(reference.status(), status="OK")


def wait_until_offloaded() -> None:
    """Waits until the device serves requests again."""
    before = served()

    def is_served() -> bool:
        LOAD.check()
        return served() > before

    wait_until(is_served, LONG, "the device serves requests")


def stop_device(seconds: float) -> None:
    """Stops the device for some seconds. Then the driver must restart it."""
    before = restarts()
    started = time.monotonic()
    reference.command(command="fault", fault="never-answer")
    try:
        time.sleep(seconds)
    finally:
        reference.command(command="clear")

    def restarted() -> bool:
        LOAD.check()
        return restarts() > before

    wait_until(restarted, LONG, "a restart")
    tap.note(f"restarted {time.monotonic() - started:.1f} s after the device stopped")
    LOAD.wait_for_progress()
    wait_until_offloaded()


@test("swap on dm-crypt: the device serves requests")
def _() -> None:
    Path("/proc/self/oom_score_adj").write_text("-1000")
    with guard.within(2 * LONG):
        LOAD.open()
        wait_until_offloaded()


@test("swap on dm-crypt: device stops for half the driver's timeout, three times: no page is wrong")
def _() -> None:
    with guard.within(2 * LONG):
        for _ in range(3):
            stop_device(TIMEOUT / 2)


@test("swap on dm-crypt: device stops for three times the driver's timeout: no page is wrong")
def _() -> None:
    with guard.within(2 * LONG):
        stop_device(3 * TIMEOUT)


@test("swap on dm-crypt: every page is correct, the programs end")
def _() -> None:
    with guard.within(2 * LONG):
        LOAD.close()
    tap.note(f"{len(killed())} programs killed, {restarts()} restarts, pages swapped: {swapped()}")
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "no session is left")


@test("swap on dm-crypt: no kernel reports")
def _() -> None:
    check_equal(log.matching("Read-error on swap|Write-error on swap"), [], "errors of the swap space")
    log.check_quiet()


tap.run()
