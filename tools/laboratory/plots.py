# SPDX-License-Identifier: MIT
"""plots - which pictures answer the question?

Each function turns lines of a result into charts (chart.py), or into none when the lines that it
needs were not booted for. PLOTS gives their order on the page, and the sentence below each.
"""
import os

from laboratory import chart, lines, tables
from laboratory.chart import Axis, Chart, Curve

DASHES = {"forked": 2, "scan": 2, "will_write": 3, "random": 3}
WITHIN = 0.05  # adaptive is to stay this close to the envelope


def style(policy, others=()):
    """The number of a policy's colour and mark: the same in every plot."""
    known = list(lines.POLICIES) + sorted(set(others) - set(lines.POLICIES))
    return known.index(policy) if policy in known else len(known)


def curves(found, x, y, by="policy"):
    """One curve for each value of @by, out of the lines that have both coordinates."""
    out, names = [], [line[by] for line in found]
    for name in lines.in_order(names, lines.POLICIES):
        points = sorted((line[x], y(line)) for line in found
                        if line[by] == name and x in line and y(line) is not None)
        if points:
            out.append(Curve(name, points, style(name, names), DASHES.get(name, 1)))
    return out


def percent_tics(values):
    return [(f"{v * 100:g} %", v) for v in values]


def probability_axis():
    return Axis("probability p that a page is stored to again before the next sync (log)",
                log=True, low=0.0009, high=1.1,
                tics=percent_tics((0.001, 0.01, 0.1, 1)))


def envelope(found, y):
    """At each p the lower of the two plain answers; () if one of them is missing."""
    two = [{line["p"]: y(line) for line in found if line["policy"] == policy}
           for policy in ("write_notify", "clean_writable")]
    return [(p, min(two[0][p], two[1][p])) for p in sorted(two[0]) if p in two[1]]


def faults(result):
    found = lines.select(result["lines"], "cost", "probability")
    drawn = curves(found, "p", lambda x: tables.per(x, "write_faults"))
    if drawn:
        yield Chart("faults", "Write faults per store", probability_axis(),
                    Axis("write faults per store", low=-0.03, high=1.06, format="%.1f"), drawn)


def weighted(result):
    found = lines.select(result["lines"], "cost", "probability")
    for key, name, title in (("weighted", "weighted", "Weighted cost per store, its share of the "
                              "sync included"),
                             ("instructions", "instructions", "Instructions per store, its share "
                              "of the sync included")):
        def cost(line, key=key):
            return tables.per(line, key)
        drawn = curves(found, "p", cost)
        if drawn:
            band = envelope(found, cost)
            yield Chart(name, title, probability_axis(),
                        Axis(f"{'weighted cycles' if key == 'weighted' else key} per store (log)",
                             log=True), drawn, band,
                        "broad: the cheaper of write_notify and clean_writable" if band else "")


def excess(result):
    """How far each policy is above the envelope."""
    found = lines.select(result["lines"], "cost", "probability")
    low = dict(envelope(found, lambda x: tables.per(x, "weighted")))
    drawn = curves([x for x in found if low.get(x["p"])], "p",
                   lambda x: 100 * (tables.per(x, "weighted") / low[x["p"]] - 1))
    if drawn and low:
        most = max(y for c in drawn for _, y in c.points)
        yield Chart("excess", "Weighted cost above the cheaper of the two plain policies",
                    probability_axis(),
                    Axis("above the envelope (percent)", low=-5,
                         high=max(20, min(most * 1.05, 150))),
                    drawn, [(0.0009, 100 * WITHIN), (1.1, 100 * WITHIN)],
                    f"broad: {WITHIN:.0%}, the aim of adaptive")


def size(result):
    """What asking costs as the mapping grows: d dirty pages stay the same in commit."""
    found = lines.select(result["lines"], "cost", "size")
    for workload, words in (("commit", "a few pages dirty"), ("sparse", "1 % of the pages dirty")):
        some = [x for x in found if x["workload"] == workload]
        drawn = curves(some, "pages", lambda x: tables.per(x, "sync_instructions", "syncs"))
        if drawn:
            yield Chart(f"size-{workload}", f"Instructions of one sync, {words}",
                        Axis("mapping (log)", log=True, low=50, high=max(
                            x["pages"] for x in some) * 1.3, tics=size_tics(some)),
                        Axis("instructions per sync (log)", log=True), drawn)
        drawn = curves(some, "pages", lambda x: tables.per(x, "harvest_ptes", "syncs"))
        if drawn and any(y for c in drawn for _, y in c.points):
            yield Chart(f"harvest-{workload}", f"PTEs asked for their dirty bit per sync, {words}",
                        Axis("mapping (log)", log=True, low=50, high=max(
                            x["pages"] for x in some) * 1.3, tics=size_tics(some)),
                        Axis("PTEs asked per sync (log)", log=True), drawn)


def size_tics(found):
    return [(f"{n // 256} MiB" if n >= 256 else f"{n * 4} KiB", n)
            for n in sorted({x["pages"] for x in found})]


FLUSHES = ("batch", "page", "deferred")
# name, workload, what is counted, for how many of what, by which flush modes; title, unit
CPU_CHARTS = (
    ("cpus-shootdowns", "redirty", "shootdowns", "pages_cleaned", 1000, FLUSHES,
     "Shootdowns against CPUs: msync only", "per 1,000 pages cleaned (log)"),
    ("cpus-ipis", "redirty", "ipis", "pages_cleaned", 1000, FLUSHES,
     "Interrupts (IPIs) against CPUs: msync only", "per 1,000 pages cleaned (log)"),
    ("cpus-background", "hot", "ipis", "syncs", 1, ("batch", "deferred"),
     "Interrupts (IPIs) against CPUs: msync and flusher in turn", "per msync and flusher's pass"),
)


def cpus(result):
    found = lines.select(result["lines"], "cost", "cpus")
    for name, workload, key, of, many, flushes, title, unit in CPU_CHARTS:
        some, drawn = [x for x in found if x["workload"] == workload], []
        for flush in flushes:
            n = FLUSHES.index(flush)
            group = curves([x for x in some if x["flush"] == flush], "cpus",
                           lambda x, key=key, of=of: tables.per(x, key, of))
            alike = all(curve.points == group[0].points for curve in group)
            for dash, curve in enumerate(group[:1] if alike else group, 1):
                points = [(x, many * y) for x, y in curve.points]
                drawn.append(Curve(flush if alike else f"{flush}, {curve.name}", points, n, dash))
        if drawn:
            most = max(x["cpus"] for x in some)
            yield Chart(name, title,
                        Axis("CPUs in the address space", low=0.8, high=most + 0.2,
                             tics=[(str(n), n) for n in sorted({x["cpus"] for x in some})]),
                        Axis(unit, log=of == "pages_cleaned"), drawn, right=0.70)


def tail(histogram, floor):
    """From [[upper bound, count], ...] to points (value, share that took longer)."""
    total, below, points = sum(n for _, n in histogram), 0, []
    for upper, n in histogram:
        points.append((max(upper, 1), max((total - below) / total, floor)))
        below += n
    return points + [(max(histogram[-1][0], 1), floor)]


def latency(result):
    found = tables.by_policy([x for x in lines.select(result["lines"], "latency")
                              if x["workload"] == "rt" and x.get("histogram")])
    if not found:
        return
    count = max(x["count"] for x in found)
    floor = 10.0 ** -max(2, len(str(count)) - 1)
    drawn = [Curve(x["policy"], tail(x["histogram"], floor),
                   style(x["policy"], [y["policy"] for y in found]),
                   DASHES.get(x["policy"], 1), True) for x in found]
    values = [x for c in drawn for x, _ in c.points]
    shares = [("50 %", 0.5), ("90 %", 0.1), ("99 %", 0.01), ("99.9 %", 0.001), ("99.99 %", 1e-4),
              ("99.999 %", 1e-5)]
    yield Chart("latency", "Latency of a store of the real-time thread",
                Axis("latency of a store, ticks of the time-stamp counter (log)", log=True,
                     low=chart.decade(min(values), False), high=chart.decade(max(values), True)),
                Axis("share of the stores that were faster", log=True, low=1.0, high=floor * 0.8,
                     tics=[t for t in shares if t[1] >= floor]), drawn, listed=True)


PLOTS = (
    (faults, "Left: pages are rarely stored to again; right: in every round. 1 is a fault for each "
     "store, 0 is none: the hardware's dirty bit tells."),
    (weighted, "The broad line is the cheaper of the two plain answers at each p, which nobody "
     "knows in advance. Lower is better."),
    (excess, "The same, as the distance to that broad line; 0 is as good as knowing p in advance."),
    (size, "A flat curve means that a sync pays for what was stored, not for what is mapped."),
    (cpus, "Somebody waits in msync, so that deferred cannot wait there and equals batch; only "
     "the flusher can. 0 stands below the first mark of a logarithmic axis."),
    (latency, "A curve that turns right at 99 % says that one store in a hundred waited so long. "
     "With a host thread for each CPU the host's own pauses are in it: compare policies of one "
     "run, not runs."),
)


def mtime(result, out):
    """The script of the mtime chart, or None: one group for each cmtime, one bar per policy."""
    found = [x for x in lines.select(result["lines"], "cost", "times") if "mtime_error" in x]
    found = [x for x in found if x["workload"] == found[0]["workload"]]
    if not found:
        return None
    modes = lines.in_order([x["cmtime"] for x in found], lines.CMTIMES)
    names = lines.in_order([x["policy"] for x in found], lines.POLICIES)
    value = {(x["cmtime"], x["policy"]): x["mtime_error"] / 1e6 for x in found}
    series = [Curve(name, [], style(name, names)) for name in names]
    return chart.bars("mtime", "st_mtime is older than the last store by", "milliseconds",
                      modes, series, [[value.get((m, n)) for n in names] for m in modes], out)


def draw_all(result, directory):
    """Draw what can be drawn; returns [(path, sentence below it)]."""
    os.makedirs(directory, exist_ok=True)
    out = []
    for make, sentence in PLOTS:
        for one in make(result):
            path = f"{directory}/{one.name}.svg"
            chart.draw(chart.script(one, path))
            out.append((path, sentence))
    text = mtime(result, f"{directory}/mtime.svg")
    if text:
        chart.draw(text)
        out.append((f"{directory}/mtime.svg", "Zero or below: after the msync st_mtime is the time "
                    "of the last store or of the msync. Above zero: it is older than the store."))
    return out
