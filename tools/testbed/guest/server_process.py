# SPDX-License-Identifier: GPL-2.0
"""A device in a separate process. QEMU connects to the sockets of the process."""

import dataclasses
import signal
import subprocess
import time
from pathlib import Path

START_SECONDS = 20
STOP_SECONDS = 10
LAST_LINES = 20

# The folder of the sockets. The path of a Unix socket must be short, and a path in the cache folder
# can be too long. The root's /run is private to this run.
SOCKETS = Path("/run")


@dataclasses.dataclass
class Complaint:
    """An error of a device or of its driver, and lines with details."""

    text: str
    lines: list[str] = dataclasses.field(default_factory=list)


class NotStarted(Exception):
    """The server does not listen."""


class ServerProcess:
    """The process of device `number`, which listens at `sockets`. Its output is appended to
    `log`."""

    def __init__(self, number: int, command: list[str], sockets: list[Path], log: Path) -> None:
        self.number = number
        self.command = command
        self.sockets = sockets
        self.log = log
        # Remove the log of an earlier run from the folder of --device-log, and the sockets of a
        # first attempt to boot the guest.
        for path in (log, *sockets):
            path.unlink(missing_ok=True)
        self.process = self._start()
        self.stopped = False
        self.killed = False

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C must not end the server
            )

    def wait_ready(self) -> None:
        """Waits until QEMU can connect. Raises NotStarted if the process ends or takes too long."""
        paths = {str(path) for path in self.sockets}
        end = time.monotonic() + START_SECONDS
        while not paths <= listening():
            if self.process.poll() is not None:
                raise NotStarted(f"device {self.number} {self.ending()} instead of starting")
            if time.monotonic() > end:
                raise NotStarted(
                    f"device {self.number} does not listen after {START_SECONDS} seconds"
                )
            time.sleep(0.02)

    def restart(self, signal_number: int, delay: float) -> None:
        """Ends the process by a signal, and starts it again after `delay` seconds."""
        self.process.send_signal(signal_number)
        self.process.wait(STOP_SECONDS)
        time.sleep(delay)
        self.process = self._start()
        self.wait_ready()

    def stop(self) -> None:
        """Ends the process after QEMU has exited."""
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
        """Kills the process."""
        self.process.kill()
        self.process.wait()

    def log_tail(self) -> list[str]:
        """Returns the end of the server's log."""
        return self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]

    def ending(self) -> str:
        """Returns how the process has ended, for a message."""
        status = self.process.returncode
        if self.killed:
            return f"did not end within {STOP_SECONDS} seconds after SIGTERM"
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"ended with status {status}"


def listening() -> set[str]:
    """Returns the paths of all listening sockets."""
    # Columns: num refcount protocol flags type state inode path. 0x10000 is __SO_ACCEPTCON.
    rows = [line.split(maxsplit=7) for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return {row[7] for row in rows if len(row) == 8 and int(row[3], 16) & 0x10000}
