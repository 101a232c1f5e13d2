# SPDX-License-Identifier: MIT
"""compare - what changed between two results?

Costs are compared where they are exact (clock icount), when both results have the line with the
same parameters; guarantees wherever both asked. What only one of them has is counted, not judged.
"""
from laboratory import lines, tables

NOISE = 0.01
# Worse is a step down this list.
RANK = {"kept": 2, "not asked": 1, "broken": 0}


def measures(line):
    return {k: v for k, v in line.items()
            if isinstance(v, (int, float)) and not isinstance(v, bool)
            and k not in lines.PARAMETERS and k not in lines.HOST_FIELDS}


def by_key(found):
    """Lines by what was chosen for them; of two alike the last."""
    return {(x["section"], lines.parameters(x)): x for x in found}


def changed(old, new):
    """Do they differ by more than the noise?"""
    return abs(new - old) > NOISE * abs(old)


def costs(a, b):
    """(lines that say what changed, lines compared, lines that only one result has)."""
    out = []
    old, new = (by_key([x for x in lines.select(r["lines"], "cost") if x["clock"] == "icount"])
                for r in (a, b))
    both = [key for key in new if key in old]
    for key in both:
        before, after = measures(old[key]), measures(new[key])
        for name in after:
            if name not in before or not changed(before[name], after[name]):
                continue
            share = (f"{(after[name] - before[name]) / abs(before[name]):+.1%}"
                     if before[name] else "new")
            where = tables.label(new[key], [k for k in lines.PARAMETERS
                                            if k in ("policy", "workload", "flush", "cmtime",
                                                     "grant", "cpus", "pages", "p", "spaces")])
            out.append((where, name, tables.number(before[name]), tables.number(after[name]),
                        share))
    return out, len(both), len(old.keys() ^ new.keys())


def cells(found):
    """The worst line for each (what was chosen, guarantee)."""
    out = {}
    for line in found:
        name = tables.label(line, ("policy", "flush", "cmtime", "grant"))
        out.setdefault((name, line["guarantee"]), []).append(line)
    return {key: tables.worst(alike) for key, alike in out.items()}


def guarantees(a, b):
    """(sentences, how many got worse)."""
    out, worse = [], 0
    old, new = (cells(lines.select(r["lines"], "guarantee")) for r in (a, b))
    for key in new:
        if key not in old or old[key]["verdict"] == new[key]["verdict"]:
            continue
        before, after = old[key]["verdict"], new[key]["verdict"]
        down = RANK.get(after, 0) < RANK.get(before, 0)
        worse += down
        first = f" (first case: {new[key]['first']})" if new[key].get("first") else ""
        out.append(f"{key[0]}: {key[1]} was {before}, is {after}"
                   f"{': worse' if down else ''}{first}")
    for key in old:
        if key not in new and old[key]["verdict"] == "kept":
            out.append(f"{key[0]}: {key[1]} was kept, is not in the second result")
    return out, worse


def describe(result):
    made = result.get("made", {})
    return f"{made.get('source', 'unknown source')}, {made.get('date', 'unknown date')}"


def compare(a, b):
    """(lines of text, how many guarantees got worse)."""
    changes, compared, alone = costs(a, b)
    sentences, worse = guarantees(a, b)
    out = [f"A: {describe(a)}", f"B: {describe(b)}", ""]
    if changes:
        rows = [("cost", "what", "A", "B", "change"), *changes]
        out += tables.aligned(rows, left=2)
    out += [f"{len(changes)} figures of {compared} cost lines differ by more than {NOISE:.0%}"
            + (f"; {alone} lines are in one result only" if alone else "") + ".", ""]
    out += sentences or ["No guarantee changed."]
    if worse:
        out += ["", f"{worse} guarantees got worse."]
    return out, worse
