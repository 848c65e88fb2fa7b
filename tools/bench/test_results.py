# SPDX-License-Identifier: GPL-2.0
"""Tests of results.py: python3 -m unittest discover -s tools/bench"""

import copy
import json
import math
import tempfile
import unittest
from pathlib import Path
from typing import Any

from reporting import results

PER_REQUEST = dict.fromkeys(
    ("module", "core", "whole", "notifications", "interrupts", "allocations", "frees", "switches",
     "atomics"), 1.5,
)  # fmt: skip

GOOD: dict[str, Any] = {
    "format": 1,
    "of": {"commit": "c", "kernel": "k", "qemu": "q", "processor": "p", "accelerator": "tcg",
           "date": "2020-02-29"},
    "counts": [{
        "service": "cipher", "algorithm": "cbc(aes)", "who": "rust", "driver": "cbc-aes-virtio",
        "device": None, "size": 16, "depth": 1, "direction": "encrypt", "in_place": True,
        "segments": 1, "requests": 10, "per_request": PER_REQUEST, "noise": 0,
        "functions": {"kmalloc": 7},
    }],
    "programs": [{
        "program": "ping", "algorithm": "gcm(aes)", "who": "cpu", "driver": "d", "device": None,
        "size": 56, "depth": 1, "requests": 10, "per_request": PER_REQUEST | {"user": 1},
        "noise": 0.1,
    }],
    "scaling": [{"processors": 2, "queues": 2, "host_processors": 8, "relative": 1.5}],
    "contention": [{
        "algorithm": "cbc(aes)", "who": "rust", "device": "ref", "size": 4096, "depth": 8,
        "processors": 2, "queues": 2, "lock_spins": 0,
    }],
}  # fmt: skip


class Good(unittest.TestCase):
    """Files that can be read."""

    def test_values(self) -> None:
        """All values are read. Integers are accepted as numbers, and missing lists are empty."""
        read = results.parse(json.dumps(GOOD))
        self.assertEqual(read.of.kernel, "k")
        self.assertEqual(read.counts[0].per_request.core, 1.5)
        self.assertEqual(read.counts[0].functions, {"kmalloc": 7.0})
        self.assertIsNone(read.counts[0].device)
        self.assertEqual(read.scaling[0].relative, 1.5)
        self.assertEqual(read.contention[0].lock_spins, 0)
        self.assertEqual(read.programs[0].per_request.user, 1)
        self.assertEqual(read.counts[0].per_request.user, 0)
        self.assertEqual((read.times, read.device), ([], []))

    def test_more_keys(self) -> None:
        """Unknown keys are ignored."""
        self.assertEqual(results.parse(json.dumps(GOOD | {"more": 1})).of.qemu, "q")


class Bad(unittest.TestCase):
    """Files that are rejected, and words that the error contains."""

    def _reject(self, text: str, *words: str) -> None:
        with self.assertRaises(results.BadResults) as caught:
            results.parse(text)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def _changed(self, *path: str | int, value: object = None, remove: bool = False) -> str:
        changed: Any = copy.deepcopy(GOOD)
        inner = changed
        for step in path[:-1]:
            inner = inner[step]
        if remove:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value
        return json.dumps(changed)

    def test_text(self) -> None:
        """Text that is not JSON and JSON that is not an object are rejected."""
        self._reject("", "not JSON")
        self._reject("{", "not JSON")
        self._reject("[]", "not an object")

    def test_format(self) -> None:
        """Another format and a missing format are rejected."""
        for value in (2, "1", None):
            self._reject(self._changed("format", value=value), "format", repr(value))
        self._reject(self._changed("format", remove=True), "format")

    def test_missing(self) -> None:
        """The error names a missing key with its path."""
        self._reject(self._changed("of", remove=True), "of is missing")
        self._reject(self._changed("counts", 0, "size", remove=True), "counts[0].size is missing")
        for key in PER_REQUEST:
            path = ("counts", 0, "per_request", key)
            self._reject(self._changed(*path, remove=True), f"counts[0].per_request.{key}")

    def test_values(self) -> None:
        """Values of the wrong type or out of range are rejected."""
        for key, value in (
            ("size", "16"), ("size", True), ("size", 1.5), ("size", 0), ("depth", -1),
            ("requests", 0), ("who", "unknown"), ("service", "ciphers"), ("in_place", 1),
            ("noise", -0.1), ("noise", None), ("functions", []), ("functions", {"f": "1"}),
        ):  # fmt: skip
            with self.subTest(key=key, value=value):
                self._reject(self._changed("counts", 0, key, value=value), "counts[0]", key)
        for key, value in (("who", "unknown"), ("size", 0), ("requests", -1), ("program", None)):
            with self.subTest(key=key, value=value):
                self._reject(self._changed("programs", 0, key, value=value), "programs[0]", key)
        more = self._changed("programs", 0, "per_request", "user", value=2)
        self._reject(more, "programs[0]", "user is more than the whole")
        self._reject(self._changed("of", "date", value="1. 1. 2020"), "of", "date")
        self._reject(self._changed("scaling", value={}), "scaling is not a list")
        spins = self._changed("contention", 0, "lock_spins", value=-1)
        self._reject(spins, "contention[0].lock_spins")

    def test_not_finite(self) -> None:
        """NaN and infinity, which Python accepts in JSON, are rejected."""
        for value in (math.nan, math.inf):
            self._reject(self._changed("counts", 0, "noise", value=value), "counts[0].noise")

    def test_file(self) -> None:
        """The error names a missing file and a file that is not text."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "results.json")
            with self.assertRaisesRegex(results.BadResults, "results.json.*make bench"):
                results.load(path)
            path.write_bytes(b"\xff")
            with self.assertRaisesRegex(results.BadResults, "results.json.*not text"):
                results.load(path)
            path.write_text(json.dumps(GOOD), encoding="utf-8")
            self.assertEqual(results.load(path).of.commit, "c")


if __name__ == "__main__":
    unittest.main()
