# SPDX-License-Identifier: GPL-2.0
"""The driver's counters in debugfs. Tests use them if the device itself has no counters."""

import re
from pathlib import Path

FOLDER = Path("/sys/kernel/debug/virtio_crypto_rs")


def _sum(pattern: str) -> int:
    """Returns the sum of all numbers that match the pattern's group in the devices' status
    files."""
    texts = [path.read_text() for path in FOLDER.glob("virtio*/status")]
    return sum(int(number) for text in texts for number in re.findall(pattern, text, re.M))


def completed() -> int:
    """Returns how many requests the devices have completed on their data queues."""
    return _sum(r"^dataq\.\d+: .*?(\d+) completed")


def restarts() -> int:
    """Returns how often the driver has reset and restarted its devices."""
    return _sum(r"^restarts: (\d+)$")


def sessions() -> int:
    """Returns how many sessions the driver has on its devices."""
    return _sum(r"^sessions: (\d+)$")


def fallbacks() -> dict[str, int]:
    """Returns how many requests ran on the fallback, by reason, without reasons that have no
    request."""
    lines = (FOLDER / "fallbacks").read_text().splitlines()
    counts = ((reason, int(count)) for reason, count in (line.rsplit(":", 1) for line in lines))
    return {reason: count for reason, count in counts if count}
