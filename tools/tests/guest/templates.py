#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Templates over the driver's algorithms: each template that works without the driver works with
the driver, with the same results.

usage: templates.py [--ko FILE] [PREFER...]

For a guest with vc_templates.ko in the shared folder. The module is loaded without the driver, and
then with the driver, for each value of the driver's parameter "prefer", 0 and 1 by default. Each
algorithm that can be allocated without the driver, by any method, must be allocated with the driver
and return the same results. At the end, one synchronous transform has more parallel callers than
request contexts.
"""

import argparse
import dataclasses
import functools
import os
import subprocess
import threading
from pathlib import Path

from lib import afalg, crypto, module, reference, tap, test_module
from lib.offload import OffloadStats
from lib.tap import check, check_equal, check_same, test

SELFTEST = 120
TIMEOUT = 2000
CONTEXTS = 4
# An instance has the name of its inner algorithm, so the next run would find the instance.
SHADOWING = ("pcrypt", "cryptd")
# Algorithms and methods that must use the device with prefer=1.
OFFLOADED = (
    ("essiv(cbc(aes),sha256)", "stack"),
    ("cts(cbc(des3_ede))", "stack"),
    ("essiv(cbc(aes),sha256)", "any"),
    ("authencesn(hmac(sha256),cbc(aes))", "sync"),
    ("rfc4543(gcm(aes))", "sync"),
    ("seqiv(rfc4106(gcm(aes)))", "sync"),
    ("echainiv(authenc(hmac(sha256),cbc(aes)))", "any"),
    ("essiv(authenc(hmac(sha256),cbc(aes)),sha256)", "sync"),
)
# Algorithms that exist with the driver only, the algorithm with the same results, and the template.
ALIASES = {
    "hmac(sha256-virtio)": ("hmac(sha256)", "hmac"),
    "lrw(ecb-aes-virtio)": ("lrw(aes)", "lrw"),
    "lrw(ecb-aes-virtio-sync)": ("lrw(aes)", "lrw"),
    "xts(ecb-aes-virtio)": ("xts(aes)", "xts"),
    "xts(ecb-aes-virtio-sync)": ("xts(aes)", "xts"),
    "gcm_base(ctr-aes-virtio,ghash-lib)": ("gcm(aes)", "gcm"),
    "gcm_base(ctr-aes-virtio-sync,ghash-lib)": ("gcm(aes)", "gcm"),
    "ccm_base(ctr-aes-virtio,cbcmac-aes-lib)": ("ccm(aes)", "ccm"),
    "ccm_base(ctr-aes-virtio-sync,cbcmac-aes-lib)": ("ccm(aes)", "ccm"),
    "pcrypt(gcm-aes-virtio)": ("gcm(aes)", "pcrypt"),
    "pcrypt(ccm-aes-virtio-sync)": ("ccm(aes)", "pcrypt"),
    "pcrypt(authenc-hmac-sha256-cbc-aes-virtio-sync)": (
        "authenc(hmac(sha256),cbc(aes))",
        "pcrypt",
    ),
    "cryptd(cbc-aes-virtio-sync)": ("cbc(aes)", "cryptd"),
    "cryptd(gcm-aes-virtio-sync)": ("gcm(aes)", "cryptd"),
}

parser = argparse.ArgumentParser()
parser.add_argument("--ko", type=Path, default=Path("/run/testbed/driver.ko"))
parser.add_argument("prefer", nargs="*", type=int, default=[0, 1])
options = parser.parse_args()


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of one allocation."""

    driver: str
    error: int
    digest: str

    @property
    def allocated(self) -> bool:
        """True if the allocation succeeded."""
        return self.driver != "-"

    def __str__(self) -> str:
        return f"{self.driver} error {self.error} digest {self.digest}"


# Name, key length, and method of allocation.
Key = tuple[str, str, str]
Results = dict[Key, Result]


def measure() -> Results:
    """Loads the test module and returns its results."""
    output = test_module.TestModule("vc_templates").finish(quiet=True)
    for name in SHADOWING:
        subprocess.run(["rmmod", name], check=False, capture_output=True)
    found: Results = {}
    for line in output.splitlines():
        words = line.split()
        if words[:2] == ["#", "result"]:
            name, size, method, driver, error, digest = words[2:]
            found[name, size, method] = Result(driver, int(error), digest)
    check(len(found) > 100, f"{len(found)} results")
    return found


def data_requests() -> int:
    """Returns how many requests the device has served."""
    return reference.data_requests(reference.status(), status="OK")


def with_driver(prefer: int) -> tuple[Results, int]:
    """Returns the results with the driver, and the number of requests that the device has
    served."""
    module.load(options.ko, f"prefer={prefer}", seconds=SELFTEST)
    module.wait_passed(SELFTEST)
    before = data_requests()
    found = measure()
    return found, data_requests() - before


def compare(found: Results, keys: list[Key]) -> None:
    """Fails the test unless each result equals that of the run without the driver."""
    wrong = [
        f"{key}: {found[key]}; without the driver {EXPECTED[key]}"
        for key in keys
        if (found[key].error, found[key].digest) != (EXPECTED[key].error, EXPECTED[key].digest)
        or not found[key].allocated
    ]
    check(not wrong, "\n".join(wrong))
    tap.note(", ".join(f"{key[2]}: {found[key].driver}" for key in keys))


def reason(keys: list[Key]) -> str:
    """Returns why these algorithms cannot be allocated without the driver."""
    return f"not in this kernel (error {EXPECTED[keys[0]].error})"


def check_template(found: Results, name: str) -> None:
    """Checks that allocations that succeed without the driver succeed with it, with equal
    results."""
    keys = [key for key in EXPECTED if key[0] == name]
    allocated = [key for key in keys if EXPECTED[key].allocated]
    if not allocated:
        raise tap.Skip(reason(keys))
    compare(found, allocated)


def check_alias(found: Results, name: str, original: str, template: str) -> None:
    """Checks that a template over an algorithm of the driver gives the results of the original."""
    if subprocess.run(["modprobe", "-nq", f"crypto-{template}"], check=False).returncode:
        raise tap.Skip(f"this kernel has no {template}")
    keys = [key for key in found if key[0] == name and found[key].allocated]
    check(keys, f"{name} cannot be allocated")
    for key in keys:
        expected = EXPECTED[original, *key[1:]]
        check_equal(found[key].digest, expected.digest, f"{key}: digest")


def define(found: Results, work: int, prefer: int) -> None:
    """Defines the tests of one run with the driver."""
    for name in dict.fromkeys(key[0] for key in EXPECTED):
        if name not in ALIASES:
            test(f"{name}: same as without the driver, prefer={prefer}")(
                functools.partial(check_template, found, name)
            )

    for name, (original, template) in ALIASES.items():
        test(f"{name}: same as {original}, prefer={prefer}")(
            functools.partial(check_alias, found, name, original, template)
        )

    @test(f"templates: use the device if preferred, prefer={prefer}")
    def _() -> None:
        tap.note(f"the device has served {work} requests")
        if not prefer:
            return
        check(work > 1000, f"the device has served {work} requests")
        for name, method in OFFLOADED:
            drivers = [found[key].driver for key in found if (key[0], key[2]) == (name, method)]
            drivers = [driver for driver in drivers if driver != "-"]
            check(drivers, f"{name} {method}: not allocated")
            for driver in drivers:
                check("virtio" in driver, f"{name} {method}: {driver}")

    @test(f"on-stack requests by algorithm name: not on the driver, prefer={prefer}")
    def _() -> None:
        for name in ("ecb(aes)", "cbc(aes)", "ctr(aes)", "xts(aes)"):
            for key, result in found.items():
                if key[0] == name and key[2].startswith("stack"):
                    check("virtio" not in result.driver, f"{key}: {result.driver}")


module.unload(SELFTEST)
EXPECTED = measure()
for preferred in options.prefer:
    results, served = with_driver(preferred)
    define(results, served, preferred)
    module.unload(SELFTEST)


@test("more callers than request contexts: the rest waits, then uses the fallback")
def _() -> None:
    module.load(options.ko, f"timeout_ms={TIMEOUT}", seconds=SELFTEST)
    module.wait_passed(SELFTEST)
    afalg.prepare()
    key, iv = afalg.random_key(16)
    data = os.urandom(512)
    expected = afalg.openssl(key, iv, data)
    answers: list[bytes] = []
    with afalg.Transform(crypto.SYNC, key) as transform:
        check_same(transform.crypt(afalg.ENCRYPT, iv, data), expected, "one caller")
        threads = [
            threading.Thread(
                target=lambda: answers.append(transform.crypt(afalg.ENCRYPT, iv, data))
            )
            for _ in range(3 * CONTEXTS)
        ]
        stats, held = OffloadStats(), 0
        # The first callers get a context immediately, the next ones when the first have completed.
        # The last ones time out.
        with reference.faulty(f"delay:value={TIMEOUT * 3 // 5}:queue=0"):
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                held = max(held, sum(queue["held"] for queue in reference.status()["queues"]))
        for thread in threads:
            thread.join()
        check_equal(len(answers), len(threads), "callers with a result")
        for result in answers:
            check_same(result, expected, "one of several callers")
        check_equal(held, CONTEXTS, "requests in flight at a time")
        _, fallbacks = stats.share("many callers")
        check_equal(set(fallbacks), {"ring_full"}, "reasons for the fallback")


@test("all transforms freed: the driver can be unloaded")
def _() -> None:
    module.unload(SELFTEST)
    check(not crypto.ours(), "algorithms are still registered")


tap.run()
