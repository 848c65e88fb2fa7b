# SPDX-License-Identifier: GPL-2.0
"""Tests of reference.py: python3 -m unittest discover -s tools/testbed/guest"""

import argparse
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import profiles
import reference
import server_process

GOOD = {"violations": [], "sessions": 0}
BAD = {"violations": [{"requirement": "D-15", "text": "the word is 0", "count": 3}]}


class Options(unittest.TestCase):
    """Options of --device ref."""

    def test_defaults(self) -> None:
        """All options have defaults."""
        self.assertEqual(reference.parse(""), reference.Settings("ref", 1, 256, 56, False))

    def test_all(self) -> None:
        """Some options are for QEMU, the others are passed to the server."""
        settings = reference.parse("queues=3,vq-size=64,config-size=0,trace,fault=a:b=1,x,y=1,,2")
        arguments = ["--fault=a:b=1", "--x", "--y=1,2"]
        self.assertEqual(settings, reference.Settings("ref", 3, 64, 0, True, "", arguments))

    def test_vfio(self) -> None:
        """A vfio device has the same options as a ref device, with other limits."""
        settings = reference.parse("queues=2,vq-size=4096,config-size=512,packed", "vfio")
        expected = reference.Settings("vfio", 2, 4096, 512, False, "", ["--packed"])
        self.assertEqual(settings, expected)
        for text in ("vq-size=32769", "config-size=4097", "front-end=vhost-user"):
            with self.subTest(text=text), self.assertRaises(ValueError):
                reference.parse(text, "vfio")

    def test_profiles(self) -> None:
        """A profile expands to its options, for the kinds of devices that support it. Options of
        the user override it."""
        for name, profile in profiles.PROFILES.items():
            for kind in profile.kinds:
                with self.subTest(name=name, kind=kind):
                    settings = reference.parse(f"profile={name}", kind)
                    self.assertEqual(settings.profile, name)
                    settings.profile = ""
                    self.assertEqual(settings, reference.parse(profile.options, kind))
        settings = reference.parse("queues=3,profile=cn10k,max-size=5", "vfio")
        self.assertEqual(settings.queues, 3)
        self.assertEqual(settings.arguments[-1], "--max-size=5")
        for text in ("profile", "profile=cn10k", "profile=none", "profile=qemu-lkcf,profile=qemu-lkcf"):
            with self.subTest(text=text), self.assertRaises(ValueError):
                reference.parse(text)

    def test_bad(self) -> None:
        """Values that crash QEMU, and options that the test bed sets, are rejected."""
        for text in (
            "queues",
            "queues=-1",
            "queues=256",
            "vq-size=0",
            "vq-size=1025",
            "config-size=257",
            "trace=/x",
            "report=/x",
            "socket-path=/x",
            "monitor",
            "=1",
        ):
            with self.subTest(text=text), self.assertRaises(ValueError):
                reference.parse(text)


class Verdict(unittest.TestCase):
    """Errors of a server. The server is a shell script in these tests."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def server(self, script: str, report: object) -> reference.Server:
        """Returns a server whose program is the script, and which has written the report."""
        program = self.folder / "server"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        options = argparse.Namespace(
            run_dir=self.folder, device_log=None, server=program, iommu=False
        )
        server = reference.Server(options, 0, reference.Settings())
        self.addCleanup(server.kill)
        if report is not None:
            server.report.write_text(json.dumps(report))
        return server

    def errors_of(self, script: str, report: object, allowed: tuple[str, ...] = ()) -> list[str]:
        """Returns the errors of a server that ended by itself."""
        server = self.server(script, report)
        server.process.wait()
        server.stop()
        return [complaint.text for complaint in server.complaints(list(allowed))]

    def test_good(self) -> None:
        """A server may exit with status 0, and may crash if the report says that a fault caused
        it."""
        crashed = GOOD | {"crashed_by_fault": True}
        self.assertEqual(self.errors_of("exit 0", GOOD), [])
        self.assertEqual(self.errors_of("exit 42", None), [])
        self.assertEqual(self.errors_of("kill -ABRT $$", crashed), [])

    def test_bad(self) -> None:
        """Any other end of a server, or a missing report, is an error."""
        self.assertEqual(self.errors_of("exit 3", GOOD), ["device 0 ended with status 3:"])
        self.assertEqual(self.errors_of("exit 101", GOOD), ["device 0 panicked:"])
        self.assertEqual(self.errors_of("kill -SEGV $$", GOOD), ["device 0 was ended by SIGSEGV:"])
        self.assertEqual(self.errors_of("kill $$", GOOD), ["device 0 was ended by SIGTERM:"])
        self.assertEqual(self.errors_of("exit 0", None), ["device 0 left no report:"])
        self.assertEqual(self.errors_of("exit 0", []), ["device 0 left no report:"])

    def test_violations(self) -> None:
        """Violations of the driver are errors unless they are allowed."""
        (error,) = self.errors_of("exit 0", BAD)
        self.assertRegex(error, "D-15.*3.*the word is 0")
        self.assertEqual(self.errors_of("exit 0", BAD, ("D-15",)), [])
        self.assertEqual(len(self.errors_of("exit 1", BAD, ("D-1",))), 2)

    def test_stopped(self) -> None:
        """A server that SIGTERM ends when it is stopped is not an error."""
        server = self.server("exec sleep 60", GOOD)
        server.stop()
        self.assertEqual(server.complaints([]), [])

    def test_hung(self) -> None:
        """A server that does not end when it is stopped is killed, which is an error."""
        server = self.server("trap '' TERM; echo ready; exec sleep 60", GOOD)
        while not server.log_tail():
            pass
        with mock.patch.object(server_process, "STOP_SECONDS", 0.1):
            server.stop()
            (complaint,) = server.complaints([])
        self.assertIn("did not end", complaint.text)
        self.assertEqual(complaint.lines, ["ready"])

    def test_not_started(self) -> None:
        """A server that ends before it listens, or never listens, is an error."""
        with self.assertRaisesRegex(server_process.NotStarted, "ended with status 2 instead"):
            self.server("exit 2", None).wait_ready()
        with (
            mock.patch.object(server_process, "START_SECONDS", 0.1),
            self.assertRaisesRegex(server_process.NotStarted, "does not listen"),
        ):
            self.server("exec sleep 60", None).wait_ready()


if __name__ == "__main__":
    unittest.main()
