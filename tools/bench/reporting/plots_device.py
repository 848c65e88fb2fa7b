# SPDX-License-Identifier: GPL-2.0
"""Plots of throughput: by processors, and of the reference device without a guest."""

from matplotlib.ticker import FuncFormatter

from reporting import style
from reporting.plot import Plot
from reporting.results import Device, Results
from reporting.style import BLACK, SERIES, finish, grid, legend, log_ticks

PUBLIC_KEY = ("akcipher", "sig")


def scaling(results: Results) -> Plot | None:
    """Plots requests per second against processors."""
    if len(results.scaling) < 2:
        return None
    rows = sorted(results.scaling, key=lambda one: one.processors)
    processors = [one.processors for one in rows]
    figure, axes = grid(1, (6.4, 3.6))
    axis = axes[0]
    axis.plot(processors, [one.relative for one in rows], label="measured", **SERIES[0])
    axis.plot(processors, processors, color=BLACK, linestyle=":", label="as many times as vCPUs")
    axis.set_ylabel("requests/s, relative to one vCPU")
    axis.set_ylim(bottom=0)
    axis.set_xticks(processors)
    axis.set_xlabel("vCPUs, each with a queue")
    legend(figure, axes)
    ratios = ", ".join(f"{one.relative:.2f} with {one.processors}" for one in rows)
    alt = (f"Requests per second relative to one: {ratios} vCPUs; the host has "
           f"{rows[0].host_processors}.")  # fmt: skip
    return finish("scaling", "Scaling with vCPUs and queues", alt, figure)


def _by_name(rows: list[Device]) -> dict[str, list[Device]]:
    names: dict[str, list[Device]] = {}
    for row in rows:
        names.setdefault(row.name, []).append(row)
    return names


def device_sizes(results: Results) -> Plot | None:
    """Plots the bytes per second of the reference device and of OpenSSL against size."""
    rows = [one for one in results.device if one.queues == 1 and one.service not in PUBLIC_KEY]
    drawn = {name: mine for name, mine in _by_name(rows).items()
             if len({one.size for one in mine}) > 1}  # fmt: skip
    if not drawn:
        return None
    figure, axes = grid(len(drawn))
    told = []
    for axis, (name, mine) in zip(axes, drawn.items()):
        sizes = sorted({one.size for one in mine})
        depths = sorted({one.depth for one in mine})
        for look, depth in zip(SERIES, depths):
            line = sorted((one.size, one.bytes_per_second / 1e6)
                          for one in mine if one.depth == depth)  # fmt: skip
            axis.plot(*zip(*line), label=f"device, depth {depth}", **look)
        openssl = [
            (size, max(one.openssl_bytes_per_second for one in mine if one.size == size) / 1e6)
            for size in sizes
        ]
        axis.plot(*zip(*openssl), color=BLACK, linestyle="--", marker="x", label="OpenSSL")
        log_ticks(axis, sizes, bytes_=True)
        style.log_y(axis)
        axis.set_title(name)
        axis.set_xlabel("size of a request (bytes)")
        axis.set_ylabel("MB/s")
        last = max((one for one in mine if one.depth == depths[-1]), key=lambda one: one.size)
        told.append(
            f"{name}: {last.bytes_per_second / 1e6:.0f} MB/s at {last.size} bytes and depth "
            f"{last.depth}, {100 * last.share:.0f} % of OpenSSL's."
        )
    legend(figure, axes, columns=4)
    alt = "Throughput of the reference device with one queue, and of OpenSSL in a loop, against " \
        "the size of a request, both logarithmic. " + " ".join(told)
    return finish("device-sizes", "The reference device by itself, by size", alt, figure)


def device_queues(results: Results) -> Plot | None:
    """Plots requests per second against the number of queues, relative to one queue."""
    drawn = {}
    for name, mine in _by_name(results.device).items():
        best = {}
        for size, depth in sorted({(one.size, one.depth) for one in mine}):
            line = sorted((one.queues, one.requests_per_second) for one in mine
                          if (one.size, one.depth) == (size, depth))  # fmt: skip
            if len(line) > 1 and line[0][0] == 1:
                best[size] = [(queues, rate / line[0][1]) for queues, rate in line]
        if best:
            drawn[name] = best
    if not drawn:
        return None
    figure, axes = grid(len(drawn), (4.6, 3.0))
    told = []
    sizes = sorted({size for lines in drawn.values() for size in lines})
    looks = dict(zip(sizes, SERIES * len(sizes)))
    for axis, (name, lines) in zip(axes, drawn.items()):
        for size, line in lines.items():
            axis.plot(*zip(*line), label=f"{size} bytes", **looks[size])
            told.append(f"{name}, {size} bytes: {line[-1][1]:.2f} with {line[-1][0]} queues.")
        queues = sorted({queues for line in lines.values() for queues, _ in line})
        axis.set_xticks(queues)
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_formatter(FuncFormatter(style.short))
        axis.set_title(name)
        axis.set_xlabel("queues, each with a thread")
        axis.set_ylabel("requests/s, relative to one")
    legend(figure, axes, columns=4)
    alt = "Requests per second of the reference device relative to one queue. " + " ".join(told)
    title = "The reference device by itself, by queues, in time of the threads on a processor"
    return finish("device-queues", title, alt, figure)
