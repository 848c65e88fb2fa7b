# SPDX-License-Identifier: GPL-2.0
"""Runs QEMU, and transfers all data between the guest and the caller."""

import argparse
import contextlib
import dataclasses
import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import daemon
import reference
import virtiofs
from machine import SOCKETS, Machine
from qmp import Bridge
from server_process import Complaint, NotStarted

CONSOLE_BUFFER = 1 << 20
ESCAPE = b"\x1d"  # Ctrl-]
# A booting kernel that prints nothing for this many seconds hangs.
SILENCE = 120
BOOTED = "] Run /init as init process"
PANIC = "Kernel panic - not syncing"


@dataclasses.dataclass
class Outcome:
    """How the guest and the command ended."""

    status: int | None = None  # exit status of the command; None if it did not end
    setup_error: str = ""
    timed_out: bool = False
    hung: bool = False  # before the first process
    panic: str = ""  # the kernel's line, if it panicked before the first process
    powered_off: bool = False
    console: list[str] = dataclasses.field(default_factory=list)
    qemu_errors: list[str] = dataclasses.field(default_factory=list)
    complaints: list[Complaint] = dataclasses.field(default_factory=list)


class Interrupted(Exception):
    """The guest must end because of a signal, or because the caller has ended."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def catch_signals() -> None:
    """Makes the signals that end a program raise Interrupted."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


class Supervisor:
    """A run of a guest."""

    def __init__(self, options: argparse.Namespace, machine: Machine, started: float) -> None:
        self.options = options
        self.machine = machine
        self.started = started
        self.outcome = Outcome()
        self.selector = selectors.DefaultSelector()
        self.sockets: dict[str, socket.socket] = {}
        self.daemons: dict[int, daemon.Server] = {}
        self.console = -1
        self.received = {"stdout": 0, "stderr": 0}
        self.expected: dict[str, int] | None = None  # bytes, known after the end of the command
        self.answered = False
        self.booted = False
        self.last_output = time.monotonic()  # time of the last console output
        self.console_rest = b""
        self.control_rest = b""
        self.restore_terminal: Callable[[], None] = lambda: None

    def run(self) -> Outcome:
        """Boots the guest and waits until it ends."""
        servers: list[reference.Server | daemon.Server] = []
        folders: list[virtiofs.Server] = []
        try:
            if self.machine.virtiofs:
                folders += [virtiofs.Server(self.options, share) for share in self.machine.shares]
            if self._start_servers(servers):
                self._run_qemu()
                self._stop_servers(servers)
        finally:
            for server in servers:
                server.kill()
            for folder in folders:
                folder.kill()
        return self.outcome

    def _start_servers(self, servers: list[reference.Server | daemon.Server]) -> bool:
        """Starts the reference devices and the daemons, before QEMU connects to them."""
        for number, device in enumerate(self.options.devices):
            if device.ref_settings:
                servers.append(reference.Server(self.options, number, device.ref_settings))
            if device.daemon_settings:
                self.daemons[number] = daemon.Server(self.options, number, device.daemon_settings)
                servers.append(self.daemons[number])
        for server in servers:
            try:
                server.wait_ready()
            except NotStarted as error:
                kind = "device" if isinstance(server, daemon.Server) else "reference device"
                self.outcome.setup_error = f"the {kind} did not start"
                self.outcome.complaints.append(
                    Complaint(f"{error}:", server.log_tail())
                )
                return False
        return True

    def _stop_servers(self, servers: list[reference.Server | daemon.Server]) -> None:
        """Ends the devices and collects the reports of the reference devices."""
        for server in servers:
            server.stop()
            if isinstance(server, daemon.Server):
                self.outcome.complaints += server.complaints()
                continue
            self.outcome.complaints += server.complaints(self.options.allowed_violations)
            for name, value in server.read_report().items():
                if name != "violations":
                    self._note(f"device {server.number}: {name}: {json.dumps(value)}")

    def _run_qemu(self) -> None:
        alive = os.open(self.options.run_dir / "alive", os.O_RDONLY | os.O_NONBLOCK)
        qemu = self._start_qemu()
        bridge = Bridge(
            lambda data: self._send("monitor", data),
            lambda data: self._send("qmp", data),
            {"daemon-restart": self._restart_daemon},
        )
        self._watch(alive, lambda data: None, lambda: self._stop(143))
        self._watch(self.console, self._on_console, lambda: None)
        self._watch_socket("monitor", bridge.from_monitor)
        self._watch_socket("qmp", bridge.from_guest)
        self._watch_socket("control", self._on_control)
        self._watch_socket("stdout", lambda data: self._on_output("stdout", 1, data))
        self._watch_socket("stderr", lambda data: self._on_output("stderr", 2, data))
        self._watch_socket("terminal", lambda data: self._write(1, data))
        status = None
        try:
            self._loop(qemu)
            status = qemu.poll()
        finally:
            self.restore_terminal()
            qemu.kill()
            qemu.wait()
        self._read_rest()
        self._collect_errors(status)

    def _start_qemu(self) -> subprocess.Popen[bytes]:
        qemu_ends = {}
        for name in SOCKETS:
            self.sockets[name], qemu_ends[name] = socket.socketpair()
        # QEMU writes the console one character at a time, and drops characters that it cannot
        # write. A socket buffers only a few hundred such writes. A pipe buffers more.
        self.console, console = os.pipe()
        fcntl.fcntl(console, fcntl.F_SETPIPE_SZ, CONSOLE_BUFFER)
        descriptors = {name: end.fileno() for name, end in qemu_ends.items()}
        with open(self._qemu_log(), "wb") as log:
            qemu = subprocess.Popen(
                self.machine.command(console, descriptors),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[console, *descriptors.values()],
                start_new_session=True,  # Ctrl-C must not end QEMU
            )
        os.close(console)
        for end in qemu_ends.values():
            end.close()
        return qemu

    def _restart_daemon(self, arguments: dict[str, Any]) -> None:
        """Executes daemon-restart. Raises ValueError if the daemon does not end or does not
        start."""
        server = self.daemons.get(arguments.get("device", 0))
        if not server:
            raise ValueError("no such daemon")
        try:
            server.restart(
                signal.Signals[arguments.get("signal", "SIGKILL")], arguments.get("after", 0)
            )
        except (NotStarted, subprocess.TimeoutExpired) as error:
            raise ValueError(str(error)) from None

    def _watch(self, fd: int, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self.selector.register(fd, selectors.EVENT_READ, (on_data, on_end))

    def _watch_socket(self, name: str, on_data: Callable[[bytes], None]) -> None:
        self._watch(self.sockets[name].fileno(), on_data, lambda: None)

    def _send(self, name: str, data: bytes) -> None:
        """Sends data to QEMU. _loop handles its exit."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.sockets[name].sendall(data)

    def _loop(self, qemu: subprocess.Popen[bytes]) -> None:
        """Waits until QEMU exits or must be ended."""
        exited = os.pidfd_open(qemu.pid)
        self.selector.register(exited, selectors.EVENT_READ, None)
        while True:
            now = time.monotonic()
            if self.options.timeout and now > self.started + self.options.timeout:
                self.outcome.timed_out = True
                return
            events = self.selector.select(1)
            # The guest is not silent while events are unread.
            if not events and not self.booted and now > self.last_output + SILENCE:
                self.outcome.hung = True
                return
            for key, _ in events:
                if key.data is None:
                    self.selector.unregister(exited)
                    return
                self._read(key)

    def _read(self, key: selectors.SelectorKey) -> None:
        on_data, on_end = key.data
        try:
            data = os.read(key.fd, 65536)
        except ConnectionResetError:
            data = b""
        if data:
            on_data(data)
        else:
            self.selector.unregister(key.fd)
            on_end()

    def _read_rest(self) -> None:
        """Reads the remaining data of the console and the sockets after QEMU has exited."""
        ours = {self.console, *(end.fileno() for end in self.sockets.values())}
        for key in list(self.selector.get_map().values()):
            if key.fd not in ours:
                self.selector.unregister(key.fd)
        while self.selector.get_map():
            for key, _ in self.selector.select():
                self._read(key)
        if self.console_rest:
            self._on_console(b"\n")

    def _on_console(self, data: bytes) -> None:
        self.last_output = time.monotonic()
        *lines, self.console_rest = (self.console_rest + data).split(b"\n")
        for raw in lines:
            line = raw.rstrip(b"\r").decode(errors="replace")
            self.outcome.console.append(line)
            if self.options.verbose:
                self._write(2, f"{line}\n".encode())
            if BOOTED in line:
                self.booted = True
            elif PANIC in line and not self.booted:
                self.outcome.panic = line
            if "] testbed: init: " in line:
                self.outcome.setup_error = "setting up the guest failed"
            # A guest in memory ends with a restart, because it cannot power off after a suspend.
            if "reboot: Power down" in line or "reboot: Restarting system" in line:
                self.outcome.powered_off = True

    def _on_control(self, data: bytes) -> None:
        *lines, self.control_rest = (self.control_rest + data).split(b"\n")
        for line in lines:
            word, _, rest = line.decode(errors="replace").partition(" ")
            if word == "started":
                self._note("command started")
                # A guest that has started another kernel sends this again.
                self.received = dict.fromkeys(self.received, 0)
                if self.options.mode == "shell":
                    self._open_terminal()
            elif word == "failed":
                self.outcome.setup_error = f"setting up the guest failed: {rest}"
                self._answer()
            elif word == "exit":
                status, stdout, stderr = (int(number or 0) for number in rest.split(" "))
                self.outcome.status = status
                self.expected = {"stdout": stdout, "stderr": stderr}
                self._note("command ended")
                self._check_output()

    def _on_output(self, name: str, fd: int, data: bytes) -> None:
        self.received[name] += len(data)
        self._write(fd, data)
        self._check_output()

    def _check_output(self) -> None:
        """Lets the guest power off once all output of the command has arrived."""
        expected = self.expected
        if expected and all(self.received[name] >= expected[name] for name in expected):
            self._answer()

    def _answer(self) -> None:
        if not self.answered:
            self.answered = True
            self._send("control", b"ok\n")

    def _write(self, fd: int, data: bytes) -> None:
        """Writes all data. Ends the guest if the reader has closed the output."""
        while data:
            try:
                data = data[os.write(fd, data) :]
            except BrokenPipeError:
                self._stop(128 + signal.SIGPIPE)

    def _note(self, text: str) -> None:
        if self.options.verbose:
            print(f"vm: {time.monotonic() - self.started:.1f} s: {text}", file=sys.stderr)

    def _open_terminal(self) -> None:
        """Connects the caller's terminal to the guest's shell."""

        def on_keys(data: bytes) -> None:
            if ESCAPE in data:
                self._stop(130)
            self._send("terminal", data)

        before = termios.tcgetattr(0)
        self.restore_terminal = lambda: termios.tcsetattr(0, termios.TCSADRAIN, before)
        tty.setraw(0)
        self._watch(0, on_keys, lambda: None)

    def _stop(self, status: int) -> None:
        raise Interrupted(status)

    def _qemu_log(self) -> Path:
        """Returns the path of QEMU's log."""
        folder: Path = self.options.device_log or self.options.run_dir
        return folder / "qemu.log"

    def _collect_errors(self, status: int | None) -> None:
        """Collects QEMU's messages and exit status, which is None if this program ended QEMU."""
        log = self._qemu_log().read_text(errors="replace")
        self.outcome.qemu_errors = log.splitlines()
        if status is None:
            return
        if status < 0:
            # Insert at the beginning: only the first messages are shown.
            self.outcome.qemu_errors.insert(0, f"ended by {signal.Signals(-status).name}")
        if status > 0 and not self.outcome.console:
            self.outcome.setup_error = "QEMU did not start"


def run(options: argparse.Namespace, machine: Machine, started: float) -> Outcome:
    """Runs the guest, a second time if the kernel hung or panicked before its first process.

    The driver is not loaded before the first process, so the driver cannot be the cause. Under TCG
    about one boot in several hundred hangs. On a busy host the kernel may panic because no timer
    interrupt arrives in time.
    """
    outcome = Supervisor(options, machine, started).run()
    if outcome.hung or outcome.panic:
        failure = "hung" if outcome.hung else "panicked"
        print(f"vm: the guest {failure} while it booted, starting it once more", file=sys.stderr)
        if outcome.panic:
            print(f"  {outcome.panic}", file=sys.stderr)
        outcome = Supervisor(options, machine, time.monotonic()).run()
    return outcome
