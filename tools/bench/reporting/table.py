# SPDX-License-Identifier: GPL-2.0
"""A table, and its formats for a terminal, reStructuredText and HTML."""

import html
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table. An empty cell was not measured. The first ``names`` columns are text, the others are
    numbers."""

    key: str
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1

    def is_name(self, column: int) -> bool:
        """Returns whether a column is text."""
        return column < self.names


def width(text: str) -> int:
    """Returns the number of columns of a text on a terminal."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _widths(table: Table) -> list[int]:
    lines = [table.head, *table.rows]
    return [max(width(line[column]) for line in lines) for column in range(len(table.head))]


def _line(table: Table, cells: Sequence[str], widths: Sequence[int], gap: str) -> str:
    aligned = (
        cell.ljust(size) if table.is_name(column) else cell.rjust(size)
        for column, (cell, size) in enumerate(zip(cells, widths))
    )
    return gap.join(aligned).rstrip()


def to_text(table: Table) -> str:
    """Formats a table for a terminal."""
    widths = _widths(table)
    lines = [table.title, "", _line(table, table.head, widths, "  ")]
    lines.append("  ".join("-" * size for size in widths))
    lines += [_line(table, row, widths, "  ") for row in table.rows]
    return "\n".join(lines) + "\n"


def to_rst(table: Table) -> str:
    """Formats a table for documents, without the title."""
    # In a simple table, a row with an empty first cell continues the previous row. A backslash is
    # an escaped empty text.
    rows = [[cell or ("\\" if not column else "") for column, cell in enumerate(row)]
            for row in [table.head, *table.rows]]  # fmt: skip
    widths = [max(width(row[column]) for row in rows) for column in range(len(table.head))]
    rule = " ".join("=" * size for size in widths)
    lines = [_line(table, row, widths, " ") for row in rows]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule]) + "\n"


def to_html(table: Table) -> str:
    """Formats a table for a page, with the title."""

    def row(cells: Sequence[str], tag: str) -> str:
        columns = (
            f'<{tag} class="{"name" if table.is_name(column) else "number"}">'
            f"{html.escape(cell)}</{tag}>"
            for column, cell in enumerate(cells)
        )
        return f"<tr>{''.join(columns)}</tr>"

    body = "\n".join(row(cells, "td") for cells in table.rows)
    return (
        f'<div class="table"><table id="table-{table.key}">\n'
        f"<caption>{html.escape(table.title)}</caption>\n"
        f"<thead>{row(table.head, 'th')}</thead>\n<tbody>\n{body}\n</tbody></table></div>\n"
    )
