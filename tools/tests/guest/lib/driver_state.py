# SPDX-License-Identifier: GPL-2.0
"""What the driver shows of its devices in debugfs. A device whose server has no counters is known by
these."""

import re
from pathlib import Path

FOLDER = Path("/sys/kernel/debug/virtio_crypto_rs")


def _sum(pattern: str) -> int:
    """The sum of a number over all devices."""
    texts = [path.read_text() for path in FOLDER.glob("virtio*/status")]
    return sum(int(number) for text in texts for number in re.findall(pattern, text, re.M))


def completed() -> int:
    """How many requests the devices have completed on their data queues."""
    return _sum(r"^dataq\.\d+: .*?(\d+) completed")


def restarts() -> int:
    """How often the driver has reset and restarted its devices."""
    return _sum(r"^restarts: (\d+)$")


def sessions() -> int:
    """How many sessions the driver has in its devices."""
    return _sum(r"^sessions: (\d+)$")


def fallbacks() -> dict[str, int]:
    """How many requests ran on the fallback by reason, as far as there were any."""
    lines = (FOLDER / "fallbacks").read_text().splitlines()
    counts = ((reason, int(count)) for reason, count in (line.rsplit(":", 1) for line in lines))
    return {reason: count for reason, count in counts if count}
