# SPDX-License-Identifier: MIT
"""tables - the two outputs of the laboratory for people: costs and guarantees.

Both are built once as rows of cells; text() and page.py show the same rows.
"""
from laboratory import lines

# key, heading, what it says. weighted_per_store is computed here, the others are printed by the
# kernel. A key that is missing or zero on all lines of a table gets no column.
COLUMNS = (
    ("stores", "stores", "stores of 8 bytes that were made"),
    ("weighted_per_store", "weighted/store", "instructions and events of stores and syncs, "
     "weighted (see weights), per store"),
    ("per_store", "instr/store", "instructions per store, its fault included"),
    ("per_page", "sync instr/page", "instructions of the syncs per page that had been stored to"),
    ("faults", "all faults", "page faults"),
    ("write_faults", "write faults", "pages that became writable by a fault"),
    ("ptes_scanned", "PTEs scanned", "page-table entries looked at for cleaning"),
    ("ptes_cleaned", "PTEs cleaned", "page-table entries that lost W or D"),
    ("harvest_ptes", "PTEs asked", "page-table entries asked for their dirty bit (harvest)"),
    ("shootdowns", "shootdowns", "batches of TLB invalidations"),
    ("icr_writes", "ICR writes", "writes of the interrupt command register"),
    ("ipis", "IPIs", "CPUs asked to invalidate"),
    ("invlpgs", "INVLPGs", "single TLB entries invalidated"),
    ("inode_updates", "times moved", "file times changed in memory"),
    ("inode_writes", "inodes written", "inodes written to their block"),
    ("pages_written", "pages written", "pages that writeback wrote"),
    ("false_dirty", "without store", "pages written although nobody had stored to them"),
    ("requests", "I/O", "requests to the device: reads, writes, flushes"),
    ("kicks", "kicks", "doorbells of the device"),
    ("hidden_peak", "hidden peak", "most pages at once that had been stored to and that no count "
     "knew of"),
    ("nr_dirty_error", "nr_dirty error", "largest difference of the counted and the true number "
     "of dirty pages"),
    ("mtime_error", "mtime error ms", "milliseconds from st_mtime to the last store before it: "
     "above zero, the time is too old"),
)
# Where each CPU is a thread of the host, the clock counts the host's pauses, not instructions.
COUNTED = ("weighted_per_store", "per_store", "per_page")
MARK, WIDTH = "!", 110


def number(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if value == int(value):
        return f"{int(value):,}"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.1f}"
    return "0" if text in ("0.0", "-0.0") else text


def per(line, key, of="stores"):
    """line[key] for each of what line[@of] counts, or None."""
    return line[key] / line[of] if line.get(of) and key in line else None


def measure(line, key):
    """The value of one column of COLUMNS, or None."""
    if key in COUNTED and line["clock"] != "icount":
        return None
    if key == "mtime_error" and key in line:
        return line[key] / 1e6
    return per(line, "weighted") if key == "weighted_per_store" else line.get(key)


def varying(group, but=()):
    """The parameters that are not the same on all lines of a group."""
    return [key for key in lines.PARAMETERS
            if key not in but and len({str(x.get(key)) for x in group}) > 1]


def label(line, keys):
    return " ".join(str(line[k]) if k in ("policy", "workload") else f"{k}={line[k]}"
                    for k in keys if k in line)


def by_policy(found):
    """The lines in the order of POLICIES, otherwise as they came."""
    order = lines.in_order([x["policy"] for x in found], lines.POLICIES)
    return sorted(found, key=lambda x: order.index(x["policy"]))


def cost_tables(costs):
    """For each workload: (name, heading cells, keys of the columns, rows of (line, cells))."""
    out = []
    for workload in lines.in_order([x["workload"] for x in costs], lines.WORKLOADS):
        group = by_policy([x for x in costs if x["workload"] == workload])
        keys = ["policy", *varying(group, ("policy", "workload"))]
        columns = [c for c in COLUMNS
                   if {number(measure(x, c[0]) or 0) for x in group} != {"0"}]
        rows = []
        for line in group:
            values = [measure(line, c[0]) for c in columns]
            rows.append((line, [label(line, keys)] +
                         ["" if v is None else number(v) for v in values]))
        out.append((workload, [" ".join(["policy", *keys[1:]]), *(c[1] for c in columns)],
                    ["", *(c[0] for c in columns)], rows))
    return out


def worst(cells):
    """Of several lines for one cell the one to show: differing first, then broken, then kept."""
    return min(cells, key=lambda x: (not lines.differs(x),
                                     lines.VERDICTS.index(x["verdict"])
                                     if x["verdict"] in lines.VERDICTS else 0))


def verdict_table(found, of="guarantee", known=()):
    """(names in order, rows of (label, [line or None per name])); @of: guarantee or property."""
    names = lines.in_order([x[of] for x in found], known or lines.GUARANTEES)
    keys = ["policy", *varying(found, ("policy",))]
    rows = {}
    for line in by_policy(found):
        rows.setdefault(label(line, keys), {}).setdefault(line[of], []).append(line)
    return names, [(name, [worst(cells[g]) if g in cells else None for g in names])
                   for name, cells in rows.items()]


def by_value_table(found, key, known=()):
    """The same for each value of @key: (properties, rows); policies that are alike share a row."""
    names, rows = None, []
    for value in lines.in_order([x[key] for x in found], known):
        names, plain = verdict_table([x for x in found if x[key] == value], "property",
                                     lines.in_order([x["property"] for x in found], ()))
        alike = {}
        for policy, cells in plain:
            verdicts = tuple(c and c["verdict"] for c in cells)
            alike.setdefault(verdicts, ([], cells))[0].append(policy)
        for policies, cells in alike.values():
            who = "every policy" if len(alike) == 1 else ", ".join(policies)
            rows.append((f"{value}: {who}", cells))
    return names, rows


def times_table(found):
    return by_value_table(found, "cmtime", lines.CMTIMES)


def axis_tables(found):
    """For each axis: (its key, properties, rows)."""
    return [(axis, *by_value_table([x for x in found if x["axis"] == axis], "value"))
            for axis in lines.in_order([x["axis"] for x in found], lines.AXES)]


def cell_text(line):
    """kept, broken 3, not asked; with a mark if the policy's file says otherwise."""
    if line is None:
        return "-"
    text = line["verdict"]
    if text == "broken" and line.get("broken"):
        text += f" {number(line['broken'])}"
    return text + (MARK if lines.differs(line) else "")


def aligned(rows, left=1):
    """Rows of cells as lines of text; the first @left columns to the left, others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(x.ljust(w) if i < left else x.rjust(w)
                      for i, (x, w) in enumerate(zip(row, widths))).rstrip() for row in rows]


def folded(heading):
    """A heading of several words as two lines, so that narrow columns stay narrow."""
    split = [x.replace("/s", "/ s").rpartition(" ") for x in heading]
    return [x[0] for x in split], [x[2] for x in split]


def cost_text(heading, rows):
    """A column for each policy if that is narrow enough, else a row for each."""
    names = [row[0].replace("_", "_ ").rpartition(" ") for row in rows]
    upright = [["", *(x[0].replace("_ ", "_") for x in names)], ["", *(x[2] for x in names)],
               *map(list, zip(heading[1:], *(row[1:] for row in rows)))]
    above, below = folded(heading[1:])
    lying = [["", *above], [heading[0], *below], *rows]
    body = aligned(upright)
    return body if max(map(len, body)) <= WIDTH else aligned(lying)


def costs_shown(result):
    """The cost lines of the table: of a sweep all, else those that were booted for it."""
    found = lines.select(result["lines"], "cost")
    return [x for x in found if x["section"] in ("costs", "latency")] or found


def verdict_text(names, rows, title):
    above, below = folded([lines.GUARANTEES.get(x, (x.replace("_", " "),))[0] for x in names])
    body = [["", *above], ["policy", *below],
            *([name, *map(cell_text, cells)] for name, cells in rows)]
    return [title, *(f"  {x}" for x in aligned(body)), ""]


def differing(line):
    if line["lab"] == "axis":
        return f"{line['axis']}={line['value']}, {line['policy']}: {line['property']}"
    return f"{line['policy']}: {line['guarantee']}"


def text(result):
    """All tables, as lines."""
    out = []
    for workload, heading, _, rows in cost_tables(costs_shown(result)):
        out += [f"{workload}: {lines.WORKLOADS.get(workload, 'a workload of its own')}",
                *(f"  {x}" for x in cost_text(heading, [cells for _, cells in rows])), ""]
    found = lines.select(result["lines"], "guarantee")
    if found:
        out += verdict_text(*verdict_table(found), "guarantees: kept, broken (how often), not "
                            f"asked; {MARK} differs from what the policy's file declares")
    times = lines.select(result["lines"], "times")
    if times:
        out += verdict_text(*times_table(times), "file times, for each cmtime:")
    axes = lines.select(result["lines"], "axis")
    for axis, names, rows in axis_tables(axes):
        out += verdict_text(names, rows, f"{axis}=: {lines.AXES.get(axis, '')}")
    for line in filter(lines.differs, found + axes):
        out.append(f"{differing(line)} is {line['verdict']}, declared "
                   f"{line['declared']}" + (f"; first case: {line['first']}"
                                            if line.get("first") else ""))
    return out
