# SPDX-License-Identifier: GPL-2.0
"""Tests of comparison.py and breakeven.py: python3 -m unittest discover -s tools/bench"""

import unittest
from dataclasses import replace

from reporting import breakeven
from reporting.comparison import Comparison, algorithms
from reporting.results import Count, PerRequest


def count(who: str, size: int, whole: float, depth: int = 8) -> Count:
    """Returns a count with these values. All other values are constant."""
    device = None if who in ("cpu", "software") else "qemu"
    per_request = PerRequest(1, 2, whole, 1, 1, 1, 1, 0, 0)
    return Count("cipher", "cbc(aes)", who, "d", device, size, depth, "encrypt", True, 1, 9,
                 per_request, 0.0, {})  # fmt: skip


class Comparable(unittest.TestCase):
    """The selection of counts that can be compared."""

    def test_form(self) -> None:
        """The device, direction, segments and in_place with which this driver was measured most
        often determine the counts that are compared."""
        counts = [count("rust", 16, 1), count("rust", 64, 2), count("c", 16, 3)]
        others = [replace(count("rust", 16, 9), device="ref"),
                  replace(count("c", 64, 9), direction="decrypt"),
                  replace(count("c", 256, 9), segments=4),
                  replace(count("c", 4096, 9), in_place=False)]  # fmt: skip
        compared = Comparison(others + counts, "cbc(aes)")
        self.assertEqual(compared.device, "qemu")
        self.assertEqual(compared.by_size("rust", 8), [(16, 1), (64, 2)])
        self.assertEqual(compared.by_size("c", 8), [(16, 3)])
        self.assertEqual(compared.who(), ["rust", "c"])

    def test_order(self) -> None:
        """Points are sorted by size or depth; algorithms keep the order of the file."""
        counts = [count("rust", size, size, depth) for size in (64, 16) for depth in (8, 1)]
        compared = Comparison(counts, "cbc(aes)")
        self.assertEqual(compared.by_size("rust", 1), [(16, 16), (64, 64)])
        self.assertEqual(compared.by_depth("rust", 16), [(1, 16), (8, 16)])
        other = replace(counts[0], algorithm="a")
        self.assertEqual(algorithms([*counts, other]), ["cbc(aes)", "a"])

    def test_without_device(self) -> None:
        """A count without a device is used for every depth. A count with a device is used for its
        own depth only."""
        compared = Comparison([count("rust", 16, 1), count("cpu", 16, 5, 1)], "cbc(aes)")
        self.assertEqual(compared.by_size("cpu", 8), [(16, 5)])
        self.assertEqual(compared.by_size("rust", 1), [])

    def test_usual(self) -> None:
        """The usual size and depth are used if they were measured, else the most frequent ones."""
        compared = Comparison([count("rust", 4096, 1), count("rust", 16, 1, 1)], "cbc(aes)")
        self.assertEqual((compared.usual_size(), compared.usual_depth()), (4096, 8))
        compared = Comparison([count("rust", 256, 1, 2)], "cbc(aes)")
        self.assertEqual((compared.usual_size(), compared.usual_depth()), (256, 2))


class Crossing(unittest.TestCase):
    """The size at which the costs of two implementations cross."""

    def test_between(self) -> None:
        """A crossing between two sizes is interpolated linearly."""
        ours, theirs = [(0, 100.0), (100, 100.0)], [(0, 0.0), (100, 400.0)]
        self.assertEqual(breakeven.crossing(ours, theirs), 25)
        self.assertEqual(breakeven.crossing(list(reversed(ours)), theirs), 25)

    def test_ends(self) -> None:
        """The smallest size is returned if the device always costs less, None if it never does."""
        flat, low, high = ([(16, cost), (64, cost)] for cost in (10.0, 5.0, 20.0))
        self.assertEqual(breakeven.crossing(flat, high), 16)
        self.assertIsNone(breakeven.crossing(flat, low))
        self.assertIsNone(breakeven.crossing(flat, flat))

    def test_last(self) -> None:
        """The last of several crossings is returned: the device costs less at all larger sizes."""
        theirs = [(0, 20.0), (10, 0.0), (20, 20.0)]
        self.assertEqual(breakeven.crossing([(0, 10.0), (10, 10.0), (20, 10.0)], theirs), 15)
        self.assertIsNone(breakeven.crossing([(0, 10.0), (10, 10.0)], theirs))

    def test_common(self) -> None:
        """Sizes at which only one implementation was measured are ignored. Without a common size,
        crossing() raises ValueError."""
        ours = [(0, 10.0), (5, 1000.0), (10, 10.0)]
        self.assertEqual(breakeven.crossing(ours, [(0, 0.0), (10, 20.0)]), 5)
        with self.assertRaises(ValueError):
            breakeven.crossing([(1, 1.0)], [(2, 1.0)])


class Texts(unittest.TestCase):
    """The texts about a break-even."""

    def _texts(self, ours: float, theirs: tuple[float, float]) -> str:
        counts = [count("rust", 16, ours), count("rust", 4096, ours),
                  count("cpu", 16, theirs[0]), count("cpu", 4096, theirs[1])]  # fmt: skip
        (one,) = breakeven.all_of(counts)
        return f"{one.text()}. {breakeven.sentence(one)}"

    def test_texts(self) -> None:
        """The texts tell whether the device costs less from a size on, at all sizes or at none."""
        self.assertRegex(self._texts(10, (0, 20)), "^from 2.01 KiB. .*from 2.01 KiB on.$")
        self.assertRegex(self._texts(10, (20, 30)), "^from 16 B or less. .*at every size.$")
        self.assertRegex(self._texts(10, (0, 5)), "^not up to 4 KiB. .*more .*at 4 KiB.$")

    def test_one_size(self) -> None:
        """If only one size was measured, the texts name no size."""
        (one,) = breakeven.all_of([count("rust", 256, 5), count("software", 256, 9)])
        self.assertEqual(one.text(), "pays")
        self.assertNotIn("size", breakeven.sentence(one))

    def test_nothing(self) -> None:
        """There is no break-even without a count of the processor or of portable software."""
        self.assertEqual(breakeven.all_of([count("rust", 16, 1), count("c", 16, 1)]), [])


if __name__ == "__main__":
    unittest.main()
