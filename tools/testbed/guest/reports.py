# SPDX-License-Identifier: GPL-2.0
"""Finds the kernel's reports of its own trouble in what it prints."""

import dataclasses
import re
from collections.abc import Sequence

# How many lines a report without an end mark is taken to have.
LONGEST = 60

_STAMP = re.compile(r"^\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? ")
_END = re.compile(r"---\[ end (trace|Kernel panic)")
_BEGIN = re.compile(r"-+\[ cut here \]-+$|={20,}$")

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
    r"unreferenced object 0x",
    r"\S+: panicked at ",
)
_SHORT = (
    r"alg: .*\b(fail|failed|fails|failure|wrong|mismatch|unexpected\w*|overran|corrupt\w*)\b",
    r"kmemleak: (\d+ new suspected memory leaks|Kernel memory leak detector disabled)",
    r" *not ok \d",
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
    return line[stamp.end() :] if stamp else None


def _extent(texts: Sequence[str], headline: int) -> tuple[int, int]:
    """First and last line (exclusive) of the long report with this headline."""
    first = headline
    for before in range(headline - 1, max(headline - 4, -1), -1):
        if _BEGIN.match(texts[before]):
            first = before
            break
    limit = min(headline + LONGEST, len(texts))
    for last in range(headline, limit):
        if _END.match(texts[last]):
            return first, last + 1
    # No end mark: another headline must be another report's.
    for last in range(headline + 1, limit):
        if _BEGIN.match(texts[last]) or _LONG_RE.match(texts[last]):
            return first, last
    return first, limit


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
            first, last = _extent(texts, at)
        elif _SHORT_RE.match(texts[at]):
            first, last = at, at + 1
        else:
            at += 1
            continue
        headlines = [text for text in texts[at:last] if _LONG_RE.match(text) or _SHORT_RE.match(text)]
        if not any(pattern.search(text) for pattern in allowed for text in headlines):
            found.append(Report(headlines, list(lines[first:last])))
        at = last
    return found
