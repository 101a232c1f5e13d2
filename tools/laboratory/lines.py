# SPDX-License-Identifier: MIT
"""lines - what did the kernel's laboratory print, and what do the words in it mean?

The program `lab` prints one JSON object per line, {"lab":KIND,...}, KIND one of begin, cost,
latency, guarantee, times, axis, end. Everything that reads, shows or explains them takes names,
order and meaning from here. A result file (lab.json) is

    {"laboratory": 1, "made": {...}, "boots": [{...}], "lines": [{...}]}

where each line has three fields more: boot (its name), section (why it was booted: costs,
probability, size, cpus, guarantees, latency, times, sweep) and clock: "icount" (the counts are the
same in every run) or "threads" (each CPU is a thread of the host; counts vary a little).
"""
import json

VERSION = 1
KINDS = ("begin", "cost", "latency", "guarantee", "times", "axis", "end")

# What is chosen, in the order in which it is shown; all else on a cost line is measured.
PARAMETERS = {
    "policy": "how dirtiness is learnt: a file of kernel/mm/policy",
    "workload": "who stores where",
    "flush": "pages per shootdown: batch, page, or deferred (wait for CPUs, do not interrupt)",
    "cmtime": "when file times move: lazy, eager, memory, writeback, query",
    "scope": "areas in which a policy may leave pages writable: all, locked, asked",
    "grant": "pages made writable by one fault (1: only the page itself)",
    "cpus": "virtual CPUs",
    "pages": "pages of 4 KiB in the mapping",
    "rounds": "rounds of stores, each ended by a sync",
    "seed": "of the pseudo-random choices; the same seed gives the same stores",
    "p": "the chance that a page is stored to in a round (workload redirty)",
    "spaces": "address spaces that map the file (workload many)",
}
HOST_FIELDS = ("lab", "boot", "section", "clock")

# The order in which policies are shown, the baseline first; then others, as they come.
POLICIES = ("write_notify", "clean_writable", "adaptive", "hybrid", "will_write", "log", "scan",
            "forked", "one_hook", "random")
CMTIMES = ("lazy", "eager", "memory", "writeback", "query")
WORKLOADS = {
    "redirty": "every page with probability p, every round, then msync",
    "sparse": "1 % of the pages each round, then msync",
    "hot": "64 pages, stored to for ever",
    "rt": "a real-time thread stores while a flusher and foreign I/O run",
    "append": "a log that grows through the mapping",
    "many": "one file in many address spaces",
    "commit": "a database: a few pages, then MS_SYNC, for ever",
    "observer": "somebody else caches the file and trusts its change cookie",
    "nearfull": "first stores into holes on a disk that fills up",
    "mixed": "mapping, write() and direct I/O on one file",
}

GUARANTEES = {
    "no_lost_store": ("lost store", "a store that was followed by msync(MS_SYNC) is on disk"),
    "fsync_complete": ("fsync", "a store that was followed by fsync() is on disk"),
    "sync_ends": ("sync ends", "msync and fsync return although stores go on"),
    "age_bounded": ("age", "any store is on disk after age + period, without a sync"),
    "nr_dirty_exact": ("nr_dirty", "the count of dirty pages is that of the pages stored to"),
    "enospc_before": ("ENOSPC", "a full disk is known before the store, not after it"),
    "refusal_told": ("refusal", "a refused store is told to who made it and changes nothing"),
    "posix_times": ("times", "st_mtime is not older than a store before the last msync or stat"),
    "cookie": ("cookie", "who caches by the change cookie never trusts a stale copy"),
    "stable_pages": ("stable", "a page does not change while it is under I/O"),
    "no_hot_fault": ("hot fault", "a page that is stored to for ever faults only once"),
    "throttled": ("throttle", "pages that may be dirty stay below the limit"),
    "gone_is_gone": ("gone", "what was punched out, zeroed or cut off never comes back"),
    "direct_coherent": ("direct", "ordered stores and direct I/O see each other"),
    "protection": ("protect", "no store passes mprotect; none is lost by mremap, DONTNEED, fork"),
    "reclaim": ("reclaim", "a page that left memory comes back with what was stored to it"),
    "copies_end": ("copies", "write() and read() whose buffer maps the same page, or two files "
                   "crosswise, end and move the right bytes"),
}
# Arguments whose values promise something under every policy: apps/lab/axes.c.
AXES = {
    "alloc": "when blocks are found for a hole",
    "wberr": "what a failed write leaves",
    "dio": "direct I/O and mappings",
}
VERDICTS = ("broken", "kept", "not asked")  # the worst first


def parse(text):
    """One line of the serial port: (object or None, complaint or None)."""
    text = text.strip()
    if not text.startswith('{"lab"'):
        return None, None
    try:
        line = json.loads(text)
    except ValueError as why:
        return None, f"not JSON ({why}): {text[:120]}"
    if line["lab"] not in KINDS:
        return None, f"a line of the unknown kind {line['lab']}: {text[:120]}"
    return line, None


def differs(line):
    """Is this a cell that is not what is declared: by the policy's file, or for the axis?"""
    return (line["lab"] in ("guarantee", "axis") and line.get("verdict") in ("kept", "broken")
            and line.get("declared") in ("kept", "broken")
            and line["verdict"] != line["declared"])


def parameters(line, but=()):
    """What was chosen for this line, as a tuple of pairs, in the order of PARAMETERS."""
    return tuple((key, line[key]) for key in PARAMETERS if key in line and key not in but)


def select(lines, kind, section=None):
    """The lines of one kind, of one section or of any."""
    return [x for x in lines if x["lab"] == kind and section in (None, x.get("section"))]


def in_order(names, known):
    """Each name once: the known ones in their order, then the others as they came."""
    names = list(dict.fromkeys(names))
    return [x for x in known if x in names] + [x for x in names if x not in known]


class Unreadable(Exception):
    """A sentence that says which file cannot be used and what to do."""


def load(path):
    """A result file. Raises Unreadable."""
    try:
        with open(path, encoding="utf-8") as f:
            result = json.load(f)
    except FileNotFoundError:
        raise Unreadable(f"{path} does not exist; `make lab` writes build/lab/lab.json, "
                         "`make sweep` writes build/sweep/sweep.json.") from None
    except (OSError, ValueError) as why:
        raise Unreadable(f"{path} cannot be read as a result: {why}; "
                         "run `make lab` again.") from None
    if not isinstance(result, dict) or not isinstance(result.get("lines"), list):
        raise Unreadable(f"{path} is JSON, but no result of the laboratory; "
                         "give a lab.json, not a lab.jsonl.")
    if result.get("laboratory") != VERSION:
        raise Unreadable(f"{path} has format {result.get('laboratory')}, this program reads "
                         f"{VERSION}; run `make lab` again.")
    return result


def save(path, result):
    """The result file, and beside it its lines alone (.jsonl), one object each."""
    with open(path, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    with open(path + "l", "w", encoding="utf-8") as f:
        f.writelines(json.dumps(x, separators=(",", ":")) + "\n" for x in result["lines"])


def merge(results, made):
    """One result out of several; a boot that comes twice counts as it came last."""
    boots, lines = {}, {}
    for result in results:
        for boot in result["boots"]:
            boots[boot["name"]] = boot
            lines[boot["name"]] = [x for x in result["lines"] if x.get("boot") == boot["name"]]
    return {"laboratory": VERSION, "made": made, "boots": list(boots.values()),
            "lines": [x for name in boots for x in lines[name]]}
