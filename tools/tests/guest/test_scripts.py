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

    def test_parsed_script_has_the_same_text(self) -> None:
        text = "fault delay:value=5:queue=0:count=1\nstart rsa-virtio 3\nevent rebind\n"
        script = Script.parse(text)
        self.assertEqual(str(script), text)
        self.assertEqual(script.faults, ("delay",))
        self.assertTrue(script.restarts_device)
        self.assertFalse(script.may_corrupt)
        self.assertTrue(Script.parse("fault overwrite:value=0\n").may_corrupt)
        self.assertFalse(Script.parse("event volume\n").restarts_device)

    def test_invalid_lines_are_rejected(self) -> None:
        for line in ("fault crash", "fault", "event", "event die", "load x", "load x -1", "stop x 1",
                     "load x 1 text", "nomem both 0 1", "nomem data 1"):  # fmt: skip
            with self.assertRaises(Malformed, msg=line):
                Script.parse(line)

    def test_load_lines_are_parsed(self) -> None:
        plain = Load.parse("load rsa-virtio 3")
        self.assertEqual(plain, Load("rsa-virtio", 3, True, None, 0))
        full = Load.parse("start rsa-virtio 40 nobacklog out-of-place text=16")
        self.assertEqual(full, Load("rsa-virtio", 40, False, False, 16))
        self.assertTrue(Load.parse("load rsa-virtio 1 in-place").in_place)


class Makers(unittest.TestCase):
    """Generated scripts."""

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

    def test_mutations_are_valid_and_differ(self) -> None:
        script = first = next(iter(self.maker.seeds()))
        changed = 0
        for _ in range(2000):
            mutant = self.maker.mutate(script, first)
            self.assertEqual(Script.parse(str(mutant)), mutant)
            self.assertTrue(1 <= len(mutant.lines) <= scripts.MAX_LINES)
            changed += mutant != script
            script = mutant
        self.assertGreater(changed, 1500)

    def test_equal_seeds_generate_equal_scripts(self) -> None:
        same_seed = Maker(random.Random(1), DRIVERS)
        self.assertEqual(list(self.maker.seeds()), list(same_seed.seeds()))

    def test_counted_faults_have_a_count(self) -> None:
        for name, kind in scripts.KINDS.items():
            for _ in range(50):
                line = scripts.fault(self.chance, name)
                if kind.counted:
                    self.assertRegex(line, r"count=\d+$")

    def test_wrong_ids_are_beyond_the_ring(self) -> None:
        for _ in range(200):
            line = scripts.fault(self.chance, "wrong-id")
            self.assertGreaterEqual(int(line.split("value=")[1].split(":")[0]), scripts.RING)

    def test_mutation_can_change_the_parameters_of_a_line(self) -> None:
        script = Script(("load cbc-aes-virtio 5",))
        loads = [self.maker.mutate(script, script) for _ in range(300)]
        counts = {mutant.lines[0] for mutant in loads if len(mutant.lines) == 1}
        self.assertGreater(len([line for line in counts if line.startswith("load cbc")]), 10)


if __name__ == "__main__":
    unittest.main()
