# SPDX-License-Identifier: GPL-2.0
"""The reference device, as its monitor shows it."""

import json
import subprocess
from pathlib import Path
from typing import Any


def devices() -> list[int]:
    """The numbers of those there are."""
    return sorted(int(path.name[6:]) for path in Path("/dev/virtio-ports").glob("device*"))


def command(device: int | None = None, **words: Any) -> dict[str, Any]:
    """Sends a command, to the first one if no number is given, and returns the answer."""
    which = [] if device is None else ["-d", str(device)]
    run = subprocess.run(
        ["device-ctl", *which, json.dumps(words)], check=True, stdout=subprocess.PIPE, text=True
    )
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


def status(device: int | None = None) -> dict[str, Any]:
    """All that a device has counted."""
    return command(device, command="status")


def requests(now: dict[str, Any], **wanted: Any) -> int:
    """How many requests it has counted that are as wanted, operation="CIPHER_ENCRYPT" say."""
    return sum(
        line["requests"]
        for line in now["counters"]
        if all(line[name] == value for name, value in wanted.items())
    )


def data_requests(now: dict[str, Any], **wanted: Any) -> int:
    """The same, on data queues only."""
    control = requests(now, queue="control", **wanted)
    return requests(now, **wanted) - control
