# SPDX-License-Identifier: GPL-2.0
"""The reference device, as its monitor shows it."""

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
    """The device does not take a command."""


def devices() -> list[int]:
    """The numbers of those there are."""
    return sorted(int(path.name[6:]) for path in PORTS.glob("device*"))


def command(device: int | None = None, **words: Any) -> dict[str, Any]:
    """Sends a command, to the first one if no number is given, and returns the answer.

    As device-ctl does, which is a program of its own, and takes its time to start.
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
        # The answer to one that was killed while it waited.
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
    """While the block runs a device has these faults, and no others."""
    try:
        for fault in faults:
            command(device, command="fault", fault=fault)
        yield
    finally:
        command(device, command="clear")


def is_function(device: int | None = None) -> bool:
    """The device is a PCI function of its own, which has faults that others do not have."""
    try:
        with faulty("status-stuck:count=0", device=device):
            return True
    except Refused:
        return False


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
