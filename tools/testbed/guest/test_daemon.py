# SPDX-License-Identifier: GPL-2.0
"""Tests of daemon.py: python3 -m unittest discover -s tools/testbed/guest"""

import argparse
import signal
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import daemon
import server_process

# A stand-in for the daemon: listens at the path of --socket-path, and removes the socket on
# SIGTERM. The other tests use shell scripts, but a shell cannot listen.
PROGRAM = """#!/usr/bin/python3 -IS
import os, signal, socket, sys
path = sys.argv[sys.argv.index("--socket-path") + 1]
if os.path.exists(path):
    os.unlink(path)
def end(*_):
    os.unlink(path)
    sys.exit({status})
signal.signal(signal.SIGTERM, end)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
while True:
    signal.pause()
"""


class Options(unittest.TestCase):
    """Options of --device daemon."""

    def test_good(self) -> None:
        """Some options are for QEMU, the others are passed to the daemon."""
        self.assertEqual(daemon.parse(""), daemon.Settings())
        settings = daemon.parse("queues=3,vq-size=64,reconnect-ms=5,stateless,services=mac,,hash")
        arguments = ["--stateless", "--services=mac,hash"]
        self.assertEqual(settings, daemon.Settings(3, 64, False, 5, arguments))
        self.assertEqual(settings.profile, "daemon")
        self.assertEqual(daemon.parse("cryptodev").profile, "cryptodev")

    def test_bad(self) -> None:
        """Options that QEMU, the daemon or the caller cannot set are rejected."""
        for text in (
            "queues=0", "queues=64", "vq-size=1025", "reconnect-ms=soon", "cryptodev=yes",
            "cryptodev,queues=2", "socket-path=/x", "fd=3", "=1",
        ):  # fmt: skip
            with self.subTest(text=text), self.assertRaises(ValueError):
                daemon.parse(text)


class Process(unittest.TestCase):
    """Start, restart and end of the process."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        patched = mock.patch.object(daemon, "SOCKETS", self.folder)
        patched.start()
        self.addCleanup(patched.stop)

    def server(self, program: str) -> daemon.Server:
        """Returns a server that runs this program as the daemon."""
        path = self.folder / "program"
        path.write_text(program)
        path.chmod(0o755)
        options = argparse.Namespace(run_dir=self.folder, device_log=None, daemon=path)
        server = daemon.Server(options, 0, daemon.Settings(arguments=["--stateless"]))
        self.addCleanup(server.kill)
        return server

    def test_good(self) -> None:
        """SIGTERM ends the daemon, which removes its socket."""
        server = self.server(PROGRAM.replace("{status}", "0"))
        server.wait_ready()
        self.assertEqual(server.command[3:], ["--queues", "1", "--stateless"])
        server.stop()
        self.assertEqual(server.complaints(), [])

    def test_restart(self) -> None:
        """restart() starts the daemon again. SIGKILL leaves the socket, which is not an error."""
        server = self.server(PROGRAM.replace("{status}", "0"))
        server.wait_ready()
        for number in (signal.SIGKILL, signal.SIGTERM):
            before = server.process.pid
            server.restart(number, 0)
            self.assertNotEqual(server.process.pid, before)
        server.stop()
        self.assertEqual(server.complaints(), [])

    def test_bad(self) -> None:
        """A nonzero status, a fatal signal and a leftover socket are errors."""
        server = self.server(PROGRAM.replace("{status}", "3"))
        server.wait_ready()
        server.stop()
        (complaint,) = server.complaints()
        self.assertEqual(complaint.text, "device 0 ended with status 3:")
        server = self.server(PROGRAM.replace("os.unlink(path)\n    sys", "sys").replace("{status}", "0"))
        server.wait_ready()
        server.stop()
        (complaint,) = server.complaints()
        self.assertEqual(complaint.text, "device 0 left its socket:")
        server = self.server(PROGRAM)
        server.kill()
        (complaint,) = server.complaints()
        self.assertEqual(complaint.text, "device 0 was ended by SIGKILL:")

    def test_not_started(self) -> None:
        """A daemon that ends before it listens is an error."""
        with self.assertRaisesRegex(server_process.NotStarted, "ended with status 2 instead"):
            self.server("#!/bin/sh\nexit 2\n").wait_ready()


if __name__ == "__main__":
    unittest.main()
