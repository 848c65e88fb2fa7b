# SPDX-License-Identifier: GPL-2.0
"""The text of ``report.html``. The page contains its pictures and styles, so it is a single
file."""

import html
import re
from collections.abc import Iterable, Sequence

from reporting import table, tables
from reporting.plot import Plot
from reporting.results import Results
from reporting.table import Table

STYLE = """
body { font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #111; background: #fff;
       max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.3rem; margin-top: 2.5rem; }
figure { margin: 1.5rem 0; } figure svg { max-width: 100%; height: auto; }
figcaption { font-weight: bold; margin-bottom: .5rem; }
.table { overflow-x: auto; margin: 1.5rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: bold; padding-bottom: .4rem; white-space: nowrap; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; white-space: nowrap; }
th { border-bottom: 2px solid #555; vertical-align: bottom; white-space: normal; }
.name { text-align: left; } .number { text-align: right; }
nav a { margin-right: 1rem; } p, li { max-width: 48rem; }
"""

READING = """
<p>Instructions are those that the guest executes, counted exactly by a plugin of QEMU; they are
not times. <em>module</em> is the driver's own code, <em>core</em> adds the parts of the kernel that
work for it (rings, memory, crypto, locks), <em>whole</em> is everything that the guest executes
meanwhile. The bare ring is a driver that only posts prepared requests to the same device: its
costs are the least that a driver can have.</p>
"""

# The tables before the pictures, and the long table in the collapsed part at the end.
FIRST = (tables.provenance, tables.summary, tables.break_even)
LAST = tables.counts


def _svg_for_page(plot: Plot) -> str:
    """Returns the picture with a role, a description, and identifiers that are unique in the
    page."""
    svg = re.sub(r'\bid="', f'id="{plot.key}-', plot.svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{plot.key}-", svg)
    label = html.escape(plot.alt, quote=True)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _figure(plot: Plot) -> str:
    return (
        f'<figure id="{plot.key}"><figcaption>{html.escape(plot.title)}</figcaption>\n'
        f"{_svg_for_page(plot)}</figure>\n"
    )


def _tables(made: Iterable[Table]) -> str:
    return "".join(map(table.to_html, made))


def render(results: Results, plots: Sequence[Plot]) -> str:
    """Returns the page."""
    made = {make: make(results) for make in tables.ALL}
    not_measured = [tables.missing(make) for make, one in made.items() if not one]
    first = _tables(one for make, one in made.items() if one and make in FIRST)
    later = _tables(one for make, one in made.items() if one and make not in (*FIRST, LAST))
    links = "".join(f'<a href="#{plot.key}">{html.escape(plot.title)}</a> ' for plot in plots)
    paragraphs = [tables.noise(results), *not_measured]
    notes = "".join(f"<p>{html.escape(text)}</p>\n" for text in paragraphs if text)
    all_counts = made[LAST]
    details = (
        f"<details><summary>{html.escape(all_counts.title)}</summary>\n"
        f"{table.to_html(all_counts)}</details>\n"
        if all_counts else ""
    )  # fmt: skip
    return f"""<!DOCTYPE html>
<!-- SPDX-License-Identifier: GPL-2.0 -->
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>virtio_crypto_rs: what a request costs</title>
<style>{STYLE}</style>
</head>
<body>
<h1>virtio_crypto_rs: what a request costs</h1>
<nav>{links}<a href="#tables">More tables</a></nav>
{READING}{first}{notes}
<h2>Pictures</h2>
{"".join(map(_figure, plots))}
<h2 id="tables">More tables</h2>
{later}{details}</body>
</html>
"""
