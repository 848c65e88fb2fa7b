# SPDX-License-Identifier: GPL-2.0
"""Tests of guard.py: python3 -m unittest discover -s tools/bench"""

import unittest

from counts import Unusable
from guard import fit


def rounds(request: float, *ran: tuple[float, float]) -> list[dict[str, float]]:
    """Returns rounds in which a run costs 200 instructions and an interrupt costs 30. `ran` has the
    runs and interrupts per request of each round."""
    return [
        {"runs": runs, "interrupts": interrupts, "core": request + 200 * runs + 30 * interrupts}
        for runs, interrupts in ran
    ]


class Fit(unittest.TestCase):
    """The costs of runs and interrupts."""

    def test_separate(self) -> None:
        """Both costs are determined if settings differ in the cost of a request."""
        run, interrupt = fit(
            [rounds(1000, (1, 1), (0.2, 0.1), (0.5, 0.1)), rounds(500, (1, 0.5), (0.1, 0.1))],
            "core",
        )
        self.assertAlmostEqual(run, 200)
        self.assertAlmostEqual(interrupt, 30)

    def test_together(self) -> None:
        """If each run has one interrupt, the run gets the costs of both."""
        run, interrupt = fit([rounds(1000, (1, 1), (0.125, 0.125), (0.11, 0.1101))], "core")
        self.assertAlmostEqual(run, 230, delta=0.1)
        self.assertEqual(interrupt, 0)

    def test_constant(self) -> None:
        """If all rounds have the same number of interrupts, an interrupt costs nothing."""
        self.assertEqual(fit([rounds(1000, (1, 1), (0.5, 1))], "core")[1], 0)

    def test_always(self) -> None:
        """If all rounds have the same number of runs, the cost of a run cannot be determined."""
        with self.assertRaisesRegex(Unusable, "the same number of runs"):
            fit([rounds(1000, (1, 1), (1, 1))], "core")


if __name__ == "__main__":
    unittest.main()
