# SPDX-License-Identifier: GPL-2.0
"""Counts requests that the reference device served, and requests that ran on the fallback."""

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
    """Requests since the creation of this object."""

    def __init__(self) -> None:
        self._device = reference.status()
        self._initial = _fallbacks()

    def _requests(self, after: dict[str, Any], **wanted: str) -> dict[str, int]:
        found = {}
        for name in {line["operation"] for line in after["counters"]}:
            count, initial = (
                reference.data_requests(when, operation=name, **wanted)
                for when in (after, self._device)
            )
            if count > initial:
                found[name] = count - initial
        return found

    def device(self, status: str = "OK") -> dict[str, int]:
        """Returns the device's data requests with that status by operation. Omits zero counts."""
        return self._requests(reference.status(), status=status)

    def fallbacks(self) -> dict[str, int]:
        """Returns the number of requests on the fallback by reason. Omits zero counts."""
        return {
            reason: count - self._initial[reason]
            for reason, count in _fallbacks().items()
            if count > self._initial[reason]
        }

    def share(self, what: str) -> tuple[dict[str, int], dict[str, int]]:
        """Prints how many requests ran on the device and on the fallback. Returns the results of
        device() and fallbacks()."""
        after, fallbacks = reference.status(), self.fallbacks()
        device = self._requests(after)
        done, fallen_back = sum(device.values()), sum(fallbacks.values())
        total = done + fallen_back
        percent = f"{100 * done / total:.2f} %" if total else "nothing"
        tap.note(
            f"{what}: {percent} by the device ({device}), {fallen_back} on the fallback "
            f"({fallbacks})"
        )
        return self._requests(after, status="OK"), fallbacks

    def check_none(self) -> None:
        """Fails the test if the device or the fallback served a request."""
        tap.check_equal((self.device(), self.fallbacks()), ({}, {}), "requests of the driver")
