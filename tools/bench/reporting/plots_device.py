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
    rows = sorted(results.scaling, key=lambda row: row.processors)
    processors = [row.processors for row in rows]
    figure, axes = grid(1, (6.4, 3.6))
    axis = axes[0]
    axis.plot(processors, [row.relative for row in rows], label="measured", **SERIES[0])
    axis.plot(processors, processors, color=BLACK, linestyle=":", label="as many times as vCPUs")
    axis.set_ylabel("requests/s, relative to one vCPU")
    axis.set_ylim(bottom=0)
    axis.set_xticks(processors)
    axis.set_xlabel("vCPUs, each with a queue")
    legend(figure, axes)
    ratios = ", ".join(f"{row.relative:.2f} with {row.processors}" for row in rows)
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
    rows = [row for row in results.device if row.queues == 1 and row.service not in PUBLIC_KEY]
    drawn = {name: of_algorithm for name, of_algorithm in _by_name(rows).items()
             if len({row.size for row in of_algorithm}) > 1}  # fmt: skip
    if not drawn:
        return None
    figure, axes = grid(len(drawn))
    descriptions = []
    for axis, (name, of_algorithm) in zip(axes, drawn.items()):
        sizes = sorted({row.size for row in of_algorithm})
        depths = sorted({row.depth for row in of_algorithm})
        for look, depth in zip(SERIES, depths):
            line = sorted((row.size, row.bytes_per_second / 1e6)
                          for row in of_algorithm if row.depth == depth)  # fmt: skip
            axis.plot(*zip(*line), label=f"device, depth {depth}", **look)
        openssl = [
            (size, max(row.openssl_bytes_per_second
                       for row in of_algorithm if row.size == size) / 1e6)
            for size in sizes
        ]
        axis.plot(*zip(*openssl), color=BLACK, linestyle="--", marker="x", label="OpenSSL")
        log_ticks(axis, sizes, bytes_=True)
        style.log_y(axis)
        axis.set_title(name)
        axis.set_xlabel("size of a request (bytes)")
        axis.set_ylabel("MB/s")
        deepest = [row for row in of_algorithm if row.depth == depths[-1]]
        last = max(deepest, key=lambda row: row.size)
        descriptions.append(
            f"{name}: {last.bytes_per_second / 1e6:.0f} MB/s at {last.size} bytes and depth "
            f"{last.depth}, {100 * last.share:.0f} % of OpenSSL's."
        )
    legend(figure, axes, columns=4)
    alt = "Throughput of the reference device with one queue, and of OpenSSL in a loop, against " \
        "the size of a request, both logarithmic. " + " ".join(descriptions)
    return finish("device-sizes", "The reference device by itself, by size", alt, figure)


def device_queues(results: Results) -> Plot | None:
    """Plots requests per second against the number of queues, relative to one queue."""
    drawn = {}
    for name, of_algorithm in _by_name(results.device).items():
        lines_by_size = {}
        for size, depth in sorted({(row.size, row.depth) for row in of_algorithm}):
            line = sorted((row.queues, row.requests_per_second) for row in of_algorithm
                          if (row.size, row.depth) == (size, depth))  # fmt: skip
            if len(line) > 1 and line[0][0] == 1:
                lines_by_size[size] = [(queues, rate / line[0][1]) for queues, rate in line]
        if lines_by_size:
            drawn[name] = lines_by_size
    if not drawn:
        return None
    figure, axes = grid(len(drawn), (4.6, 3.0))
    descriptions = []
    sizes = sorted({size for lines in drawn.values() for size in lines})
    looks = dict(zip(sizes, SERIES * len(sizes)))
    for axis, (name, lines) in zip(axes, drawn.items()):
        for size, line in lines.items():
            axis.plot(*zip(*line), label=f"{size} bytes", **looks[size])
            queues, rate = line[-1]
            descriptions.append(f"{name}, {size} bytes: {rate:.2f} with {queues} queues.")
        axis.set_xticks(sorted({queues for line in lines.values() for queues, _ in line}))
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_formatter(FuncFormatter(style.short))
        axis.set_title(name)
        axis.set_xlabel("queues, each with a thread")
        axis.set_ylabel("requests/s, relative to one")
    legend(figure, axes, columns=4)
    alt = "Requests per second of the reference device relative to one queue. " \
        + " ".join(descriptions)
    title = "The reference device by itself, by queues, in time of the threads on a processor"
    return finish("device-queues", title, alt, figure)
