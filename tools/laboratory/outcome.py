# SPDX-License-Identifier: MIT
"""outcome - how is a result kept, shown and judged? The last step of make lab and make sweep."""
import os
import shlex
import subprocess
import sys
import time

from laboratory import boot, chart, lines, page, plots, tables


def first_line(*cmd):
    try:
        done = subprocess.run(cmd, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip().split("\n")[0] or "unknown"


def made(command, seed):
    """Everything that a reader needs to get the same result again."""
    return {
        "source": first_line("git", "describe", "--always", "--tags", "--dirty"),
        "qemu": first_line("qemu-system-x86_64", "--version"),
        "compiler": first_line(os.environ.get("CROSS", "x86_64-linux-gnu-") + "gcc", "--version"),
        "seed": seed, "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "command": shlex.join(command),
    }


def publish(name, result, out):
    """Page and plots into a folder; returns what went wrong, as sentences."""
    problems = [x for x in (boot.failed(result, b) for b in result["boots"]) if x]
    drawn = []
    try:
        drawn = plots.draw_all(result, out)
    except chart.Failed as why:
        problems.append(str(why))
    page.write(f"{out}/{name}.html", result, drawn, problems)
    return problems


def tell(name, result, out, problems=()):
    """Keep everything in @out, print the tables; the exit status."""
    lines.save(f"{out}/{name}.json", result)
    problems = [*problems, *publish(name, result, out)]
    print("\n".join(tables.text(result)))
    print(f"{len(result['lines'])} lines in {out}/{name}.json; the page is {out}/{name}.html")
    sys.stdout.flush()
    for text in problems:
        print(f"{name}: {text}", file=sys.stderr)
    odd = sum(map(lines.differs, result["lines"]))
    if odd:
        print(f"{name}: {odd} guarantees are not what the policies' files declare.",
              file=sys.stderr)
    return int(bool(problems or odd))
