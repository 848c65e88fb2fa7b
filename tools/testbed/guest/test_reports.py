# SPDX-License-Identifier: GPL-2.0
"""Tests of reports.py: python3 -m unittest discover -s tools/testbed/guest"""

import re
import unittest

import reports

WARNING = """
------------[ cut here ]------------
told you so
WARNING: bad.c:22 at bad_init+0x6f/0xff0 [bad], CPU#0: insmod/167
Modules linked in: bad(OE+) aesni_intel
CPU: 0 UID: 0 PID: 167 Comm: insmod Tainted: G           OE       7.3.4
Call Trace:
 <TASK>
 do_one_initcall+0x57/0x310
 </TASK>
---[ end trace 0000000000000000 ]---
"""

OOPS = """
BUG: kernel NULL pointer dereference, address: 0000000000000008
#PF: supervisor write access in kernel mode
Oops: Oops: 0002 [#1] SMP NOPTI
Call Trace:
 <TASK>
 do_one_initcall+0x57/0x310
 </TASK>
Modules linked in: bad(OE+)
CR2: 0000000000000008
---[ end trace 0000000000000000 ]---
RIP: 0010:bad_init+0x6f/0xff0 [bad]
"""

KASAN = """
==================================================================
BUG: KASAN: slab-use-after-free in init_module+0x604/0x1000 [bad]
Write of size 1 at addr ff1100000ac32303 by task insmod/136
Call Trace:
 <TASK>
 dump_stack_lvl+0x63/0x80
 </TASK>

Allocated by task 136:
 kasan_save_track+0x3a/0x70
==================================================================
Disabling lock debugging due to kernel taint
"""

LOCKDEP = """
======================================================
WARNING: possible circular locking dependency detected
7.3.4-debug #1 Tainted: G           O
------------------------------------------------------
insmod/131 is trying to acquire lock:
stack backtrace:
Call Trace:
 <TASK>
 dump_stack_lvl+0x63/0x80
 </TASK>
"""

KCSAN = """
==================================================================
BUG: KCSAN: data-race in rust_helper_put+0x10/0x20 / take+0x4/0x90

write to 0xffff888100 of 8 bytes by task 41 on cpu 0:
 rust_helper_put+0x10/0x20 [virtio_crypto_rs]
 process_one_work+0x5e0/0xb10

read to 0xffff888100 of 8 bytes by interrupt on cpu 1:
 take+0x4/0x90 [virtio_crypto_rs]

Reported by Kernel Concurrency Sanitizer on:
CPU: 1 UID: 0 PID: 0 Comm: swapper/1 Tainted: G           O
==================================================================
"""

# Boot messages of both kernels that look like reports.
HARMLESS = """
Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on
DMA-API: preallocated 65536 debug entries
DMA-API: debugging enabled by kernel config
kmemleak: Kernel memory leak detector initialized (mem pool available: 27710)
alg: full crypto tests enabled.  This is intended for developer use only.
alg: skcipher: skipping comparison tests for xctr-aes-aesni-avx because xctr(aes-lib) is unavailable
alg: No test for authenc(hmac(sha1),cbc(aes)) (authenc(hmac-sha1-lib,cbc-aes-aesni))
clocksource: Watchdog remote CPU 1 read timed out
bad: module verification failed: signature and/or required key missing - tainting kernel
rcu: RCU calculated value of scheduler-enlistment delay is 25 jiffies.
NMI watchdog: Perf NMI watchdog permanently disabled
workqueue: delayed_fput hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND
    ok 1 - not okay as a name
"""

SINGLE = (
    "alg: skcipher: virtio-cbc-aes encryption test failed (wrong result) on test vector 0",
    "alg: self-tests for cbc(aes) using virtio-cbc-aes failed (rc=-22)",
    "alg: akcipher: setkey unexpectedly succeeded on test vector 1",
    "    not ok 2 - split_at_end",
    "not ok 1 virtio_crypto",
    "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [kworker/1:0:20]",
    "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
    "rcu: INFO: rcu_preempt self-detected stall on CPU",
    "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!",
    "INFO: task insmod:167 blocked for more than 120 seconds.",
    "BUG: sleeping function called from invalid context at kernel/locking/mutex.c:623",
    "BUG: scheduling while atomic: insmod/156/0x00000002",
    "[ BUG: Invalid wait context ]",
    "UBSAN: array-index-out-of-bounds in ../bad.c:28:32",
    "DMA-API: virtio_crypto 0000:01:00.0: device driver failed to check map error",
    "ODEBUG: free active (active state 0) object: 00000000 object type: work_struct",
    "refcount_t: underflow; use-after-free.",
    "list_del corruption. next->prev should be ffffffffa0201040, but was 0000000000000000.",
    "kernel BUG at lib/list_debug.c:65!",
    "Oops: general protection fault, probably for non-canonical address 0xdead000000000000",
    "Kernel panic - not syncing: Fatal exception",
    "BUG kmalloc-64 (Tainted: G    B      O    ): Poison overwritten",
    "rust_kernel: panicked at drivers/crypto/virtio_rs/driver.rs:10:5:",
    "WARNING: suspicious RCU usage",
    "WARNING: inconsistent lock state",
    "WARNING: CPU: 0 PID: 1 at test",
)


def console(text: str) -> list[str]:
    """Returns the lines of a text as the kernel prints them."""
    return [
        f"[{number:5}.123456] {line}" for number, line in enumerate(text.strip("\n").split("\n"))
    ]


def headlines(text: str, *allowed: str) -> list[list[str]]:
    """Returns the headlines of each report in the text."""
    patterns = [re.compile(pattern) for pattern in allowed]
    return [report.headlines for report in reports.find(console(text), patterns)]


class Reports(unittest.TestCase):
    """Detection, beginning and end of reports, and allowed reports."""

    def test_harmless(self) -> None:
        """Ordinary kernel messages are not reports."""
        self.assertEqual(headlines(HARMLESS), [])

    def test_single(self) -> None:
        """Each line of SINGLE is a report."""
        for line in SINGLE:
            with self.subTest(line=line):
                self.assertEqual(headlines(line), [[line]])

    def test_only_the_kernel(self) -> None:
        """A line without a time stamp is not from the kernel."""
        self.assertEqual(reports.find(["WARNING: said a program", "x [    1.000000] BUG: x"]), [])

    def test_caller(self) -> None:
        """The time stamp may be followed by the caller."""
        self.assertEqual(len(reports.find(["[    1.000000][  T167] BUG: x"])), 1)

    def test_dropped(self) -> None:
        """Dropped messages count as a report."""
        self.assertEqual(len(reports.find(["** 12 printk messages dropped **"])), 1)

    def test_extent(self) -> None:
        """A report contains exactly its lines, without the lines before and after it."""
        for text in (WARNING, LOCKDEP, KCSAN):
            with self.subTest(text=text):
                around = f"before\n{text.strip()}\nbehind\n" + "more\n" * 20
                (found,) = reports.find(console(around))
                self.assertEqual(len(found.lines), len(text.strip().split("\n")))
        for text in (OOPS, KASAN):
            with self.subTest(text=text):
                (found,) = reports.find(console(f"before\n{text.strip()}\nbehind"))
                self.assertEqual(len(found.lines), len(text.strip().split("\n")) - 1)

    def test_several(self) -> None:
        """Consecutive reports are separate."""
        text = WARNING + LOCKDEP + OOPS + KASAN + LOCKDEP + WARNING
        found = headlines(text.replace("\n\n", "\n"))
        self.assertEqual(len(found), 6)
        self.assertEqual(len(found[2]), 2)

    def test_allowed(self) -> None:
        """An allowed pattern hides only matching reports."""
        text = (WARNING + OOPS + WARNING).replace("\n\n", "\n")
        self.assertEqual(len(headlines(text, r"bad_init\+0x6f")), 1)
        self.assertEqual(len(headlines(text, "NULL pointer")), 2)
        self.assertEqual(len(headlines(text, "^told you so")), 3)

    def test_races(self) -> None:
        """A data race is reported if the driver makes one of its accesses."""
        self.assertEqual(len(headlines(KCSAN)), 1)
        self.assertEqual(headlines(KCSAN.replace("[virtio_crypto_rs]", "[dm_crypt]")), [])
        in_driver = " asm_common_interrupt+0x22/0x40\n take+0x4/0x90 [virtio_crypto_rs]\n"
        other = KCSAN.replace("[virtio_crypto_rs]", "[dm_crypt]")
        end = "\nReported by"
        self.assertEqual(headlines(other.replace(end, f"{in_driver}{end}")), [])

    def test_memory_leaks(self) -> None:
        """The list of leaked objects belongs to the line with their number."""
        text = "kmemleak: 1 new suspected memory leaks\nunreferenced object 0xff11:\n"
        (found,) = reports.find(console(text + "  backtrace:"))
        self.assertEqual(len(found.lines), 3)


if __name__ == "__main__":
    unittest.main()
