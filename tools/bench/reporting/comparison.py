# SPDX-License-Identifier: GPL-2.0
"""Selects the counts of an algorithm that can be compared."""

from collections import Counter
from collections.abc import Sequence

from reporting.results import WHO, Count

# The implementations without a device. Their costs do not depend on the depth.
WITHOUT_DEVICE = ("cpu", "software")
# The implementations of this driver.
THIS_DRIVER = ("rust", "rust-sync")

# The depth and the size of the plots, if they were measured.
USUAL_DEPTH = 8
USUAL_SIZE = 4096

Point = tuple[int, float]


def algorithms(counts: Sequence[Count]) -> list[str]:
    """Returns the algorithms, in the order of the file."""
    return list(dict.fromkeys(count.algorithm for count in counts))


class Comparison:
    """The counts of an algorithm that can be compared: those of one device and one form of request.
    From all devices and forms, this class chooses those with which this driver was measured most
    often."""

    def __init__(self, counts: Sequence[Count], algorithm: str) -> None:
        self.algorithm = algorithm
        of_algorithm = [count for count in counts if count.algorithm == algorithm]
        self.service = of_algorithm[0].service
        of_driver = [count for count in of_algorithm if count.who in THIS_DRIVER] or of_algorithm
        forms = Counter((count.device, _form(count)) for count in of_driver)
        # If several were measured equally often, prefer QEMU's device, and then data in place.
        (self.device, form), _ = max(
            forms.items(), key=lambda item: (item[1], item[0][0] == "qemu", item[0][1])
        )
        self.counts = [
            count for count in of_algorithm
            if _form(count) == form and count.device in (self.device, None)
        ]  # fmt: skip
        self.direction, self.in_place, self.segments = form[2], form[0], -form[1]

    def who(self) -> list[str]:
        """Returns the implementations that were measured, in the order of legends."""
        return [who for who in WHO if any(count.who == who for count in self.counts)]

    def sizes(self, who: str, depth: int) -> list[int]:
        """Returns the sizes that were measured, in order."""
        return sorted({count.size for count in self._at(who, depth)})

    def depths(self, who: str) -> list[int]:
        """Returns the depths that were measured, in order."""
        return sorted({count.depth for count in self.counts if count.who == who})

    def find(self, who: str, size: int, depth: int) -> Count | None:
        """Returns the count of a setting, or None if the setting was not measured."""
        return next((count for count in self._at(who, depth) if count.size == size), None)

    def by_size(self, who: str, depth: int, measure: str = "whole") -> list[Point]:
        """Returns a measure at each size."""
        found = ((size, self.find(who, size, depth)) for size in self.sizes(who, depth))
        return [(size, getattr(count.per_request, measure)) for size, count in found if count]

    def by_depth(self, who: str, size: int, measure: str = "whole") -> list[Point]:
        """Returns a measure at each depth."""
        found = ((depth, self.find(who, size, depth)) for depth in self.depths(who))
        return [(depth, getattr(count.per_request, measure)) for depth, count in found if count]

    def usual_depth(self) -> int:
        """Returns the depth for plots with one depth."""
        return _usual(USUAL_DEPTH, [count.depth for count in self._of_driver()])

    def usual_size(self) -> int:
        """Returns the size for plots with one size."""
        return _usual(USUAL_SIZE, [count.size for count in self._of_driver()])

    def _of_driver(self) -> list[Count]:
        return [count for count in self.counts if count.who in THIS_DRIVER] or self.counts

    def _at(self, who: str, depth: int) -> list[Count]:
        matching = [count for count in self.counts if count.who == who]
        if matching and who in WITHOUT_DEVICE:
            depths = {count.depth for count in matching}
            # Their costs do not depend on the depth, so any measured depth will do.
            if depth not in depths:
                depth = min(depths, key=lambda measured: abs(measured - depth))
        return [count for count in matching if count.depth == depth]


def _form(count: Count) -> tuple[bool, int, str]:
    """Returns the form of a request: whether it is in place, the negative number of segments, so
    that fewer segments are preferred, and the direction."""
    return count.in_place, -count.segments, count.direction


def _usual(usual: int, measured: list[int]) -> int:
    """Returns the usual value if it was measured, otherwise the most frequent one."""
    return usual if usual in measured else Counter(measured).most_common(1)[0][0]
