# SPDX-License-Identifier: GPL-2.0
"""Plots of a request's costs: by size, by depth, and the break-even of the device."""

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from reporting import breakeven, comparison, style
from reporting.breakeven import BreakEven, kib
from reporting.comparison import Comparison, Point
from reporting.plot import Plot
from reporting.results import WHO, Results
from reporting.style import LINES, finish, grid, legend, log_ticks, log_y

Lines = dict[str, list[Point]]


def _compared(results: Results) -> list[Comparison]:
    return [Comparison(results.counts, name) for name in comparison.algorithms(results.counts)]


def _unless_single_points(lines: Lines) -> Lines:
    """Returns the lines, or an empty dictionary if none of them has more than one point."""
    return lines if any(len(line) > 1 for line in lines.values()) else {}


def _draw(axis: Axes, lines: Lines) -> None:
    for who, line in lines.items():
        if line:
            axis.plot(*zip(*line), label=WHO[who], **LINES[who])


def _places(lines: Lines) -> list[float]:
    return [place for line in lines.values() for place, _ in line]


def by_size(results: Results) -> Plot | None:
    """Plots the instructions of the whole guest against size."""
    drawn = []
    for compared in _compared(results):
        depth = compared.usual_depth()
        lines = _unless_single_points(
            {who: compared.by_size(who, depth) for who in compared.who()}
        )
        if lines:
            drawn.append((compared, depth, lines))
    if not drawn:
        return None
    figure, axes = grid(len(drawn))
    for axis, (compared, depth, lines) in zip(axes, drawn):
        _draw(axis, lines)
        log_ticks(axis, _places(lines), bytes_=True)
        log_y(axis)
        axis.set_title(f"{compared.algorithm}, depth {depth}")
        axis.set_xlabel("size of a request (bytes)")
        axis.set_ylabel("guest instructions")
    legend(figure, axes)
    alt = "Guest instructions a request against its size, both logarithmic. " + " ".join(
        f"{compared.algorithm} at depth {depth}: {_ends(lines, 'bytes')}."
        for compared, depth, lines in drawn
    )
    return finish("size", "Instructions a request, by size", alt, figure)


def by_depth(results: Results) -> Plot | None:
    """Plots the instructions of the whole guest against depth."""
    return _against_depth(
        results, "whole", "depth", "Instructions a request, by depth", "guest instructions"
    )


def notifications(results: Results) -> Plot | None:
    """Plots the notifications of the device against depth."""
    return _against_depth(
        results, "notifications", "notifications", "Notifications a request, by depth",
        "notifications",
    )  # fmt: skip


def _against_depth(
    results: Results, measure: str, key: str, title: str, unit: str
) -> Plot | None:
    drawn = []
    for compared in _compared(results):
        size = compared.usual_size()
        lines = _unless_single_points(
            {who: compared.by_depth(who, size, measure) for who in compared.who()}
        )
        # The costs of software do not depend on the depth. They are so high that the other lines
        # would be hard to distinguish.
        lines.pop("software", None)
        # The processor's costs do not depend on the depth. Draw its only measurement as a line.
        if len(lines.get("cpu", [])) == 1:
            depths = sorted(set(_places(lines)))
            lines["cpu"] = [(int(depth), lines["cpu"][0][1]) for depth in depths]
        if measure == "notifications":
            lines = {who: line for who, line in lines.items() if any(value for _, value in line)}
        if lines:
            drawn.append((compared, size, lines))
    if not drawn:
        return None
    figure, axes = grid(len(drawn))
    for axis, (compared, size, lines) in zip(axes, drawn):
        _draw(axis, lines)
        log_ticks(axis, _places(lines), bytes_=False)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda depth, _: f"{depth:g}"))
        axis.set_ylim(bottom=0)
        if measure != "notifications":
            axis.yaxis.set_major_formatter(FuncFormatter(style.short))
        axis.set_title(f"{compared.algorithm}, {size} bytes")
        axis.set_xlabel("depth (requests in flight)")
        axis.set_ylabel(f"{unit} a request")
    legend(figure, axes)
    alt = f"{title}, against a logarithmic depth. " + " ".join(
        f"{compared.algorithm}, {size} bytes: {_ends(lines, 'in flight')}."
        for compared, size, lines in drawn
    )
    return finish(key, title, alt, figure)


def _ends(lines: Lines, unit: str) -> str:
    """Returns a text with the first and the last point of each line."""
    descriptions = []
    for who, line in lines.items():
        if line:
            (first, low), (last, high) = line[0], line[-1]
            descriptions.append(f"{WHO[who]} {low:.4g} at {first} {unit}, {high:.4g} at {last}")
    return "; ".join(descriptions)


def break_even(results: Results) -> Plot | None:
    """Plots the break-even sizes against the processor's instructions."""
    found = [
        result for result in breakeven.all_of(results.counts)
        if result.against == "cpu" and result.smallest < result.largest
    ]  # fmt: skip
    if not found:
        return None
    names = list(dict.fromkeys(result.algorithm for result in found))
    depths = sorted({result.depth for result in found})
    figure, axes = grid(1, (8.4, 1.2 + 0.62 * len(names)))
    axis = axes[0]
    low, high = min(result.smallest for result in found), max(result.largest for result in found)
    for number, depth in enumerate(depths):
        shift = 0.34 * (number - (len(depths) - 1) / 2)
        look = style.SERIES[number]
        at_depth = [result for result in found if result.depth == depth]
        rows = [names.index(result.algorithm) + shift for result in at_depth]
        axis.plot(
            [_place(result) for result in at_depth], rows, linestyle="none", markersize=9,
            label=f"depth {depth}", color=look["color"], marker=look["marker"],
        )  # fmt: skip
        for result, row in zip(at_depth, rows):
            axis.annotate(
                _label(result), (_place(result), row), textcoords="offset points", xytext=(9, -4),
                fontsize=10,
            )  # fmt: skip
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    log_ticks(axis, [size for size in (16, 64, 256, 1024, 4096, 16384, 65536)
                     if low <= size <= high], bytes_=True)  # fmt: skip
    # The labels need space to the right of the points.
    axis.set_xlim(low / 1.5, high * 14)
    axis.set_xlabel("size of a request (bytes)")
    legend(figure, axes)
    alt = "The size from which on a request costs fewer guest instructions with the device than " \
        "with the processor's instructions. " + " ".join(map(breakeven.sentence, found))
    title = "Break-even against the processor's instructions"
    return finish("break-even", title, alt, figure)


def _place(result: BreakEven) -> float:
    """Returns the x position of a point. This is the right end if the device costs more at the
    largest size."""
    return result.largest * 1.3 if result.size is None else result.size


def _label(result: BreakEven) -> str:
    if result.size is None:
        return f"costs more at {kib(result.largest)}"
    return f"{kib(result.size)}, or less" if result.always else kib(result.size)
