# SPDX-License-Identifier: GPL-2.0
"""The text of ``report.rst``, and of the generated parts of documents.

A generated part is between two comments, ``.. begin: NAME`` and ``.. end: NAME``; in Markdown
``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``. The rest is written by hand.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath

from reporting import table, tables
from reporting.plot import Plot
from reporting.results import Results
from reporting.table import Table

PART = re.compile(
    r"^(?P<begin>(?:\.\. |<!-- )begin: (?P<name>[a-z-]+)(?: -->)?\n)(?P<old>.*?)"
    r"^(?P<end>(?:\.\. |<!-- )end: (?P=name)(?: -->)?$)",
    re.M | re.S,
)
MARK = re.compile(r"^(?:\.\. |<!-- )(?:begin|end): ", re.M)


class BadDocument(Exception):
    """The begin and end comments in a document are invalid. The message names the comment."""


def figure(plot: Plot, folder: PurePath) -> str:
    """Returns the directive for a picture whose file is in the folder."""
    options = f"\t:width: 100%\n\t:alt: {plot.alt}\n"
    return f".. figure:: {folder / plot.key}.svg\n{options}\n\t{plot.title}\n"


def _table(make: Callable[[Results], Table | None]) -> Callable[[Results], str]:
    """Returns a function that makes the text of a table, or a sentence if nothing was measured."""

    def text(results: Results) -> str:
        made = make(results)
        return table.to_rst(made) if made else tables.missing(make) + "\n"

    return text


def _noise(results: Results) -> str:
    return (tables.noise(results) or "Nothing was counted.") + "\n"


def _markdown(results: Results) -> str:
    made = tables.summary(results)
    if not made:
        return tables.missing(tables.summary) + "\n"
    rule = ["---" if made.is_name(column) else "--:" for column in range(len(made.head))]
    lines = [made.head, rule, *made.rows]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{text}\n\n{made.title}, of commit {results.of.commit}.\n"


TEXTS: dict[str, Callable[[Results], str]] = {
    "of": _table(tables.provenance),
    "noise": _noise,
    "summary": _table(tables.summary),
    "break-even-table": _table(tables.break_even),
    "programs": _table(tables.programs),
    "functions-table": _table(tables.functions),
    "times": _table(tables.times),
    "scaling-table": _table(tables.scaling),
    "contention": _table(tables.contention),
    "device": _table(tables.device),
    "device-short": _table(tables.device_short),
    "counts": _table(tables.counts),
    "summary-markdown": _markdown,
}

# The names of all pictures. A report may lack some of them.
PICTURES = ("size", "depth", "functions", "notifications", "break-even", "scaling",
            "device-sizes", "device-queues")  # fmt: skip


def parts(results: Results, plots: Sequence[Plot], folder: PurePath) -> dict[str, str]:
    """Returns all parts that a document can have, by name."""
    texts = {name: text(results) for name, text in TEXTS.items()}
    drawn = {plot.key: figure(plot, folder) for plot in plots}
    return texts | {name: drawn.get(name, "No picture: not measured.\n")
                    for name in PICTURES}  # fmt: skip


def renew(text: str, generated: Mapping[str, str]) -> str:
    """Returns a document in which the generated parts are replaced. `generated` has the parts by
    name."""
    matches = list(PART.finditer(text))
    if not matches:
        raise BadDocument("no part between '.. begin: NAME' and '.. end: NAME'")
    if len(MARK.findall(text)) != 2 * len(matches):
        raise BadDocument("a 'begin:' or 'end:' has no counterpart")
    for match in matches:
        if match["name"] not in generated:
            expected = ", ".join(generated)
            raise BadDocument(f"unknown part {match['name']!r}, expected one of {expected}")
    return PART.sub(
        lambda match: f"{match['begin']}\n{generated[match['name']]}\n{match['end']}", text
    )


def report(results: Results, plots: Sequence[Plot]) -> str:
    """Returns ``report.rst``, which needs the pictures in the same folder."""
    measured = [made for made in (make(results) for make in tables.ALL) if made]
    not_measured = [tables.missing(make) for make in tables.ALL if not make(results)]
    title = "What a request costs"
    rule = "=" * len(title)
    text = [f".. SPDX-License-Identifier: GPL-2.0\n\n{rule}\n{title}\n{rule}\n"]
    for made in measured:
        text.append(f"{made.title}\n{'-' * len(made.title)}\n\n{table.to_rst(made)}")
    if not_measured or results.counts:
        text.append("\n\n".join([*not_measured, *filter(None, [tables.noise(results)])]) + "\n")
    if plots:
        text.append("Pictures\n--------\n")
        text += [figure(plot, PurePath()) for plot in plots]
    return "\n".join(text)
