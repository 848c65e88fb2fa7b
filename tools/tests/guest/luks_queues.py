#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""A LUKS2 volume with the defaults of cryptsetup, used by every CPU at once. Every data queue of
the device must serve it. cryptsetup's benchmark must measure the device.

usage: luks_queues.py [--size MIB]

For a guest with the module parameter prefer=1, and a reference device with one data queue for each
CPU. fio writes a file for each CPU to ext4 on the volume and reads it back. Then the kernel's own
cipher reads all files.
"""

import argparse
import json
import os
import re
from pathlib import Path

from lib import afalg, ciphers, crypto, reference, tap, volume
from lib.tap import check, check_equal, test
from lib.volume import run

parser = argparse.ArgumentParser()
parser.add_argument("--size", type=int, default=4, help="MiB for each CPU")
options = parser.parse_args()
CPUS = os.cpu_count() or 1
NAME = ciphers.XTS.name
KEY = volume.MOUNTS / "key"


def served() -> list[int]:
    """Returns how many requests each data queue has served."""
    status = reference.status()
    queues = sorted(line["queue"] for line in status["queues"] if line["queue"] != "control")
    return [reference.requests(status, queue=queue, status="OK") for queue in queues]


def fio(folder: Path) -> int:
    """Writes and reads back a file on every CPU. Returns the number of errors."""
    output = run(
        "fio", "--name=files", f"--directory={folder}", f"--size={options.size}M",
        f"--numjobs={CPUS}", f"--cpus_allowed=0-{CPUS - 1}", "--cpus_allowed_policy=split",
        "--rw=randwrite", "--bsrange=4k-64k", "--direct=1", "--ioengine=libaio", "--iodepth=8",
        "--verify=crc32c", "--verify_fatal=1", "--do_verify=1", "--group_reporting",
        "--output-format=json",
    )  # fmt: skip
    jobs = json.loads(output[output.index("{") :])["jobs"]
    tap.note(f"{jobs[0]['write']['total_ios']} writes, {jobs[0]['read']['total_ios']} reads")
    check(jobs[0]["read"]["total_ios"] > 0, "nothing was read back")
    return sum(job["error"] for job in jobs)


@test("default LUKS2 volume, all CPUs: correct contents, every data queue serves it")
def _() -> None:
    check(crypto.preferred(NAME), "the module is not loaded with prefer=1")
    with volume.disk(32 + 2 * CPUS * options.size) as disk:
        KEY.write_bytes(os.urandom(64))
        run("cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", "--pbkdf", "pbkdf2",
            "--pbkdf-force-iterations", "1000", "--key-file", KEY, disk)  # fmt: skip
        before = served()
        run("cryptsetup", "open", "--disable-keyring", "--key-file", KEY, disk, "luks")
        try:
            opened = Path("/dev/mapper/luks")
            line = run("dmsetup", "table", "--showkeys", "luks").strip()
            volume.make_file_system(opened)
            with volume.mounted(opened) as folder:
                check_equal(fio(folder), 0, "fio's errors")
                expected = volume.fingerprints(folder)
            volume.check_file_system(opened)
        finally:
            run("cryptsetup", "close", "luks")
        made = [after - count for after, count in zip(served(), before)]
        tap.note(f"requests by queue: {made}")
        check_equal(len(made), CPUS, "data queues")
        check(min(made) >= sum(made) // CPUS // 10, "a queue has served hardly any request")

        check(" aes-xts-plain64 " in line, f"unexpected table: {line}")
        generic = f"capi:{crypto.generic(NAME).driver}-plain64"
        with volume.mapped("generic", line.replace("aes-xts-plain64", generic)) as opened:
            volume.check_file_system(opened)
            with volume.mounted(opened, "ro") as folder:
                volume.check_tree(folder, expected)
        check_equal(served(), [sum(counts) for counts in zip(made, before)], "later requests")


for algorithm, bits in (("aes-cbc", 128), ("aes-cbc", 256), ("aes-xts", 256), ("aes-xts", 512)):

    @test(f"cryptsetup benchmark: uses the device ({algorithm}, {bits} bits)")
    def _(algorithm: str = algorithm, bits: int = bits) -> None:
        afalg.prepare()
        before = sum(served())
        output = run("cryptsetup", "benchmark", "-c", f"{algorithm}-plain64", "-s", str(bits))
        tap.note(output.strip().splitlines()[-1])
        speeds = re.findall(r"([0-9.]+) MiB/s", output)
        check_equal(len(speeds), 2, "speeds")
        check(min(float(speed) for speed in speeds) > 0, "no speed")
        check(sum(served()) - before >= 20, f"only {sum(served()) - before} requests")


tap.run()
