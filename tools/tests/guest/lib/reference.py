# SPDX-License-Identifier: GPL-2.0
"""The reference device's monitor: commands and counters."""

import contextlib
import errno
import fcntl
import json
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PORTS = Path("/dev/virtio-ports")
SECONDS = 60


class Refused(Exception):
    """The device rejects a command."""


def devices() -> list[int]:
    """Returns the numbers of all reference devices."""
    return sorted(int(path.name[6:]) for path in PORTS.glob("device*"))


def command(device: int | None = None, **words: Any) -> dict[str, Any]:
    """Sends a command and returns the answer. The default is the first device.

    The program device-ctl does the same, but starts more slowly.
    """
    number = devices()[0] if device is None else device
    with Path(f"/run/testbed/device{number}.lock").open("wb") as lock:
        # The port can be open only once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        port = os.open(PORTS / f"device{number}", os.O_RDWR | os.O_NONBLOCK)
        try:
            answer = _converse(port, json.dumps(words).encode() + b"\n")
        finally:
            os.close(port)
    if "error" in answer:
        raise Refused(f"device {number}: {words}: {answer['error']}")
    return answer


def _converse(port: int, text: bytes) -> dict[str, Any]:
    poll = select.poll()
    with contextlib.suppress(BlockingIOError):
        # Discard the answer to a command whose sender was killed.
        while os.read(port, 65536):
            pass
    while text:
        _wait(poll, port, select.POLLOUT)
        text = text[os.write(port, text) :]
    answer = b""
    while not answer.endswith(b"\n"):
        _wait(poll, port, select.POLLIN)
        data = os.read(port, 65536)
        if not data:
            raise OSError(errno.EPIPE, "the device's monitor is gone")
        answer += data
    found: dict[str, Any] = json.loads(answer)
    return found


def _wait(poll: select.poll, port: int, event: int) -> None:
    poll.register(port, event)
    found = poll.poll(SECONDS * 1000)
    if not found or not found[0][1] & event:
        raise OSError(errno.EPIPE, "the device's monitor does not answer")


@contextlib.contextmanager
def faulty(*faults: str, device: int | None = None) -> Iterator[None]:
    """Injects these faults in a device during the block, and clears all faults afterwards."""
    try:
        for fault in faults:
            command(device, command="fault", fault=fault)
        yield
    finally:
        command(device, command="clear")


def is_function(device: int | None = None) -> bool:
    """Returns true for a vfio device: only it accepts faults of a PCI function."""
    try:
        with faulty("status-stuck:count=0", device=device):
            return True
    except Refused:
        return False


def status(device: int | None = None) -> dict[str, Any]:
    """Returns the counters of a device."""
    return command(device, command="status")


def requests(now: dict[str, Any], **wanted: Any) -> int:
    """Returns how many requests match, for example operation="CIPHER_ENCRYPT"."""
    return sum(
        line["requests"]
        for line in now["counters"]
        if all(line[name] == value for name, value in wanted.items())
    )


def data_requests(now: dict[str, Any], **wanted: Any) -> int:
    """Returns how many requests on data queues match."""
    control = requests(now, queue="control", **wanted)
    return requests(now, **wanted) - control
