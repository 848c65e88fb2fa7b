#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Measures the settings or programs of one guest, with the count plugin or with the clock.

usage: measure.py PLAN

Runs in a guest, with the modules of tools/bench/module in /mnt/share. plan.py has written PLAN.
Writes the results to "measured.json" in /mnt/share:

- for settings that are counted, their marks and the modules of their drivers
- for settings that are timed, their times
- for programs, their marks and numbers of requests

After counting, this program also writes "kallsyms", which maps the plugin's addresses to functions.
"""

import json
import multiprocessing
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from programs import Program
from settings import Keys, Setting

SHARE = Path("/mnt/share")
DEVICES = Path("/sys/bus/virtio/devices")
DRIVERS = Path("/sys/bus/virtio/drivers")
CRYPTO_DEVICE = 0x14
# The names of the drivers on the virtio bus, by implementation.
BUS_DRIVERS = {"rust": "virtio_crypto_rs", "c": "virtio_crypto", "ring": "vc_ring"}
REGISTERED_SECONDS = 60


class Problem(Exception):
    """A setting cannot be measured."""


def run(*command: str | Path) -> None:
    """Runs a command that must succeed."""
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise Problem(f"{' '.join(map(str, command))}: {result.stderr.strip()}")


def devices() -> list[str]:
    """Returns the crypto devices, in the order of the options of vm."""
    names = [path.name for path in DEVICES.iterdir() if _id(path) == CRYPTO_DEVICE]
    return sorted(names, key=lambda name: int(name.removeprefix("virtio")))


def _id(device: Path) -> int:
    return int((device / "device").read_text(), 16)


def driver_of(device: str) -> str:
    """Returns the driver that a device is bound to, or '' if there is none."""
    link = DEVICES / device / "driver"
    return link.resolve().name if link.exists() else ""


def bind(device: str, driver: str) -> None:
    """Binds a device to a driver, or unbinds it if ``driver`` is ''."""
    bound = driver_of(device)
    if bound == driver:
        return
    if bound:
        (DRIVERS / bound / "unbind").write_text(device)
    if driver:
        (DRIVERS / driver / "bind").write_text(device)


def distribute(implementations: list[str]) -> None:
    """Loads the drivers, and binds each device to the driver of its implementation."""
    names = devices()
    if len(names) != len(implementations):
        raise Problem(f"there are {len(names)} crypto devices, expected {len(implementations)}")
    # The Rust driver was loaded first, and is bound to all devices.
    for name, implementation in zip(names, implementations, strict=True):
        if implementation != "rust":
            bind(name, "")
    if "c" in implementations:
        run("modprobe", "virtio_crypto")
    # The C driver is now bound to all other devices.
    for name, implementation in zip(names, implementations, strict=True):
        if implementation == "ring":
            bind(name, "")
    run("insmod", SHARE / "vc_bench.ko")
    if "ring" in implementations:
        run("insmod", SHARE / "vc_ring.ko")
    for name, implementation in zip(names, implementations, strict=True):
        bind(name, BUS_DRIVERS[implementation])
        if driver_of(name) != BUS_DRIVERS[implementation]:
            raise Problem(f"{name} is not bound to {BUS_DRIVERS[implementation]}")


def use_only(device_kinds: list[str], implementations: list[str], kind: str) -> None:
    """Binds the Rust driver to its device of one kind, and unbinds it from its other devices."""
    for name, device_kind, who in zip(devices(), device_kinds, implementations, strict=True):
        if who == "rust":
            bind(name, BUS_DRIVERS[who] if device_kind == kind else "")


def modules() -> dict[str, str]:
    """Returns the modules of the registered algorithms by driver name."""
    module_of = {}
    for paragraph in Path("/proc/crypto").read_text().split("\n\n"):
        fields = dict(line.split(":", 1) for line in paragraph.splitlines() if ":" in line)
        stripped = {name.strip(): value.strip() for name, value in fields.items()}
        if "driver" in stripped:
            module_of[stripped["driver"]] = stripped["module"]
    return module_of


def modules_of(driver: str) -> set[str]:
    """Returns the modules of a driver name. It may be that of a template with several
    algorithms."""
    module_of = modules()
    return {module_of.get(part, "kernel") for part in re.split("[(),]", driver)} - {"kernel"}


def driver_modules(setting: Setting) -> list[str]:
    """Returns the modules that the setting's driver consists of. The C driver uses
    crypto_engine."""
    if setting.who == "ring":
        return [BUS_DRIVERS["ring"]]
    engine = {"crypto_engine"} if setting.who == "c" else set()
    return sorted(modules_of(setting.driver) | engine)


def wait_registered(setting: Setting) -> None:
    """Waits until the driver has registered the setting's algorithm."""
    parts = re.split("[(),]", setting.driver) if setting.who == "rust" else []
    registered_name = next((part for part in parts if part.endswith("-virtio")), "")
    end = time.monotonic() + REGISTERED_SECONDS
    while registered_name and registered_name not in modules():
        if time.monotonic() > end:
            raise Problem(f"{registered_name} is not registered: the device does not support it")
        time.sleep(0.2)


def measure(setting: Setting, mark: int, rounds: int, keys: Keys) -> list[int]:
    """Makes the requests of a setting. Returns the nanoseconds of each round."""
    name = "vc_ring" if setting.who == "ring" else "vc_bench"
    file = Path("/sys/kernel/debug", name, "run")
    with file.open("r+b", buffering=0) as stream:
        try:
            stream.write(setting.command(mark, rounds, keys).encode())
        except OSError as error:
            stream.seek(0)
            reason = stream.read().decode().strip() or error.strerror
            raise Problem(f"{setting}: {reason}") from None
        stream.seek(0)
        return [int(ns) for ns in stream.read().split()]


class Guest:
    """A guest and its plan."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.device_kinds = [kind.partition(":")[0] for kind, _ in plan["devices"]]
        self.implementations = [implementation for _, implementation in plan["devices"]]
        self.keys = Keys(SHARE / "keys")
        self.began = time.monotonic()
        self.steps = 0

    def say(self, step: str) -> None:
        """Prints the next step, and an estimate of the remaining time."""
        remaining = self.plan["total"] - self.plan["done"] - self.steps
        spent = time.monotonic() - self.began
        seconds = f", about {spent / self.steps * remaining:.0f} s left" if self.steps else ""
        self.steps += 1
        number = self.plan["done"] + self.steps
        print(f"{number} of {self.plan['total']}: {step}{seconds}", flush=True)

    def measure(self, setting: Setting, mark: int, rounds: int) -> list[int]:
        """Measures a setting on its device."""
        if setting.device:
            use_only(self.device_kinds, self.implementations, setting.device)
            wait_registered(setting)
        return measure(setting, mark, rounds, self.keys)

    def counted(self) -> list[dict[str, object]]:
        """Measures each setting between marks."""
        results: list[dict[str, object]] = []
        rounds = self.plan["rounds"]
        for number, fields in enumerate(self.plan["settings"]):
            setting = Setting(**fields)
            self.say(str(setting))
            mark = 1 + number * rounds
            self.measure(setting, mark, rounds)
            results.append({"setting": fields, "mark": mark, "modules": driver_modules(setting)})
        return results

    def programs(self) -> list[dict[str, object]]:
        """Measures each program between marks."""
        from loads import load, measuring  # takes a second

        measuring.prepare()
        mark = 1
        results = []
        for fields in self.plan["programs"]:
            program = Program(**fields)
            self.say(str(program))
            try:
                measured = measuring.measure(program, mark, self.plan["rounds"])
            except load.Unable as error:
                raise Problem(str(error)) from error
            results.append({"program": fields, "mark": mark, "driver": measured.driver,
                            "modules": sorted(modules_of(measured.driver)),
                            "requests": measured.requests})  # fmt: skip
            mark += 2 * self.plan["rounds"]
        return results

    def timed(self) -> list[dict[str, object]]:
        """Measures the two settings of each pair alternately."""
        results: list[dict[str, object]] = []
        for pair in self.plan["pairs"]:
            a, b = (Setting(**fields) for fields in pair)
            self.say(f"{a} against {b}")
            times = [
                [self.measure(setting, 0, 1)[0] / setting.requests for setting in (a, b)]
                for _ in range(self.plan["rounds"])
            ]
            results.append({"a": pair[0], "b": pair[1], "ns": times})
        return results

    def scaled(self) -> list[dict[str, object]]:
        """Measures each setting on all processors at the same time."""
        return [
            {"setting": fields, "processors": self.plan["processors"], "rates": self.rates(fields)}
            for fields in self.plan["settings"]
        ]

    def contended(self) -> list[dict[str, object]]:
        """Counts how often the guest waits for a lock, per request."""
        results: list[dict[str, object]] = []
        processors = self.plan["processors"]
        with Spins() as spins:
            for fields in self.plan["settings"]:
                before = spins.count()
                self.rates(fields)
                requests = Setting(**fields).requests * self.plan["rounds"] * processors
                spun = (spins.count() - before) / requests
                results.append({"setting": fields, "processors": processors, "lock_spins": spun})
        return results

    def rates(self, fields: dict[str, Any]) -> list[float]:
        """Returns the requests per second of each processor, with all processors busy."""
        setting, processors = Setting(**fields), self.plan["processors"]
        self.say(f"{setting} on {processors} processors")
        wait_registered(setting)
        with multiprocessing.get_context("fork").Pool(processors) as pool:
            jobs = [(setting, number, self) for number in range(processors)]
            return pool.starmap(on_processor, jobs, chunksize=1)


class Spins:
    """Counts calls of the function in which the kernel waits for a spinlock, with a kprobe."""

    FOLDER = Path("/sys/kernel/tracing")
    NAME = "lock_spin"

    def __enter__(self) -> "Spins":
        if not (self.FOLDER / "kprobe_events").exists():
            run("mount", "-t", "tracefs", "none", self.FOLDER)
        try:
            (self.FOLDER / "kprobe_events").write_text(
                f"p:{self.NAME} native_queued_spin_lock_slowpath\n"
            )
            self._enable(True)
        except OSError as error:
            raise Problem(f"cannot count waits for locks: {error.strerror}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._enable(False)
        # Opening the file with O_TRUNC removes all kprobes.
        (self.FOLDER / "kprobe_events").write_text("")

    def _enable(self, on: bool) -> None:
        (self.FOLDER / f"events/kprobes/{self.NAME}/enable").write_text(str(int(on)))

    def count(self) -> int:
        """Returns the number of calls."""
        for line in (self.FOLDER / "kprobe_profile").read_text().splitlines():
            name, hits, _ = line.split()
            if name == self.NAME:
                return int(hits)
        raise Problem("the kprobe does not exist any more")


def on_processor(setting: Setting, number: int, guest: Guest) -> float:
    """Measures on one processor. Returns the requests per second."""
    os.sched_setaffinity(0, {number})
    rounds: int = guest.plan["rounds"]
    spent = measure(setting, 0, rounds, guest.keys)
    return setting.requests * rounds / sum(spent) * 1e9


def accelerator() -> str:
    """Returns the guest's accelerator."""
    log = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    return "kvm" if "Hypervisor detected: KVM" in log else "tcg"


def main() -> None:
    """Measures the settings or programs of the plan."""
    guest = Guest(json.loads(Path(sys.argv[1]).read_text()))
    run("modprobe", "-a", "aesni_intel", "authenc", "gcm", "rsa_generic", "ecdsa_generic")
    distribute(guest.implementations)
    results: dict[str, object] = {"accelerator": accelerator(), "rounds": guest.plan["rounds"]}
    if guest.plan["pairs"]:
        results["timed"] = guest.timed()
    elif guest.plan["programs"]:
        results["programs"] = guest.programs()
        (SHARE / "kallsyms").write_text(Path("/proc/kallsyms").read_text())
    elif guest.plan["counted"]:
        results["measured"] = guest.counted()
        (SHARE / "kallsyms").write_text(Path("/proc/kallsyms").read_text())
    elif guest.plan["contended"]:
        results["contended"] = guest.contended()
    else:
        results["scaled"] = guest.scaled()
    (SHARE / "measured.json").write_text(json.dumps(results))


if __name__ == "__main__":
    try:
        main()
    except Problem as problem:
        sys.exit(f"measure: {problem}")
