# SPDX-License-Identifier: GPL-2.0
"""The reference device, as its monitor shows it."""

import json
import subprocess
from typing import Any


def command(**words: Any) -> dict[str, Any]:
    """Sends a command and returns the answer."""
    run = subprocess.run(
        ["device-ctl", json.dumps(words)], check=True, stdout=subprocess.PIPE, text=True
    )
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


def status() -> dict[str, Any]:
    """All that the device has counted."""
    return command(command="status")


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
