# SPDX-License-Identifier: MIT
"""chart - how do curves become an SVG file?

Draws with gnuplot. What gnuplot cannot do is computed here: a name beside the end of each curve,
moved apart where ends meet, and a zero on a logarithmic axis.
"""
import dataclasses
import math
import os
import subprocess

STYLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "style.gp")
INK, QUIET, FAINT, BAND, BAND_INK = "#1c2126", "#5b646d", "#9aa4ae", "#d9d3c3", "#85795a"
# Told apart by eyes that see few colours too: with them go different marks.
COLOURS = ("#0b62a4", "#c8500a", "#0a8a5f", "#b0569a", "#b07d00", "#2b8fc4", "#8a5a3c", "#6b4fa0",
           "#707880", "#a32638", "#4d7c0f", "#0f766e")
MARKS = (7, 5, 9, 13, 11, 6, 4, 8, 12, 10, 2, 1)
# The plot inside the picture, as in style.gp; the height of a line of text in it.
PLOT_TOP, PLOT_BOTTOM, PLOT_RIGHT = 0.835, 0.155, 0.775
GAP = 17 / ((PLOT_TOP - PLOT_BOTTOM) * 400)


@dataclasses.dataclass
class Curve:
    name: str
    points: list  # (x, y), in the order of x
    style: int = 0  # index of COLOURS and MARKS
    dash: int = 1
    steps: bool = False


@dataclasses.dataclass
class Axis:
    label: str
    log: bool = False
    low: float | None = None
    high: float | None = None
    tics: list | None = None  # (text, value)
    format: str = ""


@dataclasses.dataclass
class Chart:
    name: str
    title: str
    x: Axis
    y: Axis
    curves: list
    band: list = dataclasses.field(default_factory=list)  # points of a broad line behind all
    band_name: str = ""
    listed: bool = False  # names in a list from the top, not beside the ends
    right: float | None = None  # where the plot ends, of the width: long names need room


class Failed(Exception):
    """gnuplot is missing or refused; the text says what to do."""


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def decade(value, up):
    step = math.ceil if up else math.floor
    return 10.0 ** step(round(math.log10(value), 9))


def fit(axis, values):
    """Fill in the range; returns the value that stands for zero on a logarithmic axis, or None."""
    values = values or [1]
    if not axis.log:
        low, high = min(0, *values, 0), max(*values, 0)
        axis.low = low * 1.06 if axis.low is None else axis.low
        axis.high = (high * 1.06 or -low / 5 or 1) if axis.high is None else axis.high
        return None
    positive = [v for v in values if v > 0] or [1]
    low, high = decade(min(positive), False), decade(max(positive), True)
    high = high if high > low else low * 10
    floor = None
    if any(v <= 0 for v in values):
        floor = low / 10
        low = floor
    axis.low = low * 0.8 if axis.low is None else axis.low
    axis.high = high if axis.high is None else axis.high
    return floor


def place(axis, value):
    """From a value to 0..1 along the axis."""
    value = max(value, min(axis.low, axis.high)) if axis.log else value
    if axis.log:
        value, low, high = (math.log10(max(v, 1e-300)) for v in (value, axis.low, axis.high))
        return (value - low) / (high - low)
    return (value - axis.low) / (axis.high - axis.low)


def spread(wanted, gap):
    """Positions at least @gap apart, near the wanted ones and in their order, inside 0..1."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    out = [min(max(wanted[i], 0), 1) for i in order]
    for _ in range(200):
        moved = False
        for i in range(1, len(out)):
            lack = gap - (out[i] - out[i - 1])
            if lack > 1e-6:
                out[i - 1] -= lack / 2
                out[i] += lack / 2
                moved = True
        if out and out[0] < -0.02:
            out[0], moved = -0.02, True
        if out and out[-1] > 1.02:
            out[-1], moved = 1.02, True
        if not moved:
            break
    result = [0.0] * len(wanted)
    for position, i in zip(out, order):
        result[i] = position
    return result


def listed_labels(curves):
    """The names one below the other, each behind a piece of its curve."""
    out = []
    for n, curve in enumerate(curves):
        at, colour = 0.97 - n * 1.15 * GAP, quoted(COLOURS[curve.style % len(COLOURS)])
        out.append(f"set label {quoted(curve.name)} at graph 1.075,{at:.4f} left "
                   f"textcolor rgb {colour} noenhanced front")
        out.append(f"set arrow from graph 1.02,{at:.4f} to graph 1.062,{at:.4f} nohead "
                   f"linecolor rgb {colour} linewidth 2 dashtype {curve.dash} front")
    return out


def end_labels(curves, y):
    """Gnuplot's words for the names beside the ends of the curves, each with a thin leader."""
    ends = [min(max(place(y, curve.points[-1][1]), 0), 1) for curve in curves]
    out = []
    for curve, end, at in zip(curves, ends, spread(ends, GAP)):
        colour = quoted(COLOURS[curve.style % len(COLOURS)])
        out.append(f"set label {quoted(curve.name)} at graph 1.045,{at:.4f} left "
                   f"textcolor rgb {colour} noenhanced front")
        out.append(f"set arrow from graph 1.004,{end:.4f} to graph 1.038,{at:.4f} nohead "
                   f"linecolor rgb {colour} linewidth 0.8 front")
    return out


def heading(title, unit):
    """The title, and below it what the vertical axis counts: text that lies is easier to read."""
    return [f"set label 998 {quoted(title)} at screen 0.016,0.95 left font ',16' "
            f"textcolor rgb '{INK}' noenhanced",
            f"set label 999 {quoted(unit)} at screen 0.016,0.89 left font ',13' "
            f"textcolor rgb '{QUIET}' noenhanced"]


def axis_words(which, axis, floor):
    out = [f"set {which}range [{axis.low!r}:{axis.high!r}]",
           f"set logscale {which}" if axis.log else f"unset logscale {which}"]
    if axis.format:
        out.append(f"set format {which} {quoted(axis.format)}")
    if axis.tics is not None:
        marks = ", ".join(f"{quoted(text.replace('%', '%%'))} {value!r}"
                          for text, value in axis.tics)
        out.append(f"set {which}tics ({marks}) noenhanced")
    elif axis.log and floor is not None:
        powers = range(round(math.log10(floor)) + 1, round(math.log10(axis.high)) + 1)
        marks = ", ".join(f"{quoted(power_text(n))} 1e{n}" for n in powers)
        out.append(f"set {which}tics ('0' {floor!r}, {marks}) noenhanced")
    elif axis.log:
        powers = range(round(math.log10(axis.low * 1.25)), round(math.log10(axis.high)) + 1)
        marks = ", ".join(f"{quoted(power_text(n))} 1e{n}" for n in powers)
        out.append(f"set {which}tics ({marks}) noenhanced")
    return out


def power_text(n):
    for least, unit in ((9, "G"), (6, "M"), (4, "k")):
        if n >= least:
            return f"{10 ** (n - least // 3 * 3):,} {unit}"
    return f"{10 ** n:,}" if n >= 0 else f"{10.0 ** n:.{-n}f}"


def script(chart, out):
    """The whole of what gnuplot is told."""
    points = [p for c in chart.curves for p in c.points] + chart.band
    fit(chart.x, [x for x, _ in points])
    floor = fit(chart.y, [y for _, y in points])
    words = [f"load {quoted(STYLE)}", f"set output {quoted(out)}",
             *heading(chart.title, chart.y.label), f"set xlabel {quoted(chart.x.label)} noenhanced",
             *([f"set rmargin at screen {chart.right}"] if chart.right else []),
             *axis_words("x", chart.x, None), *axis_words("y", chart.y, floor),
             *(listed_labels(chart.curves) if chart.listed else
               end_labels(chart.curves, chart.y))]
    plots = []
    for n, points in enumerate([chart.band] if chart.band else []):
        words += data(f"$band{n}", points, floor)
        plots.append(f"$band{n} with lines linewidth 9 linecolor rgb '{BAND}'")
    for n, curve in enumerate(chart.curves):
        words += data(f"$curve{n}", curve.points, floor)
        colour = COLOURS[curve.style % len(COLOURS)]
        look = (f"linewidth 2 dashtype {curve.dash} linecolor rgb '{colour}' "
                + ("" if curve.steps else f"pointtype {MARKS[curve.style % len(MARKS)]}"))
        plots.append(f"$curve{n} with {'steps' if curve.steps else 'linespoints'} {look}")
    if chart.band_name:
        right = chart.right or PLOT_RIGHT
        words += [f"set label {quoted(chart.band_name)} at screen {right},0.89 right font ',12' "
                  f"textcolor rgb '{BAND_INK}' noenhanced"]
    return "\n".join([*words, "plot " + ", \\\n  ".join(plots), ""])


def data(name, points, floor):
    rows = [f"{x!r} {floor if floor is not None and y <= 0 else y!r}" for x, y in points]
    return [f"{name} << EOD", *rows, "EOD"]


def bars(name, title, label, groups, series, values, out, log_floor=None):
    """Script of a bar chart: for each group one bar per series; values[group][series] or None."""
    present = [v for row in values for v in row if v is not None]
    y = Axis(label)
    fit(y, present)
    words = [f"load {quoted(STYLE)}", f"set output {quoted(out)}",
             *heading(title, label),
             f"set xrange [-0.5:{len(groups) - 0.5}]", f"set yrange [{y.low!r}:{y.high!r}]",
             "set xtics (" + ", ".join(f"{quoted(g)} {i}" for i, g in enumerate(groups)) +
             ") noenhanced scale 0", "set grid noxtics ytics",
             f"set arrow from graph 0,first 0 to graph 1,first 0 nohead linecolor rgb '{FAINT}'"]
    plots, width = [], 0.8 / max(len(series), 1)
    for n, one in enumerate(series):
        rows = [f"{g - 0.4 + width * (n + 0.5)!r} {values[g][n]!r} {width * 0.86!r}"
                for g in range(len(groups)) if values[g][n] is not None]
        words += [f"$bar{n} << EOD", *rows, "EOD"]
        colour = COLOURS[one.style % len(COLOURS)]
        plots.append(f"$bar{n} using 1:2:3 with boxes linecolor rgb '{colour}'")
        at = 0.97 - n * 1.15 * GAP
        words.append(f"set label {quoted(one.name)} at graph 1.03,{at:.4f} left "
                     f"textcolor rgb '{colour}' noenhanced")
    return "\n".join([*words, "plot " + ", \\\n  ".join(plots), ""])


def draw(text):
    """Let gnuplot work. Raises Failed."""
    try:
        done = subprocess.run(["gnuplot", "-"], input=text, capture_output=True, text=True,
                              check=False)
    except FileNotFoundError:
        raise Failed("gnuplot is missing; run tools/setup (Debian: gnuplot-nox).") from None
    if done.returncode or done.stderr.strip():
        raise Failed(f"gnuplot refused a plot: {done.stderr.strip() or done.returncode}")
