#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Programs use the algorithms in random ways, and are killed at random moments.

usage: fuzz_users.py [--seconds N] [--seed SEED]

Results and errors of the programs are not checked. All programs must end when killed, the kernel
must report nothing, no session may be left, and later requests must be correct. For a guest with a
reference device.
"""

import argparse
import contextlib
import mmap
import multiprocessing
import os
import random
import signal
import socket
import threading
import time

from lib import afalg, ciphers, crypto, reference, tap, volume
from lib.kernel_log import KernelLog
from lib.tap import check, check_same, test, wait_until

LONG = 120  # time limit in seconds
PROGRAMS = 6
Process = multiprocessing.context.ForkProcess
CONTEXT = multiprocessing.get_context("fork")

parser = argparse.ArgumentParser()
parser.add_argument("--seconds", type=int, default=60)
parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
options = parser.parse_args()
log = KernelLog()


def usable_algorithms() -> list[tuple[str, str]]:
    """Returns type and driver name of the driver's algorithms that AF_ALG can bind."""
    kinds = {"skcipher": "skcipher", "aead": "aead", "ahash": "hash"}
    return [
        (kinds[alg.fields["type"]], driver)
        for driver, alg in sorted(crypto.ours().items())
        if alg.fields["type"] in kinds and (alg.synchronous or alg.fields["type"] == "ahash")
    ]


def random_size(chance: random.Random, most: int) -> int:
    """Returns a random size, mostly small or near a power of two."""
    size = chance.choice((0, 1, 12, 15, 16, 17, 24, 31, 32, 48, 64, 100, 255, 4095, 4096, 65536))
    return min(most, max(0, size + chance.choice((0, 0, 0, -1, 1, chance.randrange(64)))))


def make_random_call(
    chance: random.Random, bound: socket.socket, streams: list[socket.socket]
) -> None:
    """Makes a random call on a transform or one of its operations."""
    stream = chance.choice(streams) if streams else None
    match chance.randrange(9):
        case 0 | 1:
            size = random_size(chance, 200)
            bound.setsockopt(afalg.SOL_ALG, socket.ALG_SET_KEY, os.urandom(size))
        case 2:
            size = chance.choice((16, 24, 32, 64))
            bound.setsockopt(afalg.SOL_ALG, socket.ALG_SET_KEY, os.urandom(size))
        case 3:
            bound.setsockopt(
                afalg.SOL_ALG, socket.ALG_SET_AEAD_AUTHSIZE, None, chance.randrange(34)
            )
        case 4:
            streams.append(bound.accept()[0])
            streams[-1].settimeout(0.05)
        case 5 | 6 if stream:
            kind = chance.choice((afalg.ENCRYPT, afalg.DECRYPT, chance.randrange(5)))
            extra: dict[str, object] = {"op": kind}
            if chance.random() < 0.8:
                size = chance.choice((8, 12, 16, 16, 16, random_size(chance, 40)))
                extra["iv"] = os.urandom(size)
            if chance.random() < 0.3:
                extra["assoclen"] = random_size(chance, 5000)
            pieces = [os.urandom(random_size(chance, 70000)) for _ in range(chance.randint(1, 4))]
            flags = chance.choice((0, 0, socket.MSG_MORE)) | socket.MSG_DONTWAIT
            stream.sendmsg_afalg(pieces, flags=flags, **extra)  # type: ignore[arg-type]
        case 7 if stream:
            stream.recv(random_size(chance, 70000), chance.choice((0, socket.MSG_DONTWAIT)))
        case 8 if stream and chance.random() < 0.3:
            streams.remove(stream)
            stream.close()


def run_program(seed: int, algorithms: list[tuple[str, str]]) -> None:
    """Uses random transforms forever. Several threads may share a transform."""
    chance = random.Random(seed)
    while True:
        kind, name = chance.choice(algorithms)
        with contextlib.suppress(OSError):
            with socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET) as bound:
                bound.bind((kind, name))
                threads = [
                    threading.Thread(
                        target=make_random_calls, args=(chance.getrandbits(32), bound), daemon=True
                    )
                    for _ in range(chance.choice((1, 1, 3)))
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()


def make_random_calls(seed: int, bound: socket.socket) -> None:
    """Makes random calls on a transform."""
    chance = random.Random(seed)
    streams: list[socket.socket] = []
    for _ in range(chance.randint(5, 60)):
        with contextlib.suppress(OSError, ValueError):
            make_random_call(chance, bound, streams)
    for stream in streams:
        stream.close()


def run_disk_load(seed: int) -> None:
    """Writes and reads a mapped device in random sizes forever."""
    chance = random.Random(seed)
    device = os.open("/dev/mapper/fuzz", os.O_RDWR | os.O_DIRECT)
    buffer = memoryview(mmap.mmap(-1, 1 << 18))
    while True:
        size = chance.choice((512, 1024, 4096, 8192, 65536, 1 << 18))
        offset = chance.randrange(0, (4 << 20) - size, 512)
        if chance.random() < 0.5:
            os.pwritev(device, [buffer[:size]], offset)
        else:
            os.preadv(device, [buffer[:size]], offset)


def kill(process: Process, what: str) -> None:
    """Kills a program. Fails the test if the program does not end."""
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join(LONG)
    check(process.exitcode == -signal.SIGKILL, f"{what}: {process.exitcode} after SIGKILL")


@test(f"random use by killed programs (seed {options.seed}, {options.seconds} s)")
def _() -> None:
    chance = random.Random(options.seed)
    algorithms = usable_algorithms()
    check(len(algorithms) > 10, f"{algorithms}: too few algorithms")
    number = 0
    with volume.disk(8) as disk:
        line = volume.table(disk, f"capi:{ciphers.XTS.asynchronous}-plain64", os.urandom(64), 512)
        with volume.mapped("fuzz", line):
            end = time.monotonic() + options.seconds
            running: list[Process] = []
            while time.monotonic() < end:
                while len(running) < PROGRAMS:
                    number += 1
                    seed = chance.getrandbits(32)
                    if sum(process.name == "disks" for process in running) < 2:
                        process = CONTEXT.Process(target=run_disk_load, args=(seed,), name="disks")
                    else:
                        process = CONTEXT.Process(target=run_program, args=(seed, algorithms))
                    process.daemon = True
                    process.start()
                    running.append(process)
                time.sleep(chance.uniform(0, 2))
                victim = running.pop(chance.randrange(len(running)))
                check(victim.exitcode is None, f"{victim.name} has ended: {victim.exitcode}")
                kill(victim, victim.name)
            for process in running:
                kill(process, process.name)
    tap.note(f"{number} programs")


@test("all programs ended: no session is left")
def _() -> None:
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "no session")


@test("device: correct results")
def _() -> None:
    before = reference.data_requests(reference.status(), status="OK")
    for cipher in ciphers.of_devices():
        key, iv, data = cipher.random_key(), cipher.random_iv(), os.urandom(4096)
        with afalg.Transform(cipher.synchronous, key) as transform:
            expected = cipher.openssl(key, iv, data)
            check_same(transform.crypt(afalg.ENCRYPT, iv, data), expected, cipher.name)
    after = reference.data_requests(reference.status(), status="OK")
    check(after > before, "the device has served no request")


@test("no kernel reports")
def _() -> None:
    log.check_quiet()


if __name__ == "__main__":
    afalg.prepare()
    tap.run()
