# SPDX-License-Identifier: GPL-2.0
"""The reference devices: a server process for each device, to which QEMU connects."""

import argparse
import dataclasses
import json
import signal
import uuid
from pathlib import Path
from typing import Any

import profiles
from server_process import SOCKETS, Complaint, ServerProcess

# Exit statuses of the server: after a Rust panic, and after the injected fault "crash".
PANICKED = 101
CRASH_STATUS = 42

# Makes the paths of the sockets unique. /run is private to this run, but /proc/net/unix, which
# listening() reads, lists the sockets of all runs.
_RUN_ID = uuid.uuid4().hex[:12]

# The kinds of --device, and the protocol between QEMU and the server.
KINDS = {"ref": "vhost-user", "vfio": "vfio-user"}

# Limits of a device. QEMU aborts if a ring of a vhost-user device is longer than MAX_RING. The
# formats of vhost-user messages limit the number of rings and the size of the configuration space.
# One ring is the control queue.
MAX_QUEUES = 255
MAX_RING = {"ref": 1024, "vfio": 32768}
MAX_CONFIG = {"ref": 256, "vfio": 4096}

# Options of the server that --device must not set.
_RESERVED = ("front-end", "socket-path", "monitor", "report")


@dataclasses.dataclass
class Settings:
    """Options of --device ref:... or vfio:..."""

    kind: str = "ref"
    queues: int = 1
    vq_size: int = 256
    config_size: int = 56
    trace: bool = False
    profile: str = ""
    arguments: list[str] = dataclasses.field(default_factory=list)


def parse(text: str, kind: str = "ref") -> Settings:
    """Parses the options of --device after its kind. Raises ValueError for an invalid option."""
    settings = Settings(kind)
    # The user's options follow those of the profile and override them.
    for part in split(text):
        name, _, value = part.partition("=")
        if name == "profile":
            if settings.profile:
                raise ValueError("a device has one profile")
            settings.profile = value
            _set(settings, split(profiles.expand(value, kind)))
    _set(settings, [part for part in split(text) if part.partition("=")[0] != "profile"])
    return settings


def split(text: str) -> list[str]:
    """Returns the options of a device. As in QEMU's options, a comma in a value is written twice."""
    return [part.replace("\0", ",") for part in text.replace(",,", "\0").split(",")]


def _set(settings: Settings, parts: list[str]) -> None:
    kind = settings.kind
    for part in parts:
        name, equals, value = part.partition("=")
        if name == "queues":
            settings.queues = parse_number(name, value, 0, MAX_QUEUES)
        elif name == "vq-size":
            settings.vq_size = parse_number(name, value, 1, MAX_RING[kind])
        elif name == "config-size":
            settings.config_size = parse_number(name, value, 0, MAX_CONFIG[kind])
        elif name == "trace" and not equals:
            settings.trace = True
        elif name in (*_RESERVED, "trace"):
            raise ValueError(f"{name} is not for --device to set")
        elif name:
            settings.arguments.append(f"--{name}{equals}{value}")
        elif part:
            raise ValueError(f"{part} has no name")


def parse_number(name: str, value: str, minimum: int, maximum: int) -> int:
    """Returns the value of the option `name`. Raises ValueError if the value is not a number or is
    out of range."""
    if not value.isdecimal() or not minimum <= int(value) <= maximum:
        raise ValueError(f"{name} is a number from {minimum} to {maximum}")
    return int(value)


def socket_path(number: int) -> Path:
    """Returns the path of the socket for QEMU."""
    return SOCKETS / f"device{number}-{_RUN_ID}"


def monitor_path(number: int) -> Path:
    """Returns the path of the socket of the device's monitor."""
    return SOCKETS / f"device{number}-{_RUN_ID}-monitor"


class Server(ServerProcess):
    """The process of a reference device."""

    def __init__(self, options: argparse.Namespace, number: int, settings: Settings) -> None:
        folder: Path = options.device_log or options.run_dir
        self.report = folder / f"report-{number}.json"
        trace = folder / f"trace-{number}.jsonl"
        for path in (self.report, trace):
            path.unlink(missing_ok=True)
        command = [str(options.server), "serve"]
        command += ["--socket-path", str(socket_path(number))]
        command += ["--front-end", KINDS[settings.kind], "--queues", str(settings.queues)]
        if settings.kind == "vfio":
            command += ["--queue-size", str(settings.vq_size)]
            command += ["--config-size", str(settings.config_size)]
            if options.iommu:
                command += ["--access-platform"]
        # Offer ECDSA also without VIRTIO_CRYPTO_F_REVISION_1. The driver can use it then, because
        # the parameter ecdsa_number sets the number of the algorithm.
        if not any(argument.startswith("--ecdsa-number") for argument in settings.arguments):
            command += ["--ecdsa-number=always"]
        command += ["--monitor", str(monitor_path(number))]
        command += ["--report", str(self.report)]
        if settings.trace:
            command += ["--trace", str(trace)]
        command += settings.arguments
        sockets = [socket_path(number), monitor_path(number)]
        super().__init__(number, command, sockets, folder / f"server-{number}.log")

    def read_report(self) -> dict[str, Any]:
        """Returns the server's report, or an empty dictionary."""
        try:
            report = json.loads(self.report.read_text())
        except (OSError, ValueError):
            return {}
        return report if isinstance(report, dict) else {}

    def complaints(self, allowed: list[str]) -> list[Complaint]:
        """Returns all errors of a server that has ended, except violations of `allowed`
        requirements."""
        report = self.read_report()
        errors = []
        if not self._exit_is_expected(report):
            errors.append(Complaint(f"device {self.number} {self.ending()}:", self.log_tail()))
        elif "violations" not in report and self.process.returncode != CRASH_STATUS:
            errors.append(Complaint(f"device {self.number} left no report:", self.log_tail()))
        for violation in report.get("violations", []):
            requirement = violation["requirement"]
            if requirement not in allowed:
                errors.append(
                    Complaint(
                        f"device {self.number}: the driver violated {requirement}"
                        f" (count {violation['count']}): {violation['text']}"
                    )
                )
        return errors

    def _exit_is_expected(self, report: dict[str, Any]) -> bool:
        status = self.process.returncode
        if self.stopped and status in (-signal.SIGTERM, 128 + signal.SIGTERM):
            return True
        if status == PANICKED or self.killed:
            return False
        return status in (0, CRASH_STATUS) or report.get("crashed_by_fault") is True

    def ending(self) -> str:
        """Returns how the process has ended, for a message."""
        if self.process.returncode == PANICKED and not self.killed:
            return "panicked"
        return super().ending()
