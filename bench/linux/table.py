# SPDX-License-Identifier: MIT
"""table - dirtybit and Linux side by side: one row per figure, from the JSON lines of all runs.

A line belongs to a system, its "fs" says which Linux. Lines of different systems meet in a row when
they have the same figure and the same values under all keys but those in APART. Where a figure was
measured repeatedly ("least"), the least counts: on Linux other work falls into some of the rounds.
"""
OURS, EXT2, EXT4 = "dirtybit", "Linux ext2", "Linux ext4"
# What may differ between two systems, or between two runs, for the same figure.
APART = {"figure", "value", "unit", "policy", "fs", "cpus", "system", "least", "most", "faults",
         "ipis", "stores", "wall", "why", "sum", "lag"}
# Two meanings of "stores": of mmap_munmap it tells rows apart, of store_latency it does not.
STORES = {"mmap_munmap"}
HEAD = ("figure", "of", OURS, EXT2, "ratio", EXT4, "ratio", "faults", "IPIs")


def system(line):
    return OURS if line["system"] == "dirtybit" else f"Linux {line['fs']}"


def details(line):
    keys = [k for k in line if k not in APART or k == "stores" and line["figure"] in STORES]
    return " ".join(f"{k}={line[k]}" for k in sorted(keys))


def value(line):
    """What the table compares; None: it could not be measured."""
    return line.get("least", line.get("value")) if line and line.get("value") is not None else None


def number(x):
    return "-" if x is None else f"{x:,.1f}".removesuffix(".0")


def cell(line):
    if not line:
        return "-"
    if line.get("value") is None:
        return line.get("why", "-")
    if line.get("wall"):
        return "(wall)"
    return number(value(line)) + (" ns" if line.get("unit") == "ns" else "")


def ratio(ours, theirs):
    """Ours as a part of theirs; "-" if one of them is missing, "=" if both are nothing."""
    a, b = value(ours), value(theirs)
    if a is None or b is None:
        return "-"
    if b == 0:
        return "=" if a == 0 else "more"
    return f"{a / b:.4f}" if a / b < 0.1 else f"{a / b:.2f}"


def pair(key, ours, theirs):
    """ours/theirs of a count that goes with the figure; "" if neither has it."""
    if not any(x and key in x for x in (ours, theirs)):
        return ""
    return "/".join(number(x[key]) if x and key in x else "-" for x in (ours, theirs))


def rows(lines):
    """The table's cells, without its head; in the order in which figures were first seen."""
    groups = {}
    for line in lines:
        group = groups.setdefault((line["figure"], details(line)), {})
        group.setdefault(system(line), []).append(line)
    out = []
    for (figure, detail), group in groups.items():
        ext2, ext4 = (group.get(x, [None])[0] for x in (EXT2, EXT4))
        if not ext2 and not ext4:
            continue
        mine = group.get(OURS, [None])
        for line in mine:
            policy = f"{line['policy']} " if line and len(mine) > 1 else ""
            out.append((figure, policy + detail, cell(line), cell(ext2), ratio(line, ext2),
                        cell(ext4), ratio(line, ext4), pair("faults", line, ext4 or ext2),
                        pair("ipis", line, ext4 or ext2)))
    return out


def text(lines):
    """The table as lines of text, columns aligned."""
    everything = [HEAD, *rows(lines)]
    widths = [max(len(row[i]) for row in everything) for i in range(len(HEAD))]
    for row in everything:
        cells = [x.ljust(w) if i < 2 else x.rjust(w) for i, (x, w) in enumerate(zip(row, widths))]
        yield "  ".join(cells).rstrip()
