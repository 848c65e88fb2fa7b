# SPDX-License-Identifier: GPL-2.0
"""Tests of programs.py, counted_programs.py and loads:
python3 -m unittest discover -s tools/bench"""

import dataclasses
import json
import tempfile
import unittest
from pathlib import Path

import counted_programs
import programs
from counts import Function, Total, Unusable
from loads.gates import Gates
from loads.load import Unable, need_programs, output
from loads.mark import Marks
from programs import Program

ONE = Program("fio-write", "xts(aes)", "rust", 4096, 8, 10, 100)
KALLSYMS = """\
ffffffff81000000 T first
ffffffff81001000 T vp_notify
ffffffffc0000000 t submit\t[virtio_crypto_rs]
ffffffffc0001000 t other\t[other]
"""


def counted(number: int, *blocks: tuple[int, int, int]) -> str:
    """Returns a measurement in the plugin's format."""
    lines = [f"{address:x} {length} 0 {times}" for address, length, times in blocks]
    return "\n".join([f"begin {number}", *lines, "end", ""])


def write_guest(
    folder: str, program: Program, instructions: int, requests: tuple[int, int] = (10, 110)
) -> Path:
    """Writes the files of a guest in which one program was measured in two rounds. The driver
    executes ``instructions`` in a request."""
    text = ""
    for mark in (1, 3):
        for number, times in zip((mark, mark + 1), requests):
            text += counted(
                number, (0xFFFFFFFF81000000, 7, 1000), (0xFFFFFFFFC0000000, instructions, times),
                (0xFFFFFFFF81001000, 1, times), (0x401000, 50, 2 * times),
            )  # fmt: skip
    measured = {"program": dataclasses.asdict(program), "mark": 1, "driver": "d",
                "modules": ["virtio_crypto_rs"], "requests": [requests] * 2}  # fmt: skip
    path = Path(folder)
    path.joinpath("kallsyms").write_text(KALLSYMS)
    path.joinpath("counts").write_text(text)
    path.joinpath("measured.json").write_text(json.dumps({"programs": [measured]}))
    return path


class Counted(unittest.TestCase):
    """The evaluation of the plugin's counts."""

    def test_difference(self) -> None:
        """Functions that occur in only one of the measurements are counted, too."""
        one, two = Function("one", "kernel"), Function("two", "kernel")
        found = counted_programs.difference({one: Total(9, 3, 2)}, {one: Total(4), two: Total(1)})
        self.assertEqual(found[one], Total(5, 3, 2))
        self.assertEqual(found[two], Total(-1, 0, 0))

    def test_costs(self) -> None:
        """Instructions that both runs execute once are not part of a request's costs."""
        with tempfile.TemporaryDirectory() as folder:
            (found,) = counted_programs.results(write_guest(folder, ONE, 600))
        costs = found["per_request"]
        assert isinstance(costs, dict)
        self.assertEqual((costs["module"], costs["user"], costs["whole"]), (600, 100, 701))
        self.assertEqual((costs["notifications"], found["requests"]), (1, 100))
        self.assertEqual((found["noise"], found["device"], found["driver"]), (0, "ref", "d"))

    def test_rejected(self) -> None:
        """Counts are rejected if the wrong driver ran, or if the long run was not longer."""
        other = dataclasses.replace(ONE, who="cpu")
        for program, instructions, requests, words in (
            (ONE, 20, (10, 110), "executed 2000 instructions for 100 requests"),
            (other, 600, (10, 110), "executed 60000 instructions"),
            (ONE, 600, (10, 10), "as few requests"),
        ):
            with self.subTest(words=words), tempfile.TemporaryDirectory() as folder:
                with self.assertRaisesRegex(Unusable, words):
                    guest = write_guest(folder, program, instructions, requests)
                    list(counted_programs.results(guest))

    def test_incomplete(self) -> None:
        """A measurement without an end is rejected."""
        with tempfile.TemporaryDirectory() as folder:
            path = write_guest(folder, ONE, 600)
            text = (path / "counts").read_text().removesuffix("end\n")
            (path / "counts").write_text(text)
            with self.assertRaisesRegex(Unusable, "fio-write.*no complete measurement"):
                list(counted_programs.results(path))


class Modes(unittest.TestCase):
    """The programs of each mode."""

    def test_modes(self) -> None:
        """Each mode includes the programs of the shorter mode, without duplicates. Every program
        has a driver and a reference."""
        quick, usual, long = (
            [one for boot in programs.boots(mode) for one in programs.in_boot(boot)]
            for mode in ("quick", "usual", "long")
        )
        self.assertLess(set(quick), set(usual))
        self.assertLess(set(usual), set(long))
        self.assertEqual(len(long), len(set(long)))
        self.assertTrue(all(one.driver and one.reference for one in long))
        self.assertEqual(programs.boots("guard"), [])

    def test_steps(self) -> None:
        """Each program is a step of the progress."""
        (boot,) = programs.boots("quick")
        self.assertEqual(boot.steps, len(programs.in_boot(boot)))
        self.assertTrue(boot.is_counted)


class Loads(unittest.TestCase):
    """The helpers that run and mark programs."""

    def test_marks(self) -> None:
        """Marks can be executed, and have no effect."""
        marks = Marks()
        marks.begin(1)
        marks.end(1)

    def test_missing(self) -> None:
        """The error names missing programs, or has the output of a program that failed."""
        need_programs("sh")
        with self.assertRaisesRegex(Unable, "has no no-such, none-such"):
            need_programs("no-such", "sh", "none-such")
        with self.assertRaisesRegex(Unable, "sh .*status 4: why"):
            output("sh", "-c", "echo why >&2; exit 4")

    def test_gates(self) -> None:
        """A program stops at each gate until its function has returned."""
        with tempfile.NamedTemporaryFile() as file:
            seen: list[str] = []

            def read_file() -> None:
                seen.append(Path(file.name).read_text())

            with Gates(read_file, read_file) as gates:
                script = (f"echo 1 >{file.name}; {gates.command(0)}; echo 2 >{file.name}; "
                          f"{gates.command(1)}; echo said; echo 3 >{file.name}")  # fmt: skip
                self.assertEqual(gates.run("sh", "-c", script), "said\n")
            self.assertEqual(seen, ["1\n", "2\n"])

    def test_gates_fail(self) -> None:
        """The error has the output of a program that ends before a gate, or fails after it."""
        for gate, words in ((False, "too early, status 3: why"), (True, "status 3: why")):
            with self.subTest(gate=gate), Gates(lambda: None) as gates:
                before = gates.command(0) if gate else ":"
                with self.assertRaisesRegex(Unable, words):
                    gates.run("sh", "-c", f"{before}; echo why; exit 3")


if __name__ == "__main__":
    unittest.main()
