#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Many requests in the kernel, programs through AF_ALG, and volumes on dm-crypt, all in parallel.

usage: stress.py [--requests N] [--threads N] [--depth N] [--max-len BYTES] [--programs N]
                 [--room] [CIPHER...]

For a guest with vc_stress.ko in the shared folder. The module makes N requests of each CIPHER, for
example "cbc(aes)", or of all ciphers, in both variants. Each of its threads has --depth requests
in flight. Programs and volumes run until the module has ended. All results are compared with the
kernel's own implementation. The rings must be full most of the time, unless --room is given.
"""

import argparse
import contextlib
import mmap
import multiprocessing
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

from lib import afalg, ciphers, crypto, host, reference, tap, volume
from lib.ciphers import Cipher
from lib.kernel_log import KernelLog
from lib.tap import check, check_equal, check_same, test, wait_until
from lib.test_module import TestModule

MIB = 1 << 20
# Mostly short, to allow many requests.
SIZES = (16, 16, 32, 48, 160, 512, 512, 1024, 4096, 4096, 20000, 65536)
CONTEXT = multiprocessing.get_context("fork")

parser = argparse.ArgumentParser()
parser.add_argument("--requests", type=int, default=10000)
parser.add_argument("--threads", type=int, default=4)
parser.add_argument("--depth", type=int, default=64)
parser.add_argument("--max-len", type=int, default=8192)
parser.add_argument("--programs", type=int, default=3)
parser.add_argument("--room", action="store_true", help="the rings need not be full")
parser.add_argument("ciphers", nargs="*")
options = parser.parse_args()
ALL = [ciphers.ALL[name] for name in options.ciphers] or ciphers.of_devices()
log = KernelLog()

# A worker repeats an operation until the event is set, and returns the number of its requests.
Work = Callable[[random.Random, Event], int]


def program(chance: random.Random, stop: Event) -> int:
    """Encrypts and decrypts through AF_ALG, with a new key every 20 requests."""
    made = 0
    while not stop.is_set():
        cipher = chance.choice(ALL)
        key = cipher.random_key()
        with (
            afalg.Transform(cipher.synchronous, key) as ours,
            afalg.Transform(cipher.generic, key) as generic,
        ):
            for _ in range(20):
                made += one_request(cipher, ours, generic, chance)
    return made


def one_request(
    cipher: Cipher, ours: afalg.Transform, generic: afalg.Transform, chance: random.Random
) -> int:
    """Encrypts or decrypts random data with both implementations, and compares the results."""
    size = chance.choice(SIZES)
    if cipher.any_length:
        size += chance.choice((0, 0, 1, 7, 13))
    operation, iv, data = chance.choice((0, 1)), cipher.random_iv(), os.urandom(size)
    expected = generic.crypt(operation, iv, data)
    what = f"{cipher.synchronous}, {size} bytes, operation {operation}"
    check_same(ours.crypt(operation, iv, data), expected, what)
    return 1


class Disk:
    """A mapped volume, written and read without the page cache."""

    def __init__(self, device: Path) -> None:
        self.descriptor = os.open(device, os.O_RDWR | os.O_DIRECT)
        self.buffer = memoryview(mmap.mmap(-1, 65536))

    def write(self, offset: int, data: bytes) -> None:
        """Writes data at an offset."""
        self.buffer[: len(data)] = data
        written = os.pwritev(self.descriptor, [self.buffer[: len(data)]], offset)
        check_equal(written, len(data), "bytes written")

    def read(self, offset: int, size: int) -> bytes:
        """Reads data at an offset."""
        got = os.preadv(self.descriptor, [self.buffer[:size]], offset)
        check_equal(got, size, "bytes read")
        return bytes(self.buffer[:size])


def writer(devices: tuple[Path, Path], start: int, end: int) -> Work:
    """Returns a worker on a part of a volume. One implementation writes, the other reads."""

    def work(chance: random.Random, stop: Event) -> int:
        disks = [Disk(device) for device in devices]
        made = 0
        while not stop.is_set():
            size = chance.choice((512, 512, 1024, 4096, 4096, 16384, 65536))
            offset = chance.randrange(start, end - size + 1, 512)
            data = os.urandom(size)
            chance.shuffle(disks)
            disks[0].write(offset, data)
            check_same(disks[1].read(offset, size), data, f"{size} bytes at {offset}")
            made += size // 512
        return made

    return work


@contextlib.contextmanager
def opened(cipher: Cipher, disk: Path) -> Iterator[tuple[Path, Path]]:
    """Opens a volume with the driver and, at the same time, with the kernel's own cipher."""
    key = cipher.random_key()
    with contextlib.ExitStack() as stack:
        yield tuple(  # type: ignore[misc]
            stack.enter_context(
                volume.mapped(driver, volume.table(disk, f"capi:{driver}-plain64", key, 512))
            )
            for driver in (cipher.asynchronous, cipher.generic)
        )


def run_worker(name: str, work: Work, stop: Event, results: "Queue[tuple[str, int, str]]") -> None:
    """Runs a worker in a process of its own, and reports its result."""
    seed = int.from_bytes(os.urandom(4))
    try:
        results.put((name, work(random.Random(seed), stop), ""))
    except Exception as error:
        results.put((name, 0, f"{name}, seed {seed}: {error!r}"))


@contextlib.contextmanager
def working(workers: list[tuple[str, Work]], made: dict[str, int]) -> Iterator[None]:
    """Runs workers during the block. `made` gets the number of their requests."""
    stop, results = CONTEXT.Event(), CONTEXT.Queue()
    processes = [
        CONTEXT.Process(target=run_worker, args=(name, work, stop, results), daemon=True)
        for name, work in workers
    ]
    for process in processes:
        process.start()
    wrong = []
    try:
        yield
    finally:
        stop.set()
        with tap.time_limit(300, "the workers end"):
            for _ in processes:
                name, count, error = results.get()
                made[name] = made.get(name, 0) + count
                wrong += [error] if error else []
        for process in processes:
            process.join()
    check(not wrong, "\n".join(wrong))


@test(
    f"{options.requests} requests in the kernel, and parallel programs and volumes: correct "
    "results, each request completes once"
)
def _() -> None:
    afalg.prepare()
    made: dict[str, int] = {}
    pairs = [f"{driver}:{cipher.generic}" for cipher in ALL for driver in cipher.variants]
    with contextlib.ExitStack() as stack:
        workers: list[tuple[str, Work]] = [("programs", program)] * options.programs
        for cipher in (ciphers.XTS, ciphers.ALL[crypto.NAME]):
            devices = stack.enter_context(opened(cipher, stack.enter_context(volume.disk(8))))
            workers += [("volumes", writer(devices, at * MIB, (at + 4) * MIB)) for at in (0, 4)]
        started = time.monotonic()
        with host.watched() as work:
            with working(workers, made):
                module = TestModule(
                    "vc_stress",
                    ciphers=",".join(pairs),
                    requests=options.requests,
                    threads=options.threads,
                    depth=options.depth,
                    max_len=options.max_len,
                )
                # Run the workers for at least this time.
                time.sleep(5)
                output = module.finish()
        tap.note(f"{time.monotonic() - started:.0f} s; other requests, in sectors: {made}")
        tap.note(str(work))
        check(min(made.values()) > 0, "a kind of worker has made no request")
        least = options.requests // 5
        check(work.ops >= least, f"the host has served {work.ops} requests, expected {least}")
        backlogged = [int(count) for count in re.findall(r"(\d+) of them backlogged", output)]
        full = options.room or sum(backlogged) >= options.requests // 100
        check(full, f"{backlogged} requests were backlogged")


@test("data queues with a CPU: all have served requests")
def _() -> None:
    if not reference.devices():
        raise tap.Skip("QEMU's device has one queue")
    status = reference.status()
    queues = [line["queue"] for line in status["queues"] if line["queue"] != "control"]
    served = {queue: reference.requests(status, queue=queue, status="OK") for queue in queues}
    tap.note(str(served))
    idle = [queue for queue in queues[: os.cpu_count()] if not served[queue]]
    check(not idle, f"queues {idle} have served no request")


@test("no session is left on the device")
def _() -> None:
    if not reference.devices():
        raise tap.Skip("QEMU's device does not report its sessions")
    wait_until(lambda: reference.status()["sessions"] == 0, 10, "no session")


@test("no kernel reports")
def _() -> None:
    log.check_quiet()


tap.run()
