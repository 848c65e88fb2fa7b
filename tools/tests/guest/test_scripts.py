#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Tests of lib/scripts.py."""

import random
import unittest

from lib import scripts
from lib.scripts import Load, Maker, Malformed, Script

DRIVERS = ("cbc-aes-virtio", "rsa-virtio")


class Texts(unittest.TestCase):
    """Scripts as text."""

    def test_a_script_is_read_as_it_was_written(self) -> None:
        text = "fault delay:value=5:queue=0:count=1\nstart rsa-virtio 3\nevent rebind\n"
        script = Script.parse(text)
        self.assertEqual(str(script), text)
        self.assertEqual(script.faults, ("delay",))
        self.assertTrue(script.starts)
        self.assertFalse(script.may_lie)
        self.assertTrue(Script.parse("fault overwrite:value=0\n").may_lie)
        self.assertFalse(Script.parse("event volume\n").starts)

    def test_other_lines_are_not_taken(self) -> None:
        for line in ("fault crash", "fault", "event", "event die", "load x", "load x -1", "stop x 1",
                     "load x 1 text", "nomem both 0 1", "nomem data 1"):  # fmt: skip
            with self.assertRaises(Malformed, msg=line):
                Script.parse(line)

    def test_loads_say_what_is_asked_for(self) -> None:
        plain = Load.parse("load rsa-virtio 3")
        self.assertEqual(plain, Load("rsa-virtio", 3, True, None, 0))
        full = Load.parse("start rsa-virtio 40 nobacklog out-of-place text=16")
        self.assertEqual(full, Load("rsa-virtio", 40, False, False, 16))
        self.assertTrue(Load.parse("load rsa-virtio 1 in-place").in_place)


class Makers(unittest.TestCase):
    """Scripts that are made by chance."""

    def setUp(self) -> None:
        self.chance = random.Random(1)
        self.maker = Maker(self.chance, DRIVERS)

    def test_seeds_have_all_faults_and_events(self) -> None:
        seeds = list(self.maker.seeds())
        faults = {name for seed in seeds for name in seed.faults}
        self.assertEqual(faults, set(scripts.KINDS))
        lines = {line for seed in seeds for line in seed.lines}
        for event in scripts.EVENTS:
            self.assertIn(f"event {event}", lines)
        for seed in seeds:
            self.assertEqual(Script.parse(str(seed)), seed)

    def test_mutations_are_scripts_and_differ(self) -> None:
        script = first = next(iter(self.maker.seeds()))
        changed = 0
        for _ in range(2000):
            mutant = self.maker.mutate(script, first)
            self.assertEqual(Script.parse(str(mutant)), mutant)
            self.assertTrue(1 <= len(mutant.lines) <= scripts.MOST_LINES)
            changed += mutant != script
            script = mutant
        self.assertGreater(changed, 1500)

    def test_the_same_seed_makes_the_same_scripts(self) -> None:
        again = Maker(random.Random(1), DRIVERS)
        self.assertEqual(list(self.maker.seeds()), list(again.seeds()))

    def test_no_fault_lasts_for_ever_that_the_kernel_waits_for(self) -> None:
        for name, kind in scripts.KINDS.items():
            for _ in range(50):
                line = scripts.fault(self.chance, name)
                if kind.counted:
                    self.assertRegex(line, r"count=\d+$")

    def test_no_number_in_the_used_ring_is_that_of_another_request(self) -> None:
        for _ in range(200):
            line = scripts.fault(self.chance, "wrong-id")
            self.assertGreaterEqual(int(line.split("value=")[1].split(":")[0]), scripts.RING)

    def test_lines_are_tweaked_within_their_kind(self) -> None:
        script = Script(("load cbc-aes-virtio 5",))
        loads = [self.maker.mutate(script, script) for _ in range(300)]
        counts = {mutant.lines[0] for mutant in loads if len(mutant.lines) == 1}
        self.assertGreater(len([one for one in counts if one.startswith("load cbc")]), 10)


if __name__ == "__main__":
    unittest.main()
