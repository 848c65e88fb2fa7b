# SPDX-License-Identifier: GPL-2.0
"""Who has done the work: the reference device, or software in its place, and why."""

from pathlib import Path
from typing import Any

from . import reference, tap

FALLBACKS = Path("/sys/kernel/debug/virtio_crypto_rs/fallbacks")


def _fallbacks() -> dict[str, int]:
    return {
        reason: int(count)
        for reason, count in (line.rsplit(":", 1) for line in FALLBACKS.read_text().splitlines())
    }


class OffloadStats:
    """All that is done from the making of this on."""

    def __init__(self) -> None:
        self._device = reference.status()
        self._software = _fallbacks()

    def _requests(self, after: dict[str, Any], **wanted: str) -> dict[str, int]:
        found = {}
        for name in {line["operation"] for line in after["counters"]}:
            count, was = (
                reference.data_requests(when, operation=name, **wanted)
                for when in (after, self._device)
            )
            if count > was:
                found[name] = count - was
        return found

    def device(self, status: str = "OK") -> dict[str, int]:
        """The device's data requests with that status by operation, as far as there were any."""
        return self._requests(reference.status(), status=status)

    def fallbacks(self) -> dict[str, int]:
        """Requests that the driver has left to software by reason, as far as there were any."""
        return {
            reason: count - self._software[reason]
            for reason, count in _fallbacks().items()
            if count > self._software[reason]
        }

    def share(self, what: str) -> tuple[dict[str, int], dict[str, int]]:
        """Says how much of it the device has done, and why software has done the rest. Returns
        what device() and software() do."""
        after, software = reference.status(), self.fallbacks()
        device = self._requests(after)
        done, rest = sum(device.values()), sum(software.values())
        percent = f"{100 * done / (done + rest):.2f} %" if done + rest else "nothing"
        tap.note(f"{what}: {percent} by the device ({device}), {rest} by software ({software})")
        return self._requests(after, status="OK"), software

    def check_none(self) -> None:
        """Fails the test if the driver had anything to do."""
        tap.check_equal((self.device(), self.fallbacks()), ({}, {}), "work of the driver")
