# SPDX-License-Identifier: GPL-2.0
"""Tests of settings.py: python3 -m unittest discover -s tools/bench"""

import tempfile
import unittest
from pathlib import Path

from settings import ALGORITHMS, SIGNATURES, Keys, boots, setting


class Commands(unittest.TestCase):
    """The commands for vc_bench."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.keys = Keys(Path(folder.name))
        names = {file for files in SIGNATURES.values() for file in files.values()}
        for number, name in enumerate(sorted(names | {"rsa2048.public"}), 1):
            Path(folder.name, name).write_bytes(bytes([number]))

    def _words(self, name: str, who: str) -> dict[str, str]:
        command = setting(name, who, "ref", 4096, 8).command(1, 2, self.keys)
        return dict(word.split("=", 1) for word in command.split(" "))

    def test_all(self) -> None:
        """Every driver has a reference, and a key if the algorithm needs a key."""
        for algorithm in ALGORITHMS.values():
            for who, driver in algorithm.drivers.items():
                with self.subTest(driver=driver):
                    words = self._words(algorithm.name, who)
                    self.assertEqual(words["driver"], driver)
                    self.assertTrue(words["reference"])
                    self.assertEqual("key" in words, algorithm.name != "sha256")

    def test_signatures(self) -> None:
        """A command that signs has the private and the public key, and no digest."""
        signed = self._words("ecdsa-nist-p256, sign", "rust")
        verified = self._words("ecdsa-nist-p256", "rust")
        self.assertEqual(signed["reference"], "ecdsa-nist-p256-generic")
        self.assertEqual((signed["op"], verified["op"]), ("sign", "verify"))
        self.assertEqual(signed["message"], verified["key"])
        self.assertNotIn("digest", signed)
        self.assertEqual(self._words("pkcs1(rsa,sha256)", "rust")["size"], "32")

    def test_depths(self) -> None:
        """A round has at least as many requests as its depth."""
        for mode in ("quick", "usual", "long", "guard"):
            for boot in boots(mode):
                for one in (*boot.settings, *(side for pair in boot.pairs for side in pair)):
                    with self.subTest(mode=mode, setting=str(one)):
                        self.assertGreaterEqual(one.requests, one.depth)


if __name__ == "__main__":
    unittest.main()
