#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Everybody at once: many requests in the kernel, programs by AF_ALG, and volumes by dm-crypt.

usage: stress.py [--requests N] [--threads N] [--depth N] [--max-len BYTES] [--programs N]
                 [--room] [CIPHER...]

For a guest with vc_stress.ko at /mnt/share. The module makes N requests, with DEPTH at a time in
each of its threads, of each CIPHER ("cbc(aes)" for example, all if none is given) in both variants;
programs and volumes go on until it has. All of it is compared, byte for byte, with what software
makes of it. The rings are expected to be full most of the time; --room says that they are not.
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
# Most requests are short: there are to be many.
SIZES = (16, 16, 32, 48, 160, 512, 512, 1024, 4096, 4096, 20000, 65536)
CONTEXT = multiprocessing.get_context("fork")

parser = argparse.ArgumentParser()
parser.add_argument("--requests", type=int, default=10000)
parser.add_argument("--threads", type=int, default=4)
parser.add_argument("--depth", type=int, default=64)
parser.add_argument("--max-len", type=int, default=8192)
parser.add_argument("--programs", type=int, default=3)
parser.add_argument("--room", action="store_true")
parser.add_argument("ciphers", nargs="*")
options = parser.parse_args()
ALL = [ciphers.ALL[name] for name in options.ciphers] or ciphers.of_devices()
log = KernelLog()

# A worker: does something over and over until told to stop, and returns how many requests it made.
Work = Callable[[random.Random, Event], int]


def program(chance: random.Random, stop: Event) -> int:
    """A program that has its data encrypted and decrypted by AF_ALG, with one key after another."""
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
    """Has some data encrypted or decrypted by both."""
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
        """Writes all of it."""
        self.buffer[: len(data)] = data
        written = os.pwritev(self.descriptor, [self.buffer[: len(data)]], offset)
        check_equal(written, len(data), "bytes written")

    def read(self, offset: int, size: int) -> bytes:
        """Reads all of it."""
        got = os.preadv(self.descriptor, [self.buffer[:size]], offset)
        check_equal(got, size, "bytes read")
        return bytes(self.buffer[:size])


def writer(devices: tuple[Path, Path], start: int, end: int) -> Work:
    """A user of a part of a volume: what the driver writes software reads, and the reverse."""

    def work(chance: random.Random, stop: Event) -> int:
        sides = [Disk(device) for device in devices]
        made = 0
        while not stop.is_set():
            size = chance.choice((512, 512, 1024, 4096, 4096, 16384, 65536))
            offset = chance.randrange(start, end - size + 1, 512)
            data = os.urandom(size)
            chance.shuffle(sides)
            sides[0].write(offset, data)
            check_same(sides[1].read(offset, size), data, f"{size} bytes at {offset}")
            made += size // 512
        return made

    return work


@contextlib.contextmanager
def opened(cipher: Cipher, disk: Path) -> Iterator[tuple[Path, Path]]:
    """A volume, opened with the driver and, at the same time, with software."""
    key = cipher.random_key()
    with contextlib.ExitStack() as stack:
        yield tuple(  # type: ignore[misc]
            stack.enter_context(
                volume.mapped(driver, volume.table(disk, f"capi:{driver}-plain64", key, 512))
            )
            for driver in (cipher.asynchronous, cipher.generic)
        )


def run_worker(name: str, work: Work, stop: Event, results: "Queue[tuple[str, int, str]]") -> None:
    """A process: reports what became of a worker."""
    seed = int.from_bytes(os.urandom(4))
    try:
        results.put((name, work(random.Random(seed), stop), ""))
    except Exception as error:
        results.put((name, 0, f"{name}, seed {seed}: {error!r}"))


@contextlib.contextmanager
def working(workers: list[tuple[str, Work]], made: dict[str, int]) -> Iterator[None]:
    """While the block runs, they work; how many requests they made is in `made` afterwards."""
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
    f"{options.requests} requests in the kernel, and those of programs and volumes meanwhile, "
    "each get the right result, once"
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
                # They are to have had some time at least.
                time.sleep(5)
                said = module.finish()
        tap.note(f"{time.monotonic() - started:.0f} s; requests besides, by sector: {made}")
        tap.note(str(work))
        check(min(made.values()) > 0, "somebody has made no request")
        least = options.requests // 5
        check(work.ops >= least, f"the host has done {work.ops} requests, of {least} at least")
        waited = [int(count) for count in re.findall(r"(\d+) of them backlogged", said)]
        full = options.room or sum(waited) >= options.requests // 100
        check(full, f"{waited} requests were backlogged")


@test("all data queues that there are CPUs for have worked")
def _() -> None:
    if not reference.devices():
        raise tap.Skip("QEMU's device has one")
    status = reference.status()
    queues = [line["queue"] for line in status["queues"] if line["queue"] != "control"]
    served = {queue: reference.requests(status, queue=queue, status="OK") for queue in queues}
    tap.note(str(served))
    idle = [queue for queue in queues[: os.cpu_count()] if not served[queue]]
    check(not idle, f"queues {idle} have done nothing")


@test("no session is left on the device")
def _() -> None:
    if not reference.devices():
        raise tap.Skip("QEMU's device does not tell")
    wait_until(lambda: reference.status()["sessions"] == 0, 10, "no session")


@test("the kernel has nothing to report")
def _() -> None:
    log.check_quiet()


tap.run()
