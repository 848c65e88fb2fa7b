# SPDX-License-Identifier: GPL-2.0
"""Freezes and restores devices through vc_sleep.ko, and measures the time and the memory needed."""

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from . import tap

FROZEN = Path("/sys/module/vc_sleep/parameters/frozen")
# Limit in seconds for freezing or restoring a device that responds. The C driver waits 10 s for
# work that it has discarded.
LIMIT = 8


def load() -> None:
    """Loads vc_sleep.ko from the shared folder."""
    subprocess.run(["insmod", "/mnt/share/vc_sleep.ko"], check=True)


def _change(freeze: bool) -> None:
    started = time.monotonic()
    FROZEN.write_text(str(int(freeze)))
    took = time.monotonic() - started
    tap.check(took < LIMIT, f"the change took {took:.1f} s")


@contextlib.contextmanager
def frozen() -> Iterator[None]:
    """Freezes the devices during the block."""
    _change(True)
    try:
        yield
    finally:
        _change(False)


def _used_pages() -> int:
    """Returns the number of pages in use minus the total. Free and per-CPU pages are not in use."""
    zones = Path("/proc/zoneinfo").read_text()
    free = re.findall(r"^ +pages free +(\d+)$", zones, re.M)
    per_cpu = re.findall(r"^ +count: +(\d+)$", zones, re.M)
    tap.check(free and per_cpu, "/proc/zoneinfo lacks the numbers of free pages")
    return -sum(map(int, free + per_cpu))


def _memory() -> dict[str, int]:
    """Returns the objects of each slab cache, the vmalloc areas, and the pages in use."""
    areas = Path("/proc/vmallocinfo").read_text().splitlines()
    found = {"vmalloc": sum("unpurged" not in area for area in areas), "pages": _used_pages()}
    for line in Path("/proc/slabinfo").read_text().splitlines()[2:]:
        name, active, *_ = line.split()
        found[name] = int(active)
    # This slab cache also counts unused areas that wait to be purged.
    del found["vmap_area"]
    return found


def grown(times: int = 100, rounds: int = 4) -> dict[str, int]:
    """Freezes and restores the devices in rounds of `times`. Returns the counters that grew in each
    round except the first, with their growth in the last. The devices must be idle.

    A counter grew if it increased by more than half of `times`. Smaller increases are not leaks:
    slab caches count the free objects of per-CPU caches as in use.
    """
    growing: dict[str, int] = {}
    for number in range(rounds):
        before = _memory()
        for _ in range(times):
            with frozen():
                pass
        after = _memory()
        grew = {name: after[name] - before.get(name, 0) for name in after}
        grew = {name: more for name, more in grew.items() if more > times // 2}
        tap.note(f"round {number}: {grew}")
        if number < 2:
            growing = grew
        else:
            growing = {name: more for name, more in grew.items() if name in growing}
    return growing
