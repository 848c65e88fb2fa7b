# SPDX-License-Identifier: GPL-2.0
"""From which size on the device pays: where the lines of two costs by size cross."""

from collections.abc import Sequence
from dataclasses import dataclass

from reporting.comparison import Comparison, Point
from reporting.results import WHO, Count
from reporting import comparison

DEPTHS = (1, 8)


@dataclass(frozen=True)
class BreakEven:
    """From ``size`` bytes on ``ours`` costs less than ``theirs``, up to the largest size that was
    measured. None: it costs more there. The smallest size: it never costs more."""

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
        """Whether the device costs less at every size."""
        return self.size is not None and self.size <= self.smallest

    def text(self) -> str:
        """The size, in words that fit into a table."""
        if self.smallest == self.largest:
            return "pays" if self.always else "does not pay"
        if self.size is None:
            return f"not up to {kib(self.largest)}"
        return f"from {kib(self.smallest)} or less" if self.always else f"from {kib(self.size)}"


def kib(size: float) -> str:
    """A size with its unit."""
    if size < 1024:
        return f"{size:.0f} B"
    return f"{size / 1024:.3g} KiB"


def crossing(ours: Sequence[Point], theirs: Sequence[Point]) -> float | None:
    """The size from which on ours is below theirs, by straight lines between the sizes that both
    have; their smallest if it is so everywhere, None if it is not so at the largest."""
    costs = dict(theirs)
    gains = [(size, costs[size] - cost) for size, cost in sorted(ours) if size in costs]
    if not gains:
        raise ValueError("there is no size that both were measured at")
    if gains[-1][1] <= 0:
        return None
    result = float(gains[0][0])
    for (size, gain), (next_size, next_gain) in zip(gains, gains[1:]):
        if gain <= 0 < next_gain:
            result = size + (next_size - size) * -gain / (next_gain - gain)
    return result


def find(compared: Comparison, depth: int, against: str, who: str = "rust") -> BreakEven | None:
    """The break-even of an algorithm; None if it was not measured."""
    ours, theirs = compared.by_size(who, depth), compared.by_size(against, depth)
    common = sorted({size for size, _ in ours} & {size for size, _ in theirs})
    if not common:
        return None
    return BreakEven(
        algorithm=compared.algorithm, service=compared.service, depth=depth, who=who,
        against=against, size=crossing(ours, theirs), smallest=common[0], largest=common[-1],
    )  # fmt: skip


def all_of(counts: Sequence[Count]) -> list[BreakEven]:
    """Every break-even that was measured: against the processor's instructions, and software."""
    found = [
        find(Comparison(counts, algorithm), depth, against)
        for algorithm in comparison.algorithms(counts)
        for against in comparison.WITHOUT_DEVICE
        for depth in DEPTHS
    ]
    return [one for one in found if one]


def sentence(one: BreakEven) -> str:
    """A break-even as a sentence."""
    against = WHO[one.against]
    subject = f"{one.algorithm} at depth {one.depth}"
    if one.smallest == one.largest:
        verb = "costs fewer" if one.always else "does not cost fewer"
        return f"{subject} {verb} guest instructions than the {against}."
    if one.size is None:
        return f"{subject} costs more guest instructions than the {against} at {kib(one.largest)}."
    if one.always:
        return f"{subject} costs fewer guest instructions than the {against} at every size."
    return f"{subject} costs fewer guest instructions than the {against} from {kib(one.size)} on."
