# SPDX-License-Identifier: GPL-2.0
"""The break-even of the device: the size from which on it costs fewer instructions."""

from collections.abc import Sequence
from dataclasses import dataclass

from reporting.comparison import Comparison, Point
from reporting.results import WHO, Count
from reporting import comparison

DEPTHS = (1, 8)


@dataclass(frozen=True)
class BreakEven:
    """A comparison of two implementations, ``who`` and ``against``.

    ``size`` is the size from which on ``who`` costs less, up to the largest measured size. ``size``
    is None if ``who`` costs more at the largest size, and the smallest size if ``who`` always costs
    less.
    """

    algorithm: str
    service: str
    depth: int
    who: str
    against: str
    size: float | None
    smallest: int
    largest: int

    @property
    def always(self) -> bool:
        """Returns whether the device costs less at every size."""
        return self.size is not None and self.size <= self.smallest

    def text(self) -> str:
        """Returns the size as a short text for a table."""
        if self.smallest == self.largest:
            return "pays" if self.always else "does not pay"
        if self.size is None:
            return f"not up to {kib(self.largest)}"
        return f"from {kib(self.smallest)} or less" if self.always else f"from {kib(self.size)}"


def kib(size: float) -> str:
    """Returns a size with its unit."""
    if size < 1024:
        return f"{size:.0f} B"
    return f"{size / 1024:.3g} KiB"


def crossing(ours: Sequence[Point], theirs: Sequence[Point]) -> float | None:
    """Returns the size from which on the costs `ours` are less than `theirs`. The size is
    interpolated between the sizes that both have. Returns the smallest size if `ours` is always
    less, and None if `ours` is not less at the largest size."""
    costs = dict(theirs)
    gains = [(size, costs[size] - cost) for size, cost in sorted(ours) if size in costs]
    if not gains:
        raise ValueError("the two implementations have no common size")
    if gains[-1][1] <= 0:
        return None
    result = float(gains[0][0])
    for (size, gain), (next_size, next_gain) in zip(gains, gains[1:]):
        if gain <= 0 < next_gain:
            result = size + (next_size - size) * -gain / (next_gain - gain)
    return result


def find(compared: Comparison, depth: int, against: str, who: str = "rust") -> BreakEven | None:
    """Returns the break-even of an algorithm, or None if it was not measured."""
    ours, theirs = compared.by_size(who, depth), compared.by_size(against, depth)
    common = sorted({size for size, _ in ours} & {size for size, _ in theirs})
    if not common:
        return None
    return BreakEven(
        algorithm=compared.algorithm, service=compared.service, depth=depth, who=who,
        against=against, size=crossing(ours, theirs), smallest=common[0], largest=common[-1],
    )  # fmt: skip


def all_of(counts: Sequence[Count]) -> list[BreakEven]:
    """Returns all break-evens: against the processor's instructions, and against software."""
    found = [
        find(Comparison(counts, algorithm), depth, against)
        for algorithm in comparison.algorithms(counts)
        for against in comparison.WITHOUT_DEVICE
        for depth in DEPTHS
    ]
    return [result for result in found if result]


def sentence(result: BreakEven) -> str:
    """Returns a break-even as a sentence."""
    against = WHO[result.against]
    subject = f"{result.algorithm} at depth {result.depth}"
    if result.smallest == result.largest:
        verb = "costs fewer" if result.always else "does not cost fewer"
        return f"{subject} {verb} guest instructions than the {against}."
    if result.size is None:
        size = kib(result.largest)
        return f"{subject} costs more guest instructions than the {against} at {size}."
    if result.always:
        return f"{subject} costs fewer guest instructions than the {against} at every size."
    size = kib(result.size)
    return f"{subject} costs fewer guest instructions than the {against} from {size} on."
