# SPDX-License-Identifier: GPL-2.0
"""Finds the kernel's reports of its own trouble in what it prints."""

import dataclasses
import re
from collections.abc import Sequence

# How many lines a report without an end mark is taken to have, and how many a
# trace may be away from the end mark.
LONGEST = 60
TRACE_TO_END = 10

_STAMP = re.compile(r"^\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? ")
_END = re.compile(r"---\[ end (trace|Kernel panic)")
_BEGIN = re.compile(r"-+\[ cut here \]-+$|={20,}$")
_TRACE_END = re.compile(r" *</(TASK|IRQ|NMI)>$")
# A data race between other parts of the kernel is not the driver's: KCSAN's rules are stricter than
# much of the kernel.
_RACE = re.compile(r"BUG: KCSAN: ")
_DRIVER = re.compile(r"\[virtio_crypto_rs\]")
_DROPPED = re.compile(r"\*\* \d+ printk messages dropped \*\*")

# Headlines of reports, as matched from the line's beginning behind the time.
_LONG = (
    r"WARNING: ",
    r"(watchdog: )?BUG: ",
    r"\[ BUG: ",
    r"BUG \S.* \(.*\): ",  # a slab cache's
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
    """One report: its headlines, and all its lines as printed."""

    headlines: list[str]
    lines: list[str]


def _text(line: str) -> str | None:
    """The line without its time; None if the kernel did not print it."""
    stamp = _STAMP.match(line)
    if stamp:
        return line[stamp.end() :]
    return line if _DROPPED.match(line) else None


def _first(texts: Sequence[str], headline: int) -> int:
    """The line with which the report with this headline begins."""
    for before in range(headline - 1, max(headline - 4, -1), -1):
        if _BEGIN.match(texts[before]):
            return before
    return headline


def _last(texts: Sequence[str], first: int, headline: int) -> int:
    """The line behind the long report with this headline."""
    titled = texts[first].startswith("====")  # lockdep's, or KASAN's that ends so too
    framed = titled and re.search("KASAN|KCSAN", texts[headline]) is not None
    limit = headline + (2 * LONGEST if titled else LONGEST)
    trace_end = 0
    for at in range(headline + 1, min(limit, len(texts))):
        if _END.match(texts[at]):
            return at + 1
        if _BEGIN.match(texts[at]):
            return at + 1 if framed else at
        # Behind a trace there may be an end mark, but no headline of the same.
        if trace_end and _LONG_RE.match(texts[at]):
            return trace_end
        if trace_end and at > trace_end + TRACE_TO_END:
            return trace_end
        if _TRACE_END.match(texts[at]) and not framed:
            trace_end = at + 1
    return trace_end or min(limit, len(texts))


def find(console: Sequence[str], allowed: Sequence[re.Pattern[str]] = ()) -> list[Report]:
    """The reports among the console's lines, but for those with an allowed headline."""
    # Stamped lines only: nothing but the kernel's own words counts.
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
        foreign = _RACE.match(texts[at]) and not any(map(_DRIVER.search, texts[at:last]))
        if not foreign and not any(pattern.search(text) for pattern in allowed for text in headlines):
            found.append(Report(headlines, lines[first:last]))
        at = last
    return found
