# SPDX-License-Identifier: GPL-2.0
"""Finds error reports in the kernel's console output."""

import dataclasses
import re
from collections.abc import Sequence

# Number of lines of a report without an end mark, and maximum distance between a trace and the end
# mark.
LONGEST = 60
TRACE_TO_END = 10

_STAMP = re.compile(r"^\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? ")
_END = re.compile(r"---\[ end (trace|Kernel panic)")
_BEGIN = re.compile(r"-+\[ cut here \]-+$|={20,}$")
_TRACE_END = re.compile(r" *</(TASK|IRQ|NMI)>$")
# A data race between other parts of the kernel is not the driver's: KCSAN's rules are stricter than
# much of the kernel.
_RACE = re.compile(r"BUG: KCSAN: ")
_ACCESS = re.compile(r"[a-z-]+( \([a-z, ]+\))? to 0x\w+ of \d+ bytes by ")
_DRIVER = re.compile(r"\[virtio_crypto_rs\]")
_DROPPED = re.compile(r"\*\* \d+ printk messages dropped \*\*")

# Headlines of reports, matched after the time stamp.
_LONG = (
    r"WARNING: ",
    r"(watchdog: )?BUG: ",
    r"\[ BUG: ",
    r"BUG \S.* \(.*\): ",  # slab cache
    r"kernel BUG at ",
    r"Oops: ",
    r"general protection fault",
    r"(BUG: )?[Uu]nable to handle ",
    r"(invalid opcode|divide error|stack segment|double fault): ",
    r"Kernel panic - not syncing",
    r"UBSAN: ",
    r"ODEBUG: ",
    r"DMA-API: (?!preallocated |debugging enabled |dma_debug_entry pool grown)",
    r"refcount_t: ",
    r"list_(add|del) ?\w* corruption",
    r"INFO: task .* blocked for more than ",
    r"INFO: trying to register non-static key",
    r"(rcu: )?INFO: rcu_\w+ .*(stall|starved)",
    r"rcu: rcu_\w+ kthread .*starved",
    r"\S+: page allocation failure: ",
    r"irq \d+: nobody cared",
    r"\S+: panicked at ",
    r"kmemleak: \d+ new suspected memory leaks",
    r"kmemleak: Kernel memory leak detector disabled",
)
_SHORT = (
    r"alg: .*\b(fail|failed|fails|failure|wrong|mismatch|unexpected\w*|overran|corrupt\w*)\b",
    r" *not ok \d",
    r"\*\* \d+ printk messages dropped",
)
_LONG_RE = re.compile("|".join(_LONG))
_SHORT_RE = re.compile("|".join(_SHORT))


@dataclasses.dataclass
class Report:
    """A report: its headlines, and all its lines as printed."""

    headlines: list[str]
    lines: list[str]


def _text(line: str) -> str | None:
    """Returns the line without its time stamp, or None if the kernel did not print it."""
    stamp = _STAMP.match(line)
    if stamp:
        return line[stamp.end() :]
    return line if _DROPPED.match(line) else None


def _first(texts: Sequence[str], headline: int) -> int:
    """Returns the number of the first line of the report with this headline."""
    for before in range(headline - 1, max(headline - 4, -1), -1):
        if _BEGIN.match(texts[before]):
            return before
    return headline


def _last(texts: Sequence[str], first: int, headline: int) -> int:
    """Returns the number of the line after the report with this headline."""
    # Reports of lockdep begin with such a line. Those of KASAN and KCSAN also end with it.
    titled = texts[first].startswith("====")
    framed = titled and re.search("KASAN|KCSAN", texts[headline]) is not None
    limit = headline + (2 * LONGEST if titled else LONGEST)
    trace_end = 0
    for at in range(headline + 1, min(limit, len(texts))):
        if _END.match(texts[at]):
            return at + 1
        if _BEGIN.match(texts[at]):
            return at + 1 if framed else at
        # An end mark may follow a trace, but not a headline of the same report.
        if trace_end and _LONG_RE.match(texts[at]):
            return trace_end
        if trace_end and at > trace_end + TRACE_TO_END:
            return trace_end
        if _TRACE_END.match(texts[at]) and not framed:
            trace_end = at + 1
    return trace_end or min(limit, len(texts))


def _is_race_of_driver(texts: Sequence[str]) -> bool:
    """Returns whether the driver makes one of the accesses of a data race, directly or by a function that the
    driver has called. An interrupt in the driver is not the driver's access."""
    interrupted = True
    for text in texts:
        if _ACCESS.match(text):
            interrupted = False
        elif text.startswith(" asm_"):
            interrupted = True
        elif not interrupted and _DRIVER.search(text):
            return True
    return False


def find(console: Sequence[str], allowed: Sequence[re.Pattern[str]] = ()) -> list[Report]:
    """Returns the reports in the console output, except those with an allowed headline."""
    # Only lines with a time stamp are from the kernel.
    lines, texts = [], []
    for line in console:
        text = _text(line)
        if text is not None:
            lines.append(line)
            texts.append(text)

    found = []
    at = 0
    while at < len(texts):
        if _LONG_RE.match(texts[at]):
            first = _first(texts, at)
            last = _last(texts, first, at)
        elif _SHORT_RE.match(texts[at]):
            first, last = at, at + 1
        else:
            at += 1
            continue
        headlines = [
            text for text in texts[at:last] if _LONG_RE.match(text) or _SHORT_RE.match(text)
        ]
        foreign = _RACE.match(texts[at]) and not _is_race_of_driver(texts[at:last])
        if not foreign and not any(pattern.search(text) for pattern in allowed for text in headlines):
            found.append(Report(headlines, lines[first:last]))
        at = last
    return found
