# SPDX-License-Identifier: GPL-2.0
"""Evaluates times. Only ratios of times from one guest are comparable."""

import json
import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from settings import PROCESSORS, Setting


def _entries(folder: Path, name: str) -> list[Any]:
    """Returns a list of a guest's measured.json, or an empty list."""
    entries: list[Any] = json.loads((folder / "measured.json").read_text()).get(name, [])
    return entries


def times(folder: Path) -> Iterator[dict[str, object]]:
    """Returns a guest's part of the list "times": the time of a request with setting a, divided by
    the time of a request with setting b."""
    for entry in _entries(folder, "timed"):
        a, b = Setting(**entry["a"]), Setting(**entry["b"])
        first, second = zip(*entry["ns"], strict=True)
        yield {
            "service": a.row.service,
            "algorithm": a.algorithm,
            "size": a.size,
            "depth": a.depth,
            "device": a.device,
            "a": a.who,
            "b": b.who,
            "rounds": len(entry["ns"]),
            "ratio_minimum": round(min(first) / min(second), 3),
            "ratio_median": round(statistics.median(first) / statistics.median(second), 3),
        }


def contention(folders: list[Path]) -> list[dict[str, object]]:
    """Returns the list "contention": how often the guest waits for a lock that another processor
    holds, per request."""
    return [
        {
            "algorithm": entry["setting"]["algorithm"],
            "who": entry["setting"]["who"],
            "device": entry["setting"]["device"],
            "size": entry["setting"]["size"],
            "depth": entry["setting"]["depth"],
            "processors": entry["processors"],
            "queues": entry["processors"],
            "lock_spins": round(entry["lock_spins"], 4),
        }
        for folder in folders
        for entry in _entries(folder, "contended")
    ]


def scaling(folders: list[Path]) -> list[dict[str, object]]:
    """Returns the list "scaling": requests per second of several processors, relative to one
    processor."""
    rates = {
        entry["processors"]: sum(entry["rates"])
        for folder in folders
        for entry in _entries(folder, "scaled")
    }
    return [
        {
            "processors": processors,
            "queues": processors,
            "host_processors": os.cpu_count(),
            "relative": round(rates[processors] / rates[1], 2),
        }
        for processors in PROCESSORS
        if processors in rates
    ]
