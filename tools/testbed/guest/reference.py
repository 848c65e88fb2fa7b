# SPDX-License-Identifier: GPL-2.0
"""The reference device: a server beside QEMU, one process for each device."""

import argparse
import dataclasses
import json
import signal
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import profiles

START_SECONDS = 20
STOP_SECONDS = 10
LAST_LINES = 20

# Of the server's exit statuses. It dies on purpose when a fault is to that effect.
PANICKED = 101
CRASH_STATUS = 42

# A socket's path has to be short, which a path in the cache need not be. The
# root's /run is this run's own.
SOCKETS = Path("/run")
# Guests have folders of their own for these, but the kernel's list of who listens has the
# sockets of all.
_OWN = uuid.uuid4().hex[:12]

# Who the server talks to: QEMU's vhost-user device, or its vfio-user device.
KINDS = {"ref": "vhost-user", "vfio": "vfio-user"}

# What a device may have. QEMU aborts when a ring of vhost-user's is longer; vhost-user's
# messages number no more rings, one of which is the control queue, and have no more room.
MAX_QUEUES = 255
MAX_RING = {"ref": 1024, "vfio": 32768}
MAX_CONFIG = {"ref": 256, "vfio": 4096}

# The server's options that are not for the caller to give.
_OURS = ("front-end", "socket-path", "monitor", "report")


@dataclasses.dataclass
class Settings:
    """What --device ref:... or vfio:... asks for."""

    kind: str = "ref"
    queues: int = 1
    vq_size: int = 256
    config_size: int = 56
    trace: bool = False
    profile: str = ""
    arguments: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Complaint:
    """What is wrong with a device or with what was done to it, and lines that tell more."""

    text: str
    lines: list[str] = dataclasses.field(default_factory=list)


class NotStarted(Exception):
    """The server does not listen."""


def parse(text: str, kind: str = "ref") -> Settings:
    """Reads the part of --device behind its kind; ValueError says what is wrong with it."""
    settings = Settings(kind)
    # What is said besides a profile comes after its options, so that it prevails.
    for part in _split(text):
        name, _, value = part.partition("=")
        if name == "profile":
            if settings.profile:
                raise ValueError("a device has one profile")
            settings.profile = value
            _set(settings, _split(profiles.expand(value, kind)))
    _set(settings, [part for part in _split(text) if part.partition("=")[0] != "profile"])
    return settings


def _split(text: str) -> list[str]:
    # As QEMU has it, a comma in a value is written twice.
    return [part.replace("\0", ",") for part in text.replace(",,", "\0").split(",")]


def _set(settings: Settings, parts: list[str]) -> None:
    kind = settings.kind
    for part in parts:
        name, equals, value = part.partition("=")
        if name == "queues":
            settings.queues = _number(name, value, 0, MAX_QUEUES)
        elif name == "vq-size":
            settings.vq_size = _number(name, value, 1, MAX_RING[kind])
        elif name == "config-size":
            settings.config_size = _number(name, value, 0, MAX_CONFIG[kind])
        elif name == "trace" and not equals:
            settings.trace = True
        elif name in (*_OURS, "trace"):
            raise ValueError(f"{name} is not for --device to set")
        elif name:
            settings.arguments.append(f"--{name}{equals}{value}")
        elif part:
            raise ValueError(f"{part} has no name")


def _number(name: str, value: str, least: int, most: int) -> int:
    if not value.isdecimal() or not least <= int(value) <= most:
        raise ValueError(f"{name} is a number from {least} to {most}")
    return int(value)


def socket_path(number: int) -> Path:
    """Where QEMU finds the device."""
    return SOCKETS / f"device{number}-{_OWN}"


def monitor_path(number: int) -> Path:
    """Where the guest finds the device's monitor."""
    return SOCKETS / f"device{number}-{_OWN}-monitor"


class Server:
    """One reference device's process, from its start to what is to be said of it."""

    def __init__(self, options: argparse.Namespace, number: int, settings: Settings) -> None:
        self.number = number
        folder: Path = options.device_log or options.run_dir
        self.log = folder / f"server-{number}.log"
        self.report = folder / f"report-{number}.json"
        trace = folder / f"trace-{number}.jsonl"
        # In a folder of the caller's they may be those of another run; sockets may be left of a guest
        # that did not boot.
        for path in (self.log, self.report, trace, socket_path(number), monitor_path(number)):
            path.unlink(missing_ok=True)
        command = [str(options.server), "serve"]
        command += ["--socket-path", str(socket_path(number))]
        command += ["--front-end", KINDS[settings.kind], "--queues", str(settings.queues)]
        if settings.kind == "vfio":
            command += ["--queue-size", str(settings.vq_size)]
            command += ["--config-size", str(settings.config_size)]
            if options.iommu:
                command += ["--access-platform"]
        # Drivers are told which number is ECDSA's, so that guests without revision 1 have it, too.
        if not any(argument.startswith("--ecdsa-number") for argument in settings.arguments):
            command += ["--ecdsa-number=always"]
        command += ["--monitor", str(monitor_path(number))]
        command += ["--report", str(self.report)]
        if settings.trace:
            command += ["--trace", str(trace)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *settings.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # the terminal's Ctrl-C is not for it
            )
        self.stopped = False
        self.killed = False

    def wait_ready(self) -> None:
        """Returns when QEMU can connect."""
        wanted = {str(socket_path(self.number)), str(monitor_path(self.number))}
        end = time.monotonic() + START_SECONDS
        while not wanted <= _listening():
            if self.process.poll() is not None:
                raise NotStarted(f"device {self.number} {self._ending()} instead of starting")
            if time.monotonic() > end:
                raise NotStarted(
                    f"device {self.number} does not listen after {START_SECONDS} seconds"
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends the process, now that QEMU is gone."""
        if self.process.poll() is not None:
            return
        self.stopped = True
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

    def read_report(self) -> dict[str, Any]:
        """What it reports; empty if it does not."""
        try:
            report = json.loads(self.report.read_text())
        except (OSError, ValueError):
            return {}
        return report if isinstance(report, dict) else {}

    def complaints(self, allowed: list[str]) -> list[Complaint]:
        """What was wrong, but for violations of allowed requirements. To be asked at the end."""
        report = self.read_report()
        found = []
        if not self._ended_well(report):
            found.append(Complaint(f"device {self.number} {self._ending()}:", self.last_words()))
        elif "violations" not in report and self.process.returncode != CRASH_STATUS:
            found.append(Complaint(f"device {self.number} left no report:", self.last_words()))
        for violation in report.get("violations", []):
            requirement = violation["requirement"]
            if requirement not in allowed:
                found.append(
                    Complaint(
                        f"device {self.number}: the driver violated {requirement}"
                        f" (count {violation['count']}): {violation['text']}"
                    )
                )
        return found

    def _ended_well(self, report: dict[str, Any]) -> bool:
        status = self.process.returncode
        if self.stopped and status in (-signal.SIGTERM, 128 + signal.SIGTERM):
            return True
        if status == PANICKED or self.killed:
            return False
        return status in (0, CRASH_STATUS) or report.get("crashed_by_fault") is True

    def _ending(self) -> str:
        status = self.process.returncode
        if self.killed:
            return f"did not end within {STOP_SECONDS} seconds of being told"
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        if status == PANICKED:
            return "panicked"
        return f"ended with status {status}"


def _listening() -> set[str]:
    """The paths of all sockets that a connection can be made to."""
    # num refcount protocol flags type state inode path; the flag is __SO_ACCEPTCON
    rows = [line.split(maxsplit=7) for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return {row[7] for row in rows if len(row) == 8 and int(row[3], 16) & 0x10000}
