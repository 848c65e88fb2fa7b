# SPDX-License-Identifier: GPL-2.0
"""Tests of table.py, tables.py, document.py, page.py and files.py:
python3 -m unittest discover -s tools/bench"""

import re
import tempfile
import unittest
from html.parser import HTMLParser
from pathlib import Path, PurePath

from reporting import document, files, page, tables
from reporting.plot import Plot
from reporting.results import (
    Contention, Count, Device, PerRequest, Program, Provenance, Results, Scaling,
)  # fmt: skip
from reporting.table import Table, to_html, to_rst, to_text

PROVENANCE = Provenance("c0ffee", "7.3", "11.0", "made <up>", "tcg", "2020-01-01")
TABLE = Table("t", "A <title>", ["name", "number"], [["a & b", "1"], ["", "22"]])
SVG = '<svg width="1"><path id="x"/><use xlink:href="#x"/><g clip-path="url(#x)"/></svg>\n'
PLOT = Plot("size", "A plot", 'what "it" shows', SVG)


def count(who: str, depth: int, whole: float) -> Count:
    """Returns a count with these values. The other values are arbitrary."""
    device = None if who == "cpu" else "qemu"
    per_request = PerRequest(1, 2, whole, 1, 1, 1, 1, 0, 0)
    return Count("cipher", "cbc(aes)", who, "d", device, 4096, depth, "encrypt", True, 1, 9,
                 per_request, 0.02, {"kmalloc": 12.5, "small": 1.0})  # fmt: skip


FULL = Results(
    1, PROVENANCE, counts=[count("rust", 1, 1234), count("rust", 8, 12.34), count("cpu", 1, 99)],
    programs=[Program("ping", "gcm(aes)", "rust", "d", "ref", 56, 1, 9,
                      PerRequest(1, 2, 50, 3, 4, 5, 6, 7, 8, user=20), 0.5)],
    scaling=[Scaling(1, 1, 8, 1.0), Scaling(2, 2, 8, 1.75)],
    contention=[Contention("cbc(aes)", "rust", "qemu", 4096, 8, 2, 2, 0.25),
                Contention("gcm(aes)", "rust", "ref", 4096, 8, 2, 2, 0)],
    device=[Device("akcipher", "rsa", 256, 1, 1, 10, 2560, 5120, "sign")],
)  # fmt: skip
EMPTY = Results(1, PROVENANCE)


class Tables(unittest.TestCase):
    """Tables and their formats."""

    def test_text(self) -> None:
        """Names are on the left, numbers on the right."""
        self.assertEqual(to_text(TABLE).splitlines()[2:], [
            "name   number", "-----  ------", "a & b       1", "           22",
        ])  # fmt: skip

    def test_rst(self) -> None:
        """A row without a first cell does not continue the one before it."""
        self.assertEqual(to_rst(TABLE).splitlines(), [
            "===== ======", "name  number", "===== ======", "a & b      1", "\\         22",
            "===== ======",
        ])  # fmt: skip

    def test_html(self) -> None:
        """Text from measurements is escaped."""
        text = to_html(TABLE)
        self.assertIn("A &lt;title&gt;", text)
        self.assertIn('<td class="name">a &amp; b</td><td class="number">1</td>', text)

    def test_number(self) -> None:
        """Numbers are rounded to significant digits."""
        for value, text in ((None, ""), (0.0, "0"), (0.135, "0.14"), (2.0, "2"), (12.34, "12.3"),
                            (999.6, "1,000"), (1234567.0, "1,234,567")):  # fmt: skip
            with self.subTest(value=value):
                self.assertEqual(tables.number(value), text)

    def test_summary(self) -> None:
        """Each measured implementation has a column, and each depth of this driver has a row."""
        made = tables.summary(FULL)
        assert made
        self.assertEqual(made.head, ["algorithm", "bytes", "depth", "this driver", "processor"])
        self.assertEqual(made.rows, [["cbc(aes)", "4096", "1", "1,234", "99"],
                                     ["cbc(aes)", "4096", "8", "12.3", "99"]])  # fmt: skip

    def test_functions(self) -> None:
        """Functions are sorted by their costs."""
        made = tables.functions(FULL)
        assert made
        self.assertEqual(made.rows, [["kmalloc", "12.5", "12.5"], ["small", "1", "1"]])

    def test_programs(self) -> None:
        """The instructions of the program are not counted as the kernel's."""
        made = tables.programs(FULL)
        assert made
        self.assertEqual(made.rows, [["ping", "gcm(aes)", "this driver", "56", "1", "1", "30", "20",
                                      "3", "4", "7", "5", "50.0 %"]])  # fmt: skip

    def test_scaling(self) -> None:
        """There is a row for each guest that ran, and no table without guests."""
        made = tables.scaling(FULL)
        assert made
        self.assertEqual(made.rows, [["1", "1", "8", "1.00"], ["2", "2", "8", "1.75"]])
        self.assertIsNone(tables.scaling(EMPTY))

    def test_contention(self) -> None:
        """The atomic instructions are those of the same setting, if it was counted."""
        made = tables.contention(FULL)
        assert made
        self.assertEqual([row[-2:] for row in made.rows], [["0", "0.2500"], ["", "0.0000"]])
        self.assertIsNone(tables.contention(EMPTY))

    def test_device(self) -> None:
        """A signature is named with its direction."""
        made = tables.device(FULL)
        assert made
        self.assertEqual(made.rows[0][0], "rsa, sign")
        self.assertEqual(made.rows[0][-1], "50 %")

    def test_shape(self) -> None:
        """Each row has as many cells as the head. Without measurements there is no table."""
        for make in (*tables.ALL, tables.device_short):
            with self.subTest(make=make.__name__):
                made = make(FULL)
                for row in made.rows if made else []:
                    self.assertEqual(len(row), len(made.head) if made else 0)
                if make is not tables.provenance:
                    self.assertIsNone(make(EMPTY))
                    self.assertIn("not measured", tables.missing(make))


class Documents(unittest.TestCase):
    """Generated parts of documents."""

    def test_renew(self) -> None:
        """Only text between the marks is replaced. Replacing it again changes nothing."""
        text = "a\n\n.. begin: one\nold\n.. end: one\n\nb\n<!-- begin: two -->\n<!-- end: two -->\n"
        expected = ("a\n\n.. begin: one\n\n1\\1\n\n.. end: one\n\nb\n"
                    "<!-- begin: two -->\n\n2\n\n<!-- end: two -->\n")  # fmt: skip
        made = {"one": "1\\1\n", "two": "2\n"}
        self.assertEqual(document.renew(text, made), expected)
        self.assertEqual(document.renew(expected, made), expected)

    def test_bad(self) -> None:
        """Marks without a counterpart and unknown names are errors."""
        for text, words in (
            ("text", "no part"),
            (".. begin: one\n.. end: two\n", "no part"),
            (".. begin: one\n.. end: one\n.. begin: one\n", "no counterpart"),
            (".. begin: other\n.. end: other\n", "'other'"),
        ):
            with self.subTest(text=text), self.assertRaisesRegex(document.BadDocument, words):
                document.renew(text, {"one": ""})

    def test_parts(self) -> None:
        """All parts exist, also without measurements."""
        full = document.parts(FULL, [PLOT], PurePath("folder"))
        empty = document.parts(EMPTY, [], PurePath("folder"))
        self.assertIn("folder/size.svg", full["size"])
        self.assertEqual(set(full), set(empty))
        for name in set(empty) - {"of", "noise"}:
            with self.subTest(name=name):
                self.assertIn("not measured", empty[name])

    def test_documents(self) -> None:
        """The marks in the project's documents are valid."""
        made = document.parts(EMPTY, [], PurePath("performance"))
        top = Path(__file__).resolve().parents[2]
        for name in ("Documentation/performance.rst", "README.md"):
            text = top.joinpath(name).read_text(encoding="utf-8")
            self.assertIn("begin: ", document.renew(text, made))

    def test_report(self) -> None:
        """A report refers to its pictures. A report without measurements has no pictures."""
        self.assertIn("Guest instructions: not measured.", document.report(EMPTY, []))
        self.assertIn(".. figure:: size.svg", document.report(FULL, [PLOT]))


class Balanced(HTMLParser):
    """Records open elements, wrong end tags, references to other files, and identifiers."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.external: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called at the start of an element."""
        if tag not in ("meta", "path", "use"):
            self.open.append(tag)
        self.names += [value or "" for name, value in attrs if name == "id"]
        links = [value or "" for name, value in attrs if name in ("src", "href")]
        self.external += [link for link in links if not link.startswith("#")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for an empty element."""
        self.names += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        """Called at the end of an element."""
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


class Page(unittest.TestCase):
    """report.html"""

    def test_page(self) -> None:
        """All elements are closed, the page loads no other file, and identifiers are unique."""
        for results in (FULL, EMPTY):
            parser = Balanced()
            second = Plot("q", "B", "b", PLOT.svg)
            text = page.render(results, [PLOT, second])
            parser.feed(text)
            self.assertEqual((parser.open, parser.wrong, parser.external), ([], [], []))
            self.assertEqual(len(parser.names), len(set(parser.names)))
            self.assertIn('aria-label="what &quot;it&quot; shows"', text)
            for name in re.findall(r'(?:href="|url\()#([\w-]+)', text):
                self.assertIn(name, parser.names)


class Files(unittest.TestCase):
    """write() writes all files or none."""

    def test_all(self) -> None:
        """All files are written, and no temporary file is left."""
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, "new/a"), Path(folder, "new/b")]
            files.write(dict.fromkeys(paths, "text"))
            self.assertEqual(sorted(paths[0].parent.iterdir()), paths)
            self.assertEqual(paths[1].read_text(encoding="utf-8"), "text")

    def test_none(self) -> None:
        """If one file cannot be written, no file is changed."""
        with tempfile.TemporaryDirectory() as folder:
            old = Path(folder, "old")
            old.write_text("old", encoding="utf-8")
            with self.assertRaises(OSError):
                files.write({old: "new", old / "below-a-file": "new"})
            self.assertEqual(old.read_text(encoding="utf-8"), "old")
            self.assertEqual(list(Path(folder).iterdir()), [old])


if __name__ == "__main__":
    unittest.main()
