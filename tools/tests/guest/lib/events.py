# SPDX-License-Identifier: GPL-2.0
"""Events that change devices, the driver and its users. A loop (loops.py) repeats an event."""

import contextlib
import errno
import os
import random
import subprocess
import time
from pathlib import Path

from . import afalg, crypto, module, plug, reference, tap
from .loops import DONE, REFUSED, RELEASE, Gate

DEBUGFS = Path("/sys/kernel/debug", crypto.MODULE)
CPU = Path("/sys/devices/system/cpu/cpu1/online")
SLEEP = Path("/mnt/share/vc_sleep.ko")
FREEZE_MS = Path("/sys/module/vc_sleep/parameters/freeze_ms")
# The errors of a sysfs file after another event has removed the device.
ABSENT = (errno.ENOENT, errno.ENODEV)


def _write(path: Path, text: str, *allowed: int) -> str:
    """Writes to a file in sysfs. Returns REFUSED if the file is absent, or if the write fails with
    an error in `allowed`."""
    try:
        # Path.write_text() would use O_CREAT, which fails with another error than ENOENT in sysfs.
        file = os.open(path, os.O_WRONLY)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)
    except OSError as error:
        if error.errno in (*ABSENT, *allowed):
            return REFUSED
        raise
    return DONE


def _command(**words: object) -> str:
    """Sends a command to the reference device. Returns REFUSED if the device rejects the
    command."""
    try:
        reference.command(**words)  # type: ignore[arg-type]
    except reference.Refused:
        return REFUSED
    return DONE


class Event:
    """The base class of events."""

    name = ""
    pause = 0.3
    # True if the device may lose in-flight requests. In-place requests may then fail.
    loses_requests = False

    def missing(self) -> str:
        """Returns the reason why the event cannot happen in this guest, or an empty string."""
        return ""

    def run(self, chance: random.Random) -> str:
        """Makes the event happen once."""
        raise NotImplementedError

    def release(self) -> None:
        """Part of the interface of loops. Events hold no resource in the process."""

    def settle(self) -> None:
        """Completes an event that was interrupted."""


class Reset(Event):
    """The PCI function is reset through sysfs."""

    name = "reset"

    @staticmethod
    def _files() -> list[Path]:
        return [(module.DEVICES / name).resolve().parent / "reset" for name in module.find()]

    def missing(self) -> str:
        found = all(file.exists() for file in self._files())
        return "" if found else "PCI cannot reset this function"

    def run(self, chance: random.Random) -> str:
        outcomes = [_write(file, "1") for file in self._files()]
        return DONE if DONE in outcomes else REFUSED


class Bind(Event):
    """The device is unbound, and bound again after a while."""

    name = "bind"

    def run(self, chance: random.Random) -> str:
        names = module.find()
        outcomes = [_write(module.DRIVER / "unbind", name) for name in names]
        time.sleep(chance.choice((0, 0, chance.uniform(0, 0.3))))
        # EBUSY: another event has bound the device. EINVAL: the probe failed.
        for name in names:
            outcomes.append(_write(module.DRIVER / "bind", name, errno.EBUSY, errno.EINVAL))
        return REFUSED if REFUSED in outcomes or not names else DONE

    def settle(self) -> None:
        for name in module.find():
            if not (module.DRIVER / name).exists():
                (module.DRIVER / "bind").write_text(name)


class Rmmod(Event):
    """The module is unloaded and loaded again. Unloading fails while an algorithm has users, so
    most runs first stop the loads."""

    name = "rmmod"

    def __init__(self, gate: Gate, limit: float) -> None:
        self._gate = gate
        self._limit = limit

    @staticmethod
    def _load() -> None:
        # Load the module with the parameters of the guest's first load.
        command = [". /run/testbed/config; insmod_driver"]
        done = subprocess.run(["sh", "-c", *command], capture_output=True, text=True)
        tap.check(done.returncode == 0, f"insmod: {done.stderr}")

    def run(self, chance: random.Random) -> str:
        stop_loads = chance.random() < 0.7
        with self._gate.closed(RELEASE, self._limit) if stop_loads else contextlib.nullcontext():
            done = module.rmmod()
            if done.returncode:
                busy = "in use" in done.stderr or "temporarily unavailable" in done.stderr
                tap.check(busy, f"rmmod: {done.stderr}")
                return REFUSED
            time.sleep(chance.uniform(0, 0.3))
            self._load()
        return DONE

    def settle(self) -> None:
        if not module.loaded():
            self._load()


class Unplug(Event):
    """The device is unplugged with the guest's consent, and plugged in again."""

    name = "unplug"

    def __init__(self) -> None:
        self._plug = plug.Plug()

    def missing(self) -> str:
        function = (module.DEVICES / module.devices()[0]).resolve().parent
        vectors = list((function / "msi_irqs").glob("*"))
        if self._plug.kind == "vfio-user-pci" and vectors:
            return "QEMU aborts when a vfio function with vectors is unplugged"
        return ""

    def run(self, chance: random.Random) -> str:
        self._plug.pull()
        time.sleep(chance.uniform(0, 0.5))
        self._plug.push()
        return DONE

    def settle(self) -> None:
        if not self._plug.is_there():
            self._plug.push()


class NeedsReset(Event):
    """The device sets DEVICE_NEEDS_RESET, now or after some more requests."""

    name = "needs-reset"
    pause = 2.0
    loses_requests = True

    def missing(self) -> str:
        found = reference.devices() and reference.is_function()
        return "" if found else "only a vfio device sets DEVICE_NEEDS_RESET"

    def run(self, chance: random.Random) -> str:
        if chance.random() < 0.5:
            return _command(command="needs-reset")
        fault = f"needs-reset:queue=0:after={chance.randrange(20)}:count=1"
        return _command(command="fault", fault=fault)

    def settle(self) -> None:
        reference.command(command="clear")


class Silence(Event):
    """The device does not complete a request."""

    name = "silence"
    pause = 2.0
    loses_requests = True

    def missing(self) -> str:
        return "" if reference.devices() else "only a reference device can hold back a request"

    def run(self, chance: random.Random) -> str:
        queue = chance.choice(("0", "0", "control"))
        fault = f"never-answer:queue={queue}:after={chance.randrange(10)}:count=1"
        return _command(command="fault", fault=fault)

    def settle(self) -> None:
        reference.command(command="clear")


class Ready(Event):
    """HW_READY is cleared and set again."""

    name = "ready"

    def missing(self) -> str:
        return "" if reference.devices() else "only a reference device changes HW_READY"

    def run(self, chance: random.Random) -> str:
        outcome = _command(command="ready", ready=False)
        time.sleep(chance.choice((0, chance.uniform(0, 0.5))))
        _command(command="ready", ready=True)
        return outcome

    def settle(self) -> None:
        reference.command(command="ready", ready=True)


class Keys(Event):
    """Keys are set as fast as possible. Requests must use the last key."""

    name = "setkey"
    pause = 0.1

    def __init__(self) -> None:
        self._iv = os.urandom(afalg.BLOCK)
        self._data = os.urandom(1024)
        self._keys = [os.urandom(size) for size in (16, 24, 32)]
        self._expected = [afalg.openssl(key, self._iv, self._data) for key in self._keys]

    def run(self, chance: random.Random) -> str:
        with contextlib.ExitStack() as stack:
            try:
                transforms = [
                    stack.enter_context(afalg.Transform(crypto.SYNC)) for _ in range(3)
                ]
            except FileNotFoundError:
                return REFUSED
            for _ in range(30):
                chance.choice(transforms).set_key(chance.choice(self._keys))
            for transform in transforms:
                number = chance.randrange(len(self._keys))
                transform.set_key(self._keys[number])
                result = transform.crypt(afalg.ENCRYPT, self._iv, self._data)
                tap.check_same(result, self._expected[number], "ciphertext of the last key")
        return DONE


class Users(Event):
    """Transforms of all algorithms are allocated and freed."""

    name = "users"
    pause = 0.1
    KINDS = {"skcipher": "skcipher", "aead": "aead", "ahash": "hash"}

    def run(self, chance: random.Random) -> str:
        names = [
            (self.KINDS[alg.fields["type"]], alg.driver)
            for alg in crypto.ours().values()
            if alg.fields["type"] == "ahash"
            or (alg.fields["type"] in self.KINDS and alg.synchronous)
        ]
        opened = 0
        with contextlib.ExitStack() as stack:
            for kind, name in chance.choices(names, k=4) if names else []:
                with contextlib.suppress(FileNotFoundError):
                    transform = stack.enter_context(afalg.Transform(name, None, kind))
                    opened += 1
                    # Some algorithms reject keys of this size.
                    with contextlib.suppress(OSError):
                        transform.set_key(os.urandom(chance.choice((8, 16, 24, 32, 64))))
                if opened and chance.random() < 0.3:
                    stack.pop_all().close()
        return DONE if opened else REFUSED


class Cpus(Event):
    """A CPU goes offline, and online again."""

    name = "cpus"

    def missing(self) -> str:
        return "" if CPU.exists() else "the guest has one CPU"

    def run(self, chance: random.Random) -> str:
        outcome = _write(CPU, "0", errno.EBUSY)
        time.sleep(chance.uniform(0, 0.3))
        _write(CPU, "1")
        return outcome

    def settle(self) -> None:
        CPU.write_text("1")


class Sleep(Event):
    """The device is frozen and restored, as in a system suspend."""

    name = "sleep"

    def missing(self) -> str:
        if not SLEEP.exists():
            return f"there is no {SLEEP}"
        if not FREEZE_MS.exists():
            subprocess.run(["insmod", SLEEP], check=True)
        return ""

    def run(self, chance: random.Random) -> str:
        return _write(FREEZE_MS, str(chance.choice((0, 1, 50, 300))))


class Debugfs(Event):
    """The files in debugfs are read."""

    name = "debugfs"
    pause = 0.01

    def run(self, chance: random.Random) -> str:
        count = 0
        for _ in range(20):
            for file in (*DEBUGFS.glob("*/status"), DEBUGFS / "fallbacks"):
                try:
                    count += bool(file.read_text())
                except OSError as error:
                    # EIO: the file is being removed.
                    if error.errno not in (*ABSENT, errno.EIO):
                        raise
        return DONE if count else REFUSED


def every(gate: Gate, limit: float) -> list[Event]:
    """Returns all events."""
    return [
        Reset(), Bind(), Rmmod(gate, limit), Unplug(), NeedsReset(), Silence(), Ready(), Keys(),
        Users(), Cpus(), Sleep(), Debugfs(),
    ]  # fmt: skip
