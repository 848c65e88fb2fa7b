# SPDX-License-Identifier: GPL-2.0
"""Tests of mutate: python3 -m unittest discover -s tools/tests/mutate"""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import candidates
import mutants
import scratch
from candidates import DRIVER, Mutation

SOURCE = """// SPDX-License-Identifier: GPL-2.0
fn f(a: u32, b: u32) -> bool {
    // wipe(a);
    if a < b {
        wipe(a);
    }
    self.flag = true;
    a == b
}

#[kernel::macros::kunit_tests(x)]
mod tests {
    fn g() {
        wipe(a);
    }
}
"""


def mutations(line: str, before: str = "{", after: str = "}") -> dict[str, list[str]]:
    """Returns the new texts of a line by kind."""
    found: dict[str, list[str]] = {}
    for kind, text in candidates.mutate_line(f"    {line}", before, after):
        found.setdefault(kind, []).append(text.strip())
    return found


class Lines(unittest.TestCase):
    """Mutations of one line."""

    def test_condition(self) -> None:
        """A condition is negated, its operator changed, its bound shifted."""
        found = mutations("if c && a <= b {")
        self.assertEqual(found["condition"], ["if (c && a <= b) != mutant() {"])
        self.assertEqual(
            found["operator"], ["if (if mutant() { c || a <= b } else { c && a <= b }) {"]
        )
        self.assertEqual(found["bound"], ["if c && ((a <= b) != (mutant() && a == b)) {"])

    def test_tail(self) -> None:
        """A comparison is mutated only if it is the result of a function."""
        self.assertIn("condition", mutations("self.a & 1 != 0"))
        self.assertEqual(mutations("a == b", "        x", "}"), {})

    def test_call(self) -> None:
        """A call is left out. Its kind depends on the called function."""
        for call, kind in {
            "unsafe { helpers::memzero_explicit(at, N) };": "wipe",
            "locked.into_kick().notify();": "kick",
            "rcu::rcu_barrier();": "barrier",
            "self.add(one)?;": "call",
        }.items():
            self.assertEqual(mutations(call)[kind], [f"if !mutant() {{ {call} }}"])

    def test_arguments(self) -> None:
        """Two arguments are swapped, unless their types must differ."""
        self.assertEqual(
            mutations("let x = f(a, b);")["arguments"],
            ["let x = (if mutant() { f(b, a) } else { f(a, b) });"],
        )
        self.assertEqual(mutations("let x = new(a, GFP_KERNEL)?;"), {})

    def test_step(self) -> None:
        """A step of one becomes 0."""
        self.assertEqual(
            mutations("let x = a + 1;")["bound"], ["let x = a + (if mutant() { 0 } else { 1 });"]
        )
        self.assertEqual(mutations("let x = a + 10;"), {})

    def test_left_out(self) -> None:
        """Comments, attributes, assertions and log messages are not mutated."""
        for line in (
            "// wipe(a);",
            "#[derive(X)]",
            "assert!(a < b);",
            'dev_err!(d, "x");',
            "fn f(a, b) -> X {",
            "kernel::static_assert!(a <= b);",
        ):
            self.assertEqual(mutations(line), {}, line)


class Trees(unittest.TestCase):
    """Mutations of a driver."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Path(folder.name)
        (self.tree / DRIVER / "wire").mkdir(parents=True)
        (self.tree / DRIVER / "wire/a.rs").write_text(SOURCE)
        (self.tree / DRIVER / "virtio_crypto.rs").write_text("    params: {\n    },\n")

    def test_candidates(self) -> None:
        """Mutations are in the code, and not in tests."""
        found = candidates.candidates(self.tree / DRIVER)
        self.assertEqual(
            sorted((one.kind, one.before) for one in found),
            [
                ("condition", "a == b"),
                ("condition", "if a < b {"),
                ("flag", "self.flag = true;"),
                ("wipe", "wipe(a);"),
            ],
        )

    def test_choose(self) -> None:
        """A seed always chooses the same mutations, at most one for each line."""
        found = candidates.candidates(self.tree / DRIVER)
        chosen = candidates.choose(found, 100, 7)
        self.assertEqual(chosen, candidates.choose(found, 100, 7))
        self.assertEqual(len({one.before for one in chosen}), len(chosen))

    def test_apply(self) -> None:
        """A mutation changes its own line. A stale one changes nothing. Errors are found by their
        line."""
        mutations = {
            1: Mutation("wire/a.rs", 1, "wipe(a);", "if !mutant() { wipe(a); }", "wipe"),
            2: Mutation("wire/a.rs", 1, "gone();", "if !mutant() { gone(); }", "call"),
            3: Mutation("wire/b.rs", 1, "gone();", "if !mutant() { gone(); }", "call"),
        }
        self.assertEqual(scratch.apply(self.tree, mutations), [2, 3])
        text = (self.tree / DRIVER / "wire/a.rs").read_text()
        self.assertEqual(
            text,
            SOURCE.replace(
                "    wipe(a);\n    }\n    self",
                "    if !crate::mutant(1) { wipe(a); }\n    }\n    self",
            ),
        )
        root = (self.tree / DRIVER / "virtio_crypto.rs").read_text()
        self.assertIn("mutant: u32", root)
        self.assertIn("[AtomicBool; 4]", root)
        for line in (5, 7):
            log = f"warning: x\n --> {DRIVER}/wire/a.rs:5:1\n\nerror: y\n --> /x/{DRIVER}/wire/a.rs:{line}:9\n"
            self.assertEqual(scratch.rejected(self.tree, log, mutations), {1})


class Results(unittest.TestCase):
    """Remaining mutations, and results."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.list, self.rejected, self.results, self.reached = (
            Path(folder.name) / name for name in ("list", "rejected", "results", "reached")
        )
        lines = [f"{number}\tcall\ta.rs\t1\tf();\tg();" for number in range(1, 7)]
        self.list.write_text("# a comment\n" + "\n".join(lines) + "\n")
        self.rejected.write_text("2\n")
        self.results.write_text(
            "1\tkunit\tnoticed\tnot ok\n3\tkunit\tsurvived\t\n3\tstress\tnoticed\tlost\n"
            "4\tkunit\tsurvived\t\n5\treading\tequivalent\tsymmetric\n"
        )

    def printed(self, command: str, *arguments: str) -> str:
        """Returns what a command prints."""
        files = [str(self.list), str(self.rejected), str(self.results)]
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            mutants.COMMANDS[command](*files, *arguments)
        return out.getvalue()

    def test_todo(self) -> None:
        """A stage tests mutations that were not detected, that it has not tested, and that it
        reaches."""
        self.assertEqual(self.printed("todo", "kunit"), "6\n")
        self.assertEqual(self.printed("todo", "stress"), "4 6\n")
        self.reached.write_text("4\n5\n")
        self.assertEqual(self.printed("todo", "stress", str(self.reached)), "4\n")

    def test_table(self) -> None:
        """Each mutation has a result, and the results are counted."""
        table = self.printed("table")
        outcomes = [line.split("\t")[-1] for line in table.splitlines() if line[0] != "#"]
        self.assertEqual(
            outcomes,
            [
                "noticed by kunit: not ok",
                "does not build",
                "noticed by stress: lost",
                "survived kunit",
                "equivalent: symmetric",
                "not reached",
            ],
        )
        self.assertIn("# 1 noticed by kunit\n# 1 noticed by stress\n", table)


if __name__ == "__main__":
    unittest.main()
