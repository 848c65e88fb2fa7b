# SPDX-License-Identifier: GPL-2.0
"""The daemon vhost-device-crypto, started as a host would: one process for each device."""

import argparse
import dataclasses
import uuid
from pathlib import Path

from reference import parse_number, split
from server_process import SOCKETS, Complaint, ServerProcess

# Makes the paths of the sockets unique. /run is private to this run, but /proc/net/unix, which
# listening() reads, lists the sockets of all runs.
_RUN_ID = uuid.uuid4().hex[:12]

MAX_QUEUES = 63
MAX_RING = 1024  # QEMU aborts if a ring of a vhost-user device is longer
# The profile that tests see, by whether QEMU uses cryptodev-vhost-user.
PROFILES = {False: "daemon", True: "cryptodev"}

# Options of the daemon that --device must not set.
_RESERVED = ("socket-path", "socket-count", "socket-fd", "fd", "print-capabilities")


@dataclasses.dataclass
class Settings:
    """Options of --device daemon:..."""

    queues: int = 1
    vq_size: int = 256
    cryptodev: bool = False  # QEMU processes the control queue
    reconnect: int = 0  # milliseconds after which QEMU connects again, 0 for never
    arguments: list[str] = dataclasses.field(default_factory=list)

    @property
    def profile(self) -> str:
        """Returns the profile that tests see. It determines the algorithms that they expect."""
        return PROFILES[self.cryptodev]


def parse(text: str) -> Settings:
    """Parses the options of --device daemon:... Raises ValueError for an invalid option."""
    settings = Settings()
    for part in split(text):
        name, equals, value = part.partition("=")
        if name == "queues":
            settings.queues = parse_number(name, value, 1, MAX_QUEUES)
        elif name == "vq-size":
            settings.vq_size = parse_number(name, value, 1, MAX_RING)
        elif name == "reconnect-ms":
            settings.reconnect = parse_number(name, value, 0, 60000)
        elif name == "cryptodev" and not equals:
            settings.cryptodev = True
        elif name in (*_RESERVED, "cryptodev"):
            raise ValueError(f"{name} is not for --device to set")
        elif name:
            settings.arguments.append(f"--{name}{equals}{value}")
        elif part:
            raise ValueError(f"{part} has no name")
    if settings.cryptodev and settings.queues != 1:
        raise ValueError("QEMU starts one data queue of cryptodev only")
    return settings


def socket_path(number: int) -> Path:
    """Returns the path of the socket for QEMU."""
    return SOCKETS / f"daemon{number}-{_RUN_ID}"


class Server(ServerProcess):
    """The daemon of a device. Tests can kill and restart the daemon while QEMU runs."""

    def __init__(self, options: argparse.Namespace, number: int, settings: Settings) -> None:
        folder: Path = options.device_log or options.run_dir
        socket = socket_path(number)
        command = [str(options.daemon), "--socket-path", str(socket)]
        command += ["--queues", str(settings.queues), *settings.arguments]
        super().__init__(number, command, [socket], folder / f"server-{number}.log")

    def complaints(self) -> list[Complaint]:
        """Returns all errors of a daemon that has ended. After SIGTERM the daemon must remove its
        socket and exit with status 0."""
        errors = []
        if self.process.returncode != 0 or self.killed:
            errors.append(Complaint(f"device {self.number} {self.ending()}:", self.log_tail()))
        elif socket_path(self.number).exists():
            errors.append(Complaint(f"device {self.number} left its socket:", self.log_tail()))
        return errors
