# SPDX-License-Identifier: GPL-2.0
"""Devices that are put to sleep by vc_sleep.ko, how long that takes, and what is left of it."""

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from . import tap

ASLEEP = Path("/sys/module/vc_sleep/parameters/asleep")
# Seconds that putting a device to sleep may take, or waking it up, if it answers. The driver in C
# waits for 10 for work that it has thrown away.
LONGEST = 8


def load() -> None:
    """Loads the module from what the guest shares with its host."""
    subprocess.run(["insmod", "/mnt/share/vc_sleep.ko"], check=True)


def _change(asleep: bool) -> None:
    started = time.monotonic()
    ASLEEP.write_text(str(int(asleep)))
    took = time.monotonic() - started
    tap.check(took < LONGEST, f"it took {took:.1f} s until the devices were changed")


@contextlib.contextmanager
def sleeping() -> Iterator[None]:
    """The devices sleep while the block runs."""
    _change(True)
    try:
        yield
    finally:
        _change(False)


def _used_pages() -> int:
    """How many pages are in use: neither free nor kept by a CPU. Less what there is in all."""
    zones = Path("/proc/zoneinfo").read_text()
    free = re.findall(r"^ +pages free +(\d+)$", zones, re.M)
    kept = re.findall(r"^ +count: +(\d+)$", zones, re.M)
    tap.check(free and kept, "/proc/zoneinfo does not tell")
    return -sum(map(int, free + kept))


def _memory() -> dict[str, int]:
    """How many objects each slab cache has, how many areas vmalloc, and pages that are in use."""
    areas = Path("/proc/vmallocinfo").read_text().splitlines()
    found = {"vmalloc": sum("unpurged" not in area for area in areas), "pages": _used_pages()}
    for line in Path("/proc/slabinfo").read_text().splitlines()[2:]:
        name, active, *_ = line.split()
        found[name] = int(active)
    # An object for each area, also for one that is not used any more and only waits to be purged.
    del found["vmap_area"]
    return found


def grown(times: int = 100, rounds: int = 4) -> dict[str, int]:
    """Has the devices sleep in rounds of so many times; returns of what there is more for each sleep,
    in each round but the first: by how much, in the last. Nobody may use the devices.

    More is one for every other sleep: slab caches count objects that a CPU keeps as if they were in
    use.
    """
    always: dict[str, int] = {}
    for number in range(rounds):
        before = _memory()
        for _ in range(times):
            with sleeping():
                pass
        after = _memory()
        grew = {name: after[name] - before.get(name, 0) for name in after}
        grew = {name: more for name, more in grew.items() if more > times // 2}
        tap.note(f"round {number}: {grew}")
        if number < 2:
            always = grew
        else:
            always = {name: more for name, more in grew.items() if name in always}
    return always
