# SPDX-License-Identifier: GPL-2.0
"""The tables of the report. A function returns None if nothing was measured."""

from collections.abc import Callable, Sequence

from reporting import breakeven, comparison
from reporting.breakeven import BreakEven, kib
from reporting.comparison import Comparison
from reporting.results import SHORT, WHO, Count, Results
from reporting.table import Table

MEASURES = ("module", "core", "whole", "notifications", "interrupts", "allocations", "frees",
            "switches", "atomics")  # fmt: skip
# The number of functions in the table of functions.
FUNCTIONS = 20


def number(value: float | None) -> str:
    """Formats a number with its significant digits."""
    if value is None:
        return ""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def provenance(results: Results) -> Table:
    """Returns the software and the machine that were measured."""
    accelerator = results.of.accelerator
    rows = [
        ["commit", results.of.commit],
        ["date", results.of.date],
        ["kernel", results.of.kernel],
        ["QEMU", results.of.qemu],
        ["processor", results.of.processor],
        ["accelerator", {"tcg": "TCG (no KVM)", "kvm": "KVM"}.get(accelerator, accelerator)],
    ]
    return Table("of", "What was measured", ["what", "which"], rows, names=2)


def summary(results: Results) -> Table | None:
    """Returns the instructions of the whole guest at the usual size, by implementation."""
    rows = []
    columns = [who for who in WHO if any(count.who == who for count in results.counts)]
    for algorithm in comparison.algorithms(results.counts):
        compared = Comparison(results.counts, algorithm)
        size = compared.usual_size()
        for depth in sorted({*breakeven.DEPTHS, compared.usual_depth()}):
            found = {who: compared.find(who, size, depth) for who in columns}
            if any(found[who] for who in comparison.THIS_DRIVER if who in found):
                cells = (count.per_request.whole if count else None for count in found.values())
                rows.append([algorithm, str(size), str(depth), *map(number, cells)])
    if not rows:
        return None
    head = ["algorithm", "bytes", "depth", *(SHORT[who] for who in columns)]
    return Table("summary", "Guest instructions a request, whole guest", head, rows)


def break_even(results: Results) -> Table | None:
    """Returns the break-even sizes."""
    found = breakeven.all_of(results.counts)
    keys = dict.fromkeys((result.algorithm, result.depth) for result in found)
    if not keys:
        return None

    def cell(algorithm: str, depth: int, against: str) -> str:
        key = (algorithm, depth, against)
        return next((result.text() for result in found if _key(result) == key), "")

    against = [who for who in comparison.WITHOUT_DEVICE
               if any(result.against == who for result in found)]  # fmt: skip
    rows = [[algorithm, str(depth), *(cell(algorithm, depth, who) for who in against)]
            for algorithm, depth in keys]  # fmt: skip
    head = ["algorithm", "depth", *(f"against {SHORT[who]}" for who in against)]
    title = "From which size on a request costs fewer guest instructions"
    return Table("break-even", title, head, rows)


def _key(result: BreakEven) -> tuple[str, int, str]:
    return result.algorithm, result.depth, result.against


def counts(results: Results) -> Table | None:
    """Returns all counts."""
    if not results.counts:
        return None
    rows = [_count(count) for count in results.counts]
    head = ["algorithm", "who", "driver", "device", "form", "bytes", "depth", *MEASURES, "noise"]
    return Table("counts", "Everything that was counted, per request", head, rows, names=5)


def _count(count: Count) -> list[str]:
    segments = "" if count.segments == 1 else f", {count.segments} segments"
    form = f"{count.direction}{', in place' if count.in_place else ''}{segments}"
    measures = [number(getattr(count.per_request, measure)) for measure in MEASURES]
    return [count.algorithm, SHORT[count.who], count.driver, count.device or "", form,
            str(count.size), str(count.depth), *measures, f"{100 * count.noise:.1f} %"]  # fmt: skip


def functions(results: Results) -> Table | None:
    """Returns the instructions by function, in the usual setting of the first algorithm that was
    counted by function."""
    compared = next(iter(with_functions(results.counts)), None)
    if not compared:
        return None
    size, depth = compared.usual_size(), compared.usual_depth()
    found = {who: compared.find(who, size, depth) for who in compared.who()}
    columns = {who: count for who, count in found.items() if count and count.functions}
    names = _most_expensive([count.by_name for count in columns.values()])
    rows = [[name, *(number(count.by_name.get(name)) for count in columns.values())]
            for name in names]  # fmt: skip
    title = f"Instructions by function: {compared.algorithm}, {size} bytes, depth {depth}"
    return Table("functions", title, ["function", *(SHORT[who] for who in columns)], rows)


def with_functions(all_counts: Sequence[Count]) -> list[Comparison]:
    """Returns the algorithms whose usual setting was counted by function."""
    every = [Comparison(all_counts, name) for name in comparison.algorithms(all_counts)]
    return [
        compared for compared in every
        if any(count and count.functions for count in (
            compared.find(who, compared.usual_size(), compared.usual_depth())
            for who in compared.who()
        ))
    ]  # fmt: skip


def _most_expensive(by_name: Sequence[dict[str, float]]) -> list[str]:
    greatest: dict[str, float] = {}
    for instructions in by_name:
        for name, value in instructions.items():
            greatest[name] = max(value, greatest.get(name, 0))
    return sorted(greatest, key=lambda name: (-greatest[name], name))[:FUNCTIONS]


def programs(results: Results) -> Table | None:
    """Returns the costs of programs, with the program's own instructions in a separate column."""
    if not results.programs:
        return None
    rows = []
    for program in results.programs:
        cost = program.per_request
        measures = (cost.module, cost.whole - cost.user, cost.user, cost.notifications,
                    cost.interrupts, cost.switches, cost.allocations)  # fmt: skip
        rows.append([program.program, program.algorithm, SHORT[program.who], str(program.size),
                     str(program.depth), *map(number, measures),
                     f"{100 * program.noise:.1f} %"])  # fmt: skip
    head = ["program", "algorithm", "who", "bytes", "depth", "module", "kernel", "program's own",
            "notifications", "interrupts", "switches", "allocations", "noise"]  # fmt: skip
    title = "What programs cost: guest instructions and events a request"
    return Table("programs", title, head, rows, names=3)


def times(results: Results) -> Table | None:
    """Returns the times, as ratios."""
    rows = [
        [time.algorithm, f"{SHORT[time.a]} / {SHORT[time.b]}", time.device or "", str(time.size),
         str(time.depth), str(time.rounds), f"{time.ratio_minimum:.2f}", f"{time.ratio_median:.2f}"]
        for time in results.times
    ]  # fmt: skip
    if not rows:
        return None
    head = ["algorithm", "time of", "device", "bytes", "depth", "rounds", "minimum", "median"]
    return Table("times", "Time, as a ratio: below 1 the first is faster", head, rows, names=3)


def scaling(results: Results) -> Table | None:
    """Returns the requests per second by processors."""
    if not results.scaling:
        return None
    rows = [
        [str(guest.processors), str(guest.queues), str(guest.host_processors),
         f"{guest.relative:.2f}"]
        for guest in results.scaling
    ]
    head = ["vCPUs", "queues", "host's CPUs", "requests/s, relative"]
    return Table("scaling", "Scaling", head, rows, names=0)


def contention(results: Results) -> Table | None:
    """Returns the atomic instructions with one processor, and waits for locks with several."""
    if not results.contention:
        return None
    rows = []
    for guest in results.contention:
        atomics = [
            count.per_request.atomics
            for count in results.counts
            if (count.algorithm, count.who, count.device, count.size, count.depth)
            == (guest.algorithm, guest.who, guest.device, guest.size, guest.depth)
        ]
        rows.append(
            [guest.algorithm, str(guest.size), str(guest.depth), str(guest.processors),
             str(guest.queues), number(atomics[0]) if atomics else "", f"{guest.lock_spins:.4f}"]
        )  # fmt: skip
    head = ["algorithm", "bytes", "depth", "vCPUs", "queues", "atomics", "lock spins"]
    return Table("contention", "Contention: a request's atomic instructions and waits for locks",
                 head, rows)  # fmt: skip


def device(results: Results) -> Table | None:
    """Returns the throughput of the reference device without a guest."""
    rows = [
        [rate.name, str(rate.size), str(rate.depth), str(rate.queues),
         number(rate.requests_per_second), number(rate.bytes_per_second / 1e6),
         f"{100 * rate.share:.0f} %"]
        for rate in results.device
    ]  # fmt: skip
    if not rows:
        return None
    head = ["algorithm", "bytes", "depth", "queues", "requests/s", "MB/s", "of OpenSSL"]
    return Table("device", "The reference device by itself", head, rows)


def device_short(results: Results) -> Table | None:
    """Returns the reference device's share of OpenSSL's throughput, with one queue, by size."""
    measured = [rate for rate in results.device if rate.queues == 1]
    if not measured:
        return None
    depths = sorted({rate.depth for rate in measured})
    sizes = sorted({rate.size for rate in measured if rate.service not in ("akcipher", "sig")})
    shares = {(rate.name, rate.depth, rate.size): f"{100 * rate.share:.0f} %" for rate in measured}
    names = dict.fromkeys(rate.name for rate in measured if rate.service not in ("akcipher", "sig"))
    rows = [[name, str(depth), *(shares.get((name, depth, size), "") for size in sizes)]
            for name in names for depth in depths]  # fmt: skip
    title = "Share of OpenSSL's throughput that the reference device has, one queue"
    return Table("device-short", title, ["algorithm", "depth", *map(kib, sizes)], rows)


# The tables of the report in their order.
ALL: Sequence[Callable[[Results], Table | None]] = (
    provenance, summary, break_even, programs, functions, times, scaling, contention, device,
    counts,
)  # fmt: skip

# The subject of each table, for the sentence "SUBJECT: not measured."
SUBJECTS = {
    "summary": "Guest instructions", "break_even": "The break-even", "times": "Time",
    "programs": "Programs", "functions": "Instructions by function", "scaling": "Scaling",
    "contention": "Contention", "counts": "Events",
    "device": "The reference device by itself", "device_short": "The reference device by itself",
}  # fmt: skip


def missing(make: Callable[[Results], Table | None]) -> str:
    """Returns a sentence that replaces a table without measurements."""
    return f"{SUBJECTS[make.__name__]}: not measured."


def noise(results: Results) -> str:
    """Returns a sentence about the difference between two counts of the same setting."""
    if not results.counts:
        return ""
    worst = max(results.counts, key=lambda count: count.noise)
    median = sorted(count.noise for count in results.counts)[len(results.counts) // 2]
    return (
        f"Two counts of a setting in one boot differ by {100 * median:.1f} % in the median, and "
        f"by {100 * worst.noise:.1f} % at most ({worst.algorithm}, {WHO[worst.who]}, {worst.size} "
        f"bytes, depth {worst.depth})."
    )


