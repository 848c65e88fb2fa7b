# SPDX-License-Identifier: GPL-2.0
"""Finds error reports in the kernel's console output."""

import dataclasses
import re
from collections.abc import Sequence

# Maximum number of lines of a report without an end mark.
MAX_LINES = 60
# Maximum number of lines between the end of a stack trace and the end mark.
TRACE_TO_END = 10

_STAMP = re.compile(r"^\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? ")
_END_MARK = re.compile(r"---\[ end (trace|Kernel panic)")
_BEGIN = re.compile(r"-+\[ cut here \]-+$|={20,}$")
_TRACE_END = re.compile(r" *</(TASK|IRQ|NMI)>$")
# find() ignores data races in which the driver has no part: much of the kernel does not follow
# KCSAN's strict rules.
_RACE = re.compile(r"BUG: KCSAN: ")
_ACCESS = re.compile(r"[a-z-]+( \([a-z, ]+\))? to 0x\w+ of \d+ bytes by ")
_DRIVER = re.compile(r"\[virtio_crypto_rs\]")
_DROPPED = re.compile(r"\*\* \d+ printk messages dropped \*\*")

# Headlines of reports, matched after the time stamp. Reports with these headlines have several
# lines.
_MULTI_LINE = (
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
# Reports that consist of the headline only.
_SINGLE_LINE = (
    r"alg: .*\b(fail|failed|fails|failure|wrong|mismatch|unexpected\w*|overran|corrupt\w*)\b",
    r" *not ok \d",
    r"\*\* \d+ printk messages dropped",
)
_MULTI_LINE_RE = re.compile("|".join(_MULTI_LINE))
_SINGLE_LINE_RE = re.compile("|".join(_SINGLE_LINE))


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
    """Returns the index of the first line of the report whose headline is at index `headline`."""
    for index in range(headline - 1, max(headline - 4, -1), -1):
        if _BEGIN.match(texts[index]):
            return index
    return headline


def _end(texts: Sequence[str], first: int, headline: int) -> int:
    """Returns the index of the line after the report."""
    # Reports of lockdep begin with a line of ====. Reports of KASAN and KCSAN also end with one.
    has_rule = texts[first].startswith("====")
    framed = has_rule and re.search("KASAN|KCSAN", texts[headline]) is not None
    limit = headline + (2 * MAX_LINES if has_rule else MAX_LINES)
    trace_end = 0
    for index in range(headline + 1, min(limit, len(texts))):
        if _END_MARK.match(texts[index]):
            return index + 1
        if _BEGIN.match(texts[index]):
            return index + 1 if framed else index
        # A headline after a trace begins another report.
        if trace_end and _MULTI_LINE_RE.match(texts[index]):
            return trace_end
        if trace_end and index > trace_end + TRACE_TO_END:
            return trace_end
        if _TRACE_END.match(texts[index]) and not framed:
            trace_end = index + 1
    return trace_end or min(limit, len(texts))


def _is_race_of_driver(texts: Sequence[str]) -> bool:
    """Returns true if the stack trace of one of the accesses contains the driver. An access of an
    interrupt handler does not count if the interrupt only occurred while the driver ran."""
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
    index = 0
    while index < len(texts):
        if _MULTI_LINE_RE.match(texts[index]):
            first = _first(texts, index)
            end = _end(texts, first, index)
        elif _SINGLE_LINE_RE.match(texts[index]):
            first, end = index, index + 1
        else:
            index += 1
            continue
        headlines = [
            text
            for text in texts[index:end]
            if _MULTI_LINE_RE.match(text) or _SINGLE_LINE_RE.match(text)
        ]
        foreign = _RACE.match(texts[index]) and not _is_race_of_driver(texts[index:end])
        if not foreign and not any(pattern.search(text) for pattern in allowed for text in headlines):
            found.append(Report(headlines, lines[first:end]))
        index = end
    return found
