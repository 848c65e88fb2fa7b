# SPDX-License-Identifier: GPL-2.0
"""The daemon vhost-device-crypto beside QEMU, as a host runs it: one process for each device."""

import argparse
import dataclasses
import signal
import subprocess
import time
import uuid
from pathlib import Path

from reference import (
    LAST_LINES,
    SOCKETS,
    START_SECONDS,
    STOP_SECONDS,
    Complaint,
    NotStarted,
    listening,
    ranged,
    split,
)

# The kernel's list of sockets has those of all guests.
_OWN = uuid.uuid4().hex[:12]

MAX_QUEUES = 63
MAX_RING = 1024  # QEMU aborts when a ring of vhost-user's is longer
# QEMU's names of the two devices that it can have in front of the daemon.
PROFILES = {False: "daemon", True: "cryptodev"}

# The daemon's options that are not for the caller to give.
_OURS = ("socket-path", "socket-count", "socket-fd", "fd", "print-capabilities")


@dataclasses.dataclass
class Settings:
    """What --device daemon:... asks for."""

    queues: int = 1
    vq_size: int = 256
    cryptodev: bool = False  # QEMU has the control queue
    reconnect: int = 0  # milliseconds after which QEMU connects again, 0 for never
    arguments: list[str] = dataclasses.field(default_factory=list)

    @property
    def profile(self) -> str:
        """The device's name for the tests, which depends on what QEMU lets through."""
        return PROFILES[self.cryptodev]


def parse(text: str) -> Settings:
    """Reads the part of --device behind "daemon:"; ValueError says what is wrong with it."""
    settings = Settings()
    for part in split(text):
        name, equals, value = part.partition("=")
        if name == "queues":
            settings.queues = ranged(name, value, 1, MAX_QUEUES)
        elif name == "vq-size":
            settings.vq_size = ranged(name, value, 1, MAX_RING)
        elif name == "reconnect-ms":
            settings.reconnect = ranged(name, value, 0, 60000)
        elif name == "cryptodev" and not equals:
            settings.cryptodev = True
        elif name in (*_OURS, "cryptodev"):
            raise ValueError(f"{name} is not for --device to set")
        elif name:
            settings.arguments.append(f"--{name}{equals}{value}")
        elif part:
            raise ValueError(f"{part} has no name")
    if settings.cryptodev and settings.queues != 1:
        raise ValueError("QEMU starts one data queue of cryptodev only")
    return settings


def socket_path(number: int) -> Path:
    """Where QEMU finds the device."""
    return SOCKETS / f"daemon{number}-{_OWN}"


class Server:
    """The process of a device: it may be killed and started again while QEMU runs."""

    def __init__(self, options: argparse.Namespace, number: int, settings: Settings) -> None:
        self.number = number
        folder: Path = options.device_log or options.run_dir
        self.log = folder / f"server-{number}.log"
        for path in (self.log, socket_path(number)):
            path.unlink(missing_ok=True)
        self.command = [str(options.daemon), "--socket-path", str(socket_path(number))]
        self.command += ["--queues", str(settings.queues), *settings.arguments]
        self.process = self._start()
        self.killed = False

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # the terminal's Ctrl-C is not for it
            )

    def wait_ready(self) -> None:
        """Returns when QEMU can connect."""
        end = time.monotonic() + START_SECONDS
        while str(socket_path(self.number)) not in listening():
            if self.process.poll() is not None:
                raise NotStarted(f"device {self.number} {self._ending()} instead of starting")
            if time.monotonic() > end:
                raise NotStarted(
                    f"device {self.number} does not listen after {START_SECONDS} seconds"
                )
            time.sleep(0.02)

    def restart(self, number: int, after: float) -> None:
        """Ends the process by a signal, and starts another one by the same command line after so many
        seconds."""
        self.process.send_signal(number)
        self.process.wait(STOP_SECONDS)
        time.sleep(after)
        self.process = self._start()
        self.wait_ready()

    def stop(self) -> None:
        """Ends the process, now that QEMU is gone."""
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.killed = True
            self.kill()

    def kill(self) -> None:
        """Ends the process, whatever it is doing."""
        self.process.kill()
        self.process.wait()

    def last_words(self) -> list[str]:
        """The end of its log."""
        return self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]

    def complaints(self) -> list[Complaint]:
        """What was wrong. To be asked at the end: SIGTERM makes the daemon end with status 0, and
        remove its socket."""
        found = []
        if self.process.returncode != 0 or self.killed:
            found.append(Complaint(f"device {self.number} {self._ending()}:", self.last_words()))
        elif socket_path(self.number).exists():
            found.append(Complaint(f"device {self.number} left its socket:", self.last_words()))
        return found

    def _ending(self) -> str:
        status = self.process.returncode
        if self.killed:
            return f"did not end within {STOP_SECONDS} seconds of being told"
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"ended with status {status}"
