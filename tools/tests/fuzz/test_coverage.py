#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Tests of coverage.py."""

import tempfile
import unittest
from pathlib import Path

import coverage
from coverage import Lines, Row

# Shortened output of llvm-dwarfdump.
DUMP = """\
debug_line[0x00000000]
include_directories[  1] = "/project/drivers/crypto/virtio_rs/virtio"
file_names[  1]:
           name: "queue.rs"
      dir_index: 1
Address            Line   Column File   ISA Discriminator OpIndex Flags
------------------ ------ ------ ------ --- ------------- ------- -------------
0x0000000010000000     10      1      1   0             0       0  is_stmt
0x0000000010000004     11      5      1   0             0       0  is_stmt prologue_end
0x0000000010000004     12      5      1   0             0       0
0x0000000010000009      7      5      2   0             0       0  is_stmt
0x0000000010000010     10      9      1   0             0       0  is_stmt end_sequence
debug_line[0x00000100]
0x0000000010000020      3      1      1   0             0       0  is_stmt
0x0000000010000022      3      1      1   0             0       0  is_stmt end_sequence
""".splitlines()
QUEUE = "/project/drivers/crypto/virtio_rs/virtio/queue.rs"
# Output of llvm-symbolizer.
FRAMES = f"""\
{QUEUE}:10:1

/rust/core/src/option.rs:7:5
{QUEUE}:0:0
{QUEUE}:12:3

??:0:0

""".splitlines()


class Decoding(unittest.TestCase):
    """Output of the LLVM programs."""

    def test_code_range_ends_at_the_next_range(self) -> None:
        self.assertEqual(
            list(coverage.code_ranges(DUMP)),
            [(0x10000000, 4), (0x10000004, 5), (0x10000009, 7), (0x10000020, 2)],
        )

    def test_inlined_code_has_several_lines(self) -> None:
        option = ("/rust/core/src/option.rs", 7)
        self.assertEqual(
            list(coverage.lines_of(FRAMES)),
            [[(QUEUE, 10)], [option, (QUEUE, 0), (QUEUE, 12)], [("??", 0)]],
        )


class Evaluation(unittest.TestCase):
    """Reached lines."""

    ROWS = (
        Row(0, 4, QUEUE, 10),
        Row(4, 4, QUEUE, 12),
        Row(8, 4, QUEUE, 10),
        Row(16, 4, QUEUE.replace("queue", "queue/tests"), 5),
        Row(20, 4, "/rust/core/src/option.rs", 5),
        Row(24, 4, "drivers/crypto/virtio_rs/wire.rs", 5),
    )

    def test_line_is_reached_if_any_of_its_code_was_executed(self) -> None:
        run = bytearray(28)
        run[9] = 1
        files = coverage.evaluate(self.ROWS, [bytes(run)])
        self.assertEqual(list(files), ["virtio/queue.rs", "wire.rs"])
        self.assertEqual(files["virtio/queue.rs"], Lines({10, 12}, {10}))
        self.assertEqual(files["wire.rs"], Lines({5}, set()))

    def test_runs_are_combined(self) -> None:
        first, second = bytearray(28), bytearray(28)
        first[0] = second[4] = 1
        files = coverage.evaluate(self.ROWS, [bytes(first), bytes(second)])
        self.assertEqual(files["virtio/queue.rs"].percent, 100)

    def test_totals_keep_files_apart(self) -> None:
        files = {
            "virtio/a.rs": Lines({1, 2}, {1}),
            "virtio/b.rs": Lines({1, 2}, {2}),
            "transport/a.rs": Lines({1}, {1}),
            "driver.rs": Lines({1}, set()),
        }
        parts = coverage.layers(files)
        self.assertEqual((len(parts["virtio"].all), parts["virtio"].percent), (4, 50))
        self.assertEqual(parts["transport/"].percent, 100)
        self.assertEqual((len(parts["all"].all), parts["all"].percent), (6, 50))
        self.assertIn("virtio/a.rs", next(coverage.table(files)))
        self.assertEqual(coverage.as_json(files)["driver.rs"], {"lines": 1, "reached": 0})

    def test_folder_without_executed_code_is_rejected(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "address").write_text("16\n")
            (folder / "cover").write_bytes(bytes(16) + b"\0\1\0\0")
            self.assertEqual(coverage.covered(folder, 4), b"\0\1\0\0")
            for length in (1, 5):
                with self.assertRaises(coverage.Unusable):
                    coverage.covered(folder, length)

    def test_consecutive_lines_are_ranges(self) -> None:
        self.assertEqual(coverage.ranges({5, 1, 2, 3, 9}), "1-3, 5, 9")
        self.assertEqual(coverage.ranges(set()), "")

    def test_limited_layers_exist(self) -> None:
        source = Path(__file__).resolve().parents[3] / coverage.SOURCE
        for prefixes in coverage.LIMITED_LAYERS.values():
            for prefix in prefixes:
                self.assertTrue((source / prefix).exists(), prefix)


if __name__ == "__main__":
    unittest.main()
