# SPDX-License-Identifier: GPL-2.0
"""The daemon vhost-device-crypto beside QEMU, as a host runs it: one process for each device."""

import argparse
import dataclasses
import uuid
from pathlib import Path

from reference import ranged, split
from server_process import SOCKETS, Complaint, ServerProcess

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


class Server(ServerProcess):
    """The daemon of a device: it can be killed and started again while QEMU runs."""

    def __init__(self, options: argparse.Namespace, number: int, settings: Settings) -> None:
        folder: Path = options.device_log or options.run_dir
        socket = socket_path(number)
        command = [str(options.daemon), "--socket-path", str(socket)]
        command += ["--queues", str(settings.queues), *settings.arguments]
        super().__init__(number, command, [socket], folder / f"server-{number}.log")

    def complaints(self) -> list[Complaint]:
        """Returns all errors. Call it after the end: SIGTERM must end the daemon with status 0, without its
        socket."""
        found = []
        if self.process.returncode != 0 or self.killed:
            found.append(Complaint(f"device {self.number} {self.ending()}:", self.last_words()))
        elif socket_path(self.number).exists():
            found.append(Complaint(f"device {self.number} left its socket:", self.last_words()))
        return found
