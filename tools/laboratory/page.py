# SPDX-License-Identifier: MIT
"""page - one HTML page that answers the question by itself: no other file, no network.

The answer comes first, then the tables, the plots, and what reproduces it. Light or dark as the
reader's machine says; the plots take their colours from the page.
"""
import html
import os
import re

from laboratory import chart, lines, tables

DARK = ("#6cb0ee", "#f2935a", "#4cc79b", "#dd9acb", "#d9ab3f", "#7cc7ee", "#c39a80", "#b09be6",
        "#a9b2bb", "#e8788a", "#9ccc5a", "#5cc7bc")
# Colours of the style file and of chart.py, by what they are for: light, dark.
ROLES = {
    "#ffffff": ("paper", "#ffffff", "#14181c"), chart.INK: ("ink", chart.INK, "#e8ecef"),
    "#3c444c": ("text", "#3c444c", "#c3cad1"), chart.QUIET: ("quiet", chart.QUIET, "#98a2ab"),
    "#5c6670": ("frame", "#5c6670", "#808a94"), "#dfe3e7": ("grid", "#dfe3e7", "#2b3238"),
    chart.FAINT: ("faint", chart.FAINT, "#5d6770"), chart.BAND: ("band", chart.BAND, "#453f30"),
    chart.BAND_INK: ("bandink", chart.BAND_INK, "#b3a57f"),
} | {light: (f"c{n}", light, DARK[n]) for n, light in enumerate(chart.COLOURS)}
# What a policy must keep to be called an answer.
MUST = ("no_lost_store", "fsync_complete", "sync_ends")

STYLE = """
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.2rem 4rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.6rem; line-height: 1.25; max-width: 46rem } h2 { margin-top: 2.6rem }
p, li, figcaption { max-width: 46rem } figcaption, .quiet { color: var(--quiet); font-size: .9rem }
.answer { border-left: .3rem solid var(--c0); padding: .1rem 1rem; margin: 1.2rem 0 }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .85rem; margin: .6rem 0 }
th, td { padding: .22rem .6rem; border-bottom: 1px solid var(--grid); text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap }
th { color: var(--quiet); font-weight: 500; vertical-align: bottom; white-space: normal;
  max-width: 6rem }
th:first-child, td:first-child, .answer td:nth-child(2), .answer th:nth-child(2) {
  text-align: left; max-width: none }
h3 + p { margin: -.6rem 0 }
td.best { font-weight: 650 } td.kept { color: var(--c2) } td.broken { color: var(--c1) }
td.asked { color: var(--faint) } td.differs { outline: 2px solid var(--c9); font-weight: 700 }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 32rem), 1fr));
  gap: 1.6rem } figure { margin: 0 } svg { width: 100%; height: auto; max-width: 700px }
code, pre { font: .85rem/1.45 ui-monospace, monospace } pre { overflow-x: auto }
summary { cursor: pointer; color: var(--quiet) }
"""


def esc(text):
    return html.escape(str(text))


def sheet():
    light = "; ".join(f"--{name}: {a}" for name, a, _ in ROLES.values())
    dark = "; ".join(f"--{name}: {b}" for name, _, b in ROLES.values())
    return (f"<style>:root {{ color-scheme: light dark; {light} }}\n"
            f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}{STYLE}</style>")


def inline(path, n):
    """The SVG as part of the page: names of its own, colours of the page."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    text = text[text.index("<svg"):]
    text = re.sub(r'\s*xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r"\bgp(Pt\d+|Dot)\b", rf"p{n}\1", text)
    text = re.sub(r"<title>.*?</title>|<desc>.*?</desc>", "", text, flags=re.S)
    text = text.replace("gnuplot_canvas", f"plot{n}")

    def colour(match):
        code = match[0]
        if code.startswith("rgb"):
            code = "#" + "".join(f"{int(x):02x}" for x in re.findall(r"\d+", code))
        return f"var(--{ROLES[code][0]})" if code in ROLES else match[0]

    return re.sub(r"#[0-9a-f]{6}\b|rgb\([\d ,]+\)", colour, text)


def table(heading, rows):
    """@rows: lists of (text, class)."""
    out = ["<div class=wide><table><tr>", *(f"<th>{esc(x)}" for x in heading)]
    for row in rows:
        out.append("<tr>" + "".join(f"<td{f' class={kind}' if kind else ''}>{esc(text)}"
                                    for text, kind in row))
    return "".join([*out, "</table></div>"])


# --- the answer ---

def sound(result):
    """Policies that were not seen to break what makes data safe."""
    bad = {x["policy"] for x in lines.select(result["lines"], "guarantee")
           if x["guarantee"] in MUST and x["verdict"] == "broken"}
    return {x["policy"] for x in lines.select(result["lines"], "cost")} - bad


def cheapest(result):
    """Rows: workload, cheapest sound policies, their cost, write_notify's, how many times."""
    rows, safe = [], sound(result)
    shown = [x for x in tables.costs_shown(result) if x["clock"] == "icount"]
    for workload in lines.in_order([x["workload"] for x in shown], lines.WORKLOADS):
        cost = {}
        for line in shown:
            value = tables.measure(line, "weighted_per_store")
            if line["workload"] == workload and line["policy"] in safe and value is not None:
                cost[line["policy"]] = min(value, cost.get(line["policy"], value))
        if not cost:
            continue
        least = min(cost.values())
        best = [name for name in cost if cost[name] <= least * 1.01]
        base = cost.get("write_notify")
        rows.append([(workload, ""), (", ".join(best), "best"), (tables.number(least), ""),
                     (tables.number(base) if base else "", ""),
                     (f"{base / least:.2f}" if base and least else "", "")])
    return rows


def broken(result):
    """Sentences: which policy breaks what; the policies that break the same share one."""
    by_policy, alike = {}, {}
    for line in lines.select(result["lines"], "guarantee"):
        what = by_policy.setdefault(line["policy"], [])
        if line["verdict"] == "broken" and line["guarantee"] not in what:
            what.append(line["guarantee"])
    for policy, what in by_policy.items():
        alike.setdefault(tuple(what), []).append(policy)
    return [f"<b>{esc(', '.join(names))}</b>: " +
            (f"breaks {esc(', '.join(what))}" if what else "breaks nothing that was asked")
            for what, names in alike.items()]


def answer(result, problems):
    found = lines.select(result["lines"], "guarantee")
    odd = list(filter(lines.differs, found))
    asked = [x for x in found if x["verdict"] != "not asked"]
    out = ["<div class=answer>"]
    rows = cheapest(result)
    if rows:
        out.append("<p>The cheapest policies that keep stores safe, by weighted cost per store "
                   "(instructions plus what instructions do not show; syncs included):</p>")
        out.append(table(("workload", "cheapest, within 1 %", "cost", "write_notify", "times"),
                         rows))
    if found:
        out.append("<ul>" + "".join(f"<li>{x}</li>" for x in broken(result)) + "</ul>")
        out.append(f"<p>{len(asked)} cells of the guarantee table were tried; " +
                   (f"<b>not as the policies' files declare: {len(odd)}.</b></p>" if odd
                    else "all are as the policies' files declare.</p>"))
    if problems:
        out.append("<p><b>Not everything could be measured:</b></p><ul>" +
                   "".join(f"<li>{esc(x)}</li>" for x in problems) + "</ul>")
    return "".join([*out, "</div>"])


# --- the tables ---

def costs(result):
    out = []
    for workload, heading, keys, rows in tables.cost_tables(tables.costs_shown(result)):
        best = {}
        for n, key in enumerate(keys):
            if key in ("weighted_per_store", "per_store", "per_page"):
                best[n] = min((tables.measure(line, key) for line, _ in rows
                               if tables.measure(line, key) is not None), default=None)
        body = [[(cell, "best" if n in best and tables.measure(line, keys[n]) == best[n] else "")
                 for n, cell in enumerate(cells)] for line, cells in rows]
        clock = {line["clock"] for line, _ in rows}
        note = "" if clock == {"icount"} else " (a host thread for each CPU: counts vary)"
        out.append(f"<h3>{esc(workload)}</h3><p class=quiet>"
                   f"{esc(lines.WORKLOADS.get(workload, ''))}{note}</p>")
        out.append(table(heading, body))
    meaning = "".join(f"<li><b>{esc(h)}</b>: {esc(text)}</li>" for _, h, text in tables.COLUMNS)
    return "".join([*out, f"<details><summary>What each column says</summary><ul>{meaning}</ul>"
                          "</details>"])


def verdicts(names, rows):
    kinds = {"kept": "kept", "broken": "broken"}

    def kind(line):
        if line is None:
            return "asked"
        return "differs" if lines.differs(line) else kinds.get(line["verdict"], "asked")

    heading = [lines.GUARANTEES.get(x, (x.replace("_", " "),))[0] for x in names]
    body = [[(name, "")] + [(tables.cell_text(x), kind(x)) for x in cells] for name, cells in rows]
    return table(["policy", *heading], body)


def guarantees(result):
    found = lines.select(result["lines"], "guarantee")
    times = lines.select(result["lines"], "times")
    out = []
    if found:
        meaning = "".join(f"<li><b>{esc(h)}</b>: {esc(text)}</li>"
                          for h, text in lines.GUARANTEES.values())
        first = "".join(f"<li>{esc(x['policy'])}, {esc(x['guarantee'])}, {esc(x['verdict'])}: "
                        f"{esc(x['first'])}</li>"
                        for x in found if x["verdict"] != "kept" and x.get("first"))
        out += ["<h2>Guarantees</h2><p>Each was tried, none is claimed. A framed cell is not what "
                "the policy's file declares.</p>", verdicts(*tables.verdict_table(found)),
                f"<details><summary>What each guarantee says</summary><ul>{meaning}</ul></details>"]
        out += ["<details><summary>First case of each broken "
                f"one, and why some were not asked</summary><ul>{first}</ul>"
                "</details>"] if first else []
    if times:
        out += ["<h2>File times</h2><p>For each cmtime=; policies that come out alike share a "
                "row.</p>", verdicts(*tables.times_table(times))]
    for axis, names, rows in tables.axis_tables(lines.select(result["lines"], "axis")):
        out += [f"<h2>{esc(axis)}=</h2><p>{esc(lines.AXES.get(axis, ''))}, for each value; "
                "policies that come out alike share a row. A framed cell is not what is "
                "declared.</p>",
                verdicts(names, rows)]
    return "".join(out)


def reproduce(result):
    made = result["made"]
    rows = [[(key, ""), (value, "")] for key, value in made.items() if key != "command"]
    boots = "\n".join(f"{b['name']}  {b['clock']}  {b['cpus']} CPUs  {b['mem']}  {b['status']}  "
                      f"{b['args']}" for b in result["boots"])
    return (f"<h2>How to get this again</h2><pre>{esc(made.get('command', ''))}</pre>"
            + table(("what", "value"), rows) + "<details><summary>Every boot and its arguments"
            f"</summary><pre>{esc(boots)}</pre></details>")


def write(path, result, plots, problems):
    """@plots: (path of an SVG, sentence) as plots.py draws them."""
    figures = "".join(f"<figure>{inline(svg, n)}<figcaption>{esc(text)}</figcaption></figure>"
                      for n, (svg, text) in enumerate(plots))
    parts = ["<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
             "content='width=device-width, initial-scale=1'><title>dirtybit laboratory</title>",
             sheet(), "<h1>How should a kernel know that a page of a shared file mapping was "
             "written?</h1>", answer(result, problems)]
    if lines.select(result["lines"], "cost"):
        parts += ["<h2>Costs</h2>", costs(result)]
    parts.append(guarantees(result))
    if figures:
        parts.append(f"<h2>Plots</h2><div class=plots>{figures}</div>")
    parts += [reproduce(result), "</html>\n"]
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write("\n".join(parts))
    os.replace(path + ".new", path)
