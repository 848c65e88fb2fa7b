# SPDX-License-Identifier: GPL-2.0
"""Plays the scripts of a hostile device (scripts.py), and checks that the driver still works."""

import collections
import contextlib
import mmap
import os
import random
import re
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from . import afalg, crypto, fault_requests, module, reference, tap, volume
from .ciphers import XTS
from .fault_requests import SUBJECTS, Result
from .kernel_log import TROUBLE
from .scripts import Load, Script

FOLDER = Path("/mnt/share")
MODULES = ("vc_sleep", "vc_nomem")
FAIL = Path("/sys/module/vc_nomem/parameters/fail")
FREEZE = Path("/sys/module/vc_sleep/parameters/freeze_ms")
DEBUGFS = Path("/sys/kernel/debug", crypto.MODULE)
QUEUES = {"data": "dataq.0", "control": "controlq"}
# Milliseconds for which vc_sleep.ko freezes the device.
FREEZE_MS = 20
MAPPED = "hostile"
SIZE = 1 << 16
# Time limit in seconds for the requests of "start" lines, after the end of the script.
LIMIT = 2 * fault_requests.LIMIT
# The virtio core warns when a device is removed whose registers read all ones, as they do during a
# reset of the function.
EXPECTED = re.compile("at virtio_dev_remove")


class Messages:
    """The new messages of the kernel log."""

    def __init__(self) -> None:
        self._file = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._file, 0, os.SEEK_END)

    def new(self) -> list[str]:
        """Returns the messages since the last call."""
        found: list[str] = []
        while True:
            try:
                record = os.read(self._file, 8192).decode(errors="replace")
            except BrokenPipeError:  # overwritten before it was read
                continue
            except BlockingIOError:
                return found
            found.append(record.partition(";")[2].splitlines()[0])


class Player:
    """Plays scripts. The context manager keeps a dm-crypt volume open for the event "volume"."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.device = fault_requests.Device()
        self.requests = 0
        self.outcomes: collections.Counter[str] = collections.Counter()
        self._subjects = {subject.driver: subject for subject in SUBJECTS}
        self._messages = Messages()
        self._stack = contextlib.ExitStack()
        self._buffer = mmap.mmap(-1, SIZE)
        self._volume = -1
        self._started: list[threading.Thread] = []
        self._errors: list[str] = []
        self._may_corrupt = False
        (self._name,) = module.devices()
        self._reset = (module.DEVICES / self._name).resolve().parent / "reset"

    def __enter__(self) -> Self:
        for name in MODULES:
            subprocess.run(["insmod", FOLDER / f"{name}.ko"], check=True)
        disk = self._stack.enter_context(volume.disk(1))
        line = volume.table(disk, f"capi:{XTS.asynchronous}-plain64", os.urandom(64), 512)
        path = self._stack.enter_context(volume.mapped(MAPPED, line))
        self._volume = os.open(path, os.O_RDWR | os.O_DIRECT)
        self._stack.callback(os.close, self._volume)
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def play(self, script: Script) -> None:
        """Plays a script, and removes its faults. Fails the test if a request has an unexpected
        result, the device does not work afterwards, or the kernel reports an error."""
        self.device.rebind_if_failing()
        self._errors.clear()
        self._may_corrupt = script.may_corrupt
        try:
            for line in script.lines:
                self._play_line(line)
        finally:
            self._end(script)
        self._check_log()
        tap.check(not self._errors, "; ".join(self._errors))

    def _play_line(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        match word:
            case "fault":
                # The device rejects impossible combinations of parameters.
                with contextlib.suppress(reference.Refused):
                    reference.command(command="fault", fault=rest)
            case "event":
                self._event(rest)
            case "nomem":
                _fail_additions(*rest.split())
            case "load":
                self._load(Load.parse(line))
            case "start":
                thread = threading.Thread(target=self._load, args=(Load.parse(line),), daemon=True)
                thread.start()
                self._started.append(thread)
                # Let requests get in flight before the next line.
                time.sleep(self._chance.choice((0, 0.002, 0.02)))

    def _load(self, load: Load) -> None:
        subject = self._subjects[load.driver]
        result = fault_requests.run(subject, load.count, load.backlog, load.text, load.in_place)
        self.requests += load.count
        if verdict := self._verdict(result):
            self._errors.append(f"{load.driver}: {result}: {verdict}")
        for name in ("right", "wrong", "lost", "doubled"):
            self.outcomes[name] += getattr(result, name)
        self.outcomes["errors"] += sum(result.errors.values())
        self.outcomes["no transform"] += bool(result.refused)

    def _verdict(self, result: Result) -> str:
        if result.lost or result.doubled:
            return "requests are lost, or completed twice"
        if result.traces:
            return "the memory of a request still contains its data"
        if (result.wrong or result.spoilt) and not self._may_corrupt:
            return "a result or an IV is wrong, although no fault of the script explains it"
        return ""

    def _event(self, name: str) -> None:
        match name:
            case "rebind":
                self.device.rebind()
            case "reset":
                _write(self._reset, "1")
            case "nap":
                _write(FREEZE, str(FREEZE_MS))
            case "ready-off" | "ready-on":
                reference.command(command="ready", ready=name == "ready-on")
            case "config-change" | "needs-reset":
                with contextlib.suppress(reference.Refused):
                    reference.command(command=name)
            case "fifo" | "lifo":
                reference.command(command="complete", order=name)
            case "volume":
                self._use_volume()
            case "program":
                self._use_program()
            case "keys":
                self._set_keys()
            case "files":
                for path in DEBUGFS.glob("*/*"):
                    with contextlib.suppress(OSError):
                        path.read_bytes()

    def _use_volume(self) -> None:
        offset = 512 * self._chance.randrange(8)
        with contextlib.suppress(OSError):
            os.pwrite(self._volume, self._buffer, offset)
        with contextlib.suppress(OSError):
            os.preadv(self._volume, [self._buffer], offset)

    def _use_program(self) -> None:
        with (
            contextlib.suppress(OSError),
            afalg.Transform(crypto.SYNC, os.urandom(16)) as transform,
        ):
            for size in (16, 4096):
                transform.crypt(afalg.ENCRYPT, bytes(16), bytes(size))

    def _set_keys(self) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            transforms = [stack.enter_context(afalg.Transform(crypto.SYNC)) for _ in range(4)]
            for _ in range(60):
                self._chance.choice(transforms).set_key(os.urandom(self._chance.choice((16, 32))))

    def _end(self, script: Script) -> None:
        """Removes all faults. Then each request must complete, and the device must work."""
        _fail_additions("data", "0", "0")
        reference.command(command="clear")
        reference.command(command="complete")
        reference.command(command="ready", ready=True)
        end = time.monotonic() + LIMIT
        for thread in self._started:
            thread.join(end - time.monotonic())
            tap.check(not thread.is_alive(), f"requests have not completed after {LIMIT} s")
        self._started.clear()
        # The driver may have read a faulty configuration. Make it read the correct one.
        if script.restarts_device:
            self.device.rebind()
        elif any(name.startswith("config-") for name in script.faults):
            reference.command(command="config-change")
        self.device.rebind_if_failing()
        self.device.wait_until_served(self._chance.choice(SUBJECTS), may_be_disabled=True)

    def _check_log(self) -> None:
        bad = [
            line for line in self._messages.new()
            if TROUBLE.search(line) and not EXPECTED.search(line)
        ]  # fmt: skip
        tap.check(not bad, "the kernel reports:\n" + "\n".join(bad[:20]))


def _fail_additions(queue: str, after: str, count: str) -> None:
    """Makes additions to the ring of a queue fail, as if their memory could not be mapped."""
    FAIL.write_text(f"{QUEUES[queue]} {after} {count}")


def _write(path: Path, text: str) -> None:
    """Writes to a file in sysfs, which must exist. Ignores errors of the event itself."""
    # No O_CREAT, which would hide that there is no such file.
    file = os.open(path, os.O_WRONLY)
    try:
        with contextlib.suppress(OSError):
            os.write(file, text.encode())
    finally:
        os.close(file)
