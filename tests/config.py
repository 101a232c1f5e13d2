# SPDX-License-Identifier: MIT
"""config - which runs and mutants are there, as data?

The format: [kind name] opens a section, key=value lines follow, # begins a comment line. A key
that may stand several times is a list. Unknown keys are errors: a misspelt one must not pass for
its default.
"""
import glob
import os
import sys

BUILD = os.environ.get("BUILD", "build")
KERNEL = f"{BUILD}/dirtybit.elf"
ISO = f"{BUILD}/dirtybit.iso"

RUN_LISTS = ("disk", "module", "grep", "nogrep", "serial_in")
RUN_DEFAULTS = {
    "cpus": "2", "mem": "256M", "args": "", "append": "", "boot": "pvh", "accel": "tcg",
    "cpu": "max", "icount": None, "timeout": "120", "groups": "", "expect": "pass", "fsck": "yes",
    "verify": "yes",
}
MUTANT_DEFAULTS = {
    "file": None, "from": None, "to": None, "run": None, "test": None, "why": None,
    "debug": "0", "groups": "", "timeout": "60", "args": "",
}
CHOICES = {
    "boot": ("pvh", "iso-bios", "iso-uefi"), "accel": ("tcg", "kvm"), "fsck": ("yes", "no"),
    "verify": ("yes", "no"),
    "expect": ("pass", "fail", "panic", "boot"), "debug": ("0", "1"),
}


class Section:
    """One section: its keys are attributes (from_ and the like where Python has the word)."""

    def __init__(self, name, place, defaults, lists):
        self.name, self.place = name, place
        self.keys = {key: [] for key in lists} | dict(defaults)

    def __getattr__(self, key):
        try:
            return self.__dict__["keys"][key.rstrip("_")]
        except KeyError:
            raise AttributeError(key) from None


def die(text):
    print(f"Bail out! {text}")
    print(text, file=sys.stderr)
    sys.exit(1)


def read(path, kind, defaults, lists=()):
    """All sections [kind name] of a file; with an empty kind, all sections [name]."""
    sections, current = {}, None
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            line, place = line.strip(), f"{path}:{number}"
            if not line or line.startswith("#"):
                continue
            if line.startswith("[") and line.endswith("]"):
                name = line[1:-1].strip()
                if kind:
                    first, _, name = name.partition(" ")
                    if first != kind or not name:
                        die(f"{place}: [{first} {name}] should be [{kind} name].")
                if name in sections:
                    die(f"{place}: the name {name} is taken by {sections[name].place}.")
                current = sections[name] = Section(name, place, defaults, lists)
                continue
            key, equals, value = (x.strip() for x in line.partition("="))
            if not equals or current is None:
                die(f"{place}: expected key=value inside a section, got: {line}")
            if key in lists:
                current.keys[key].append(value)
            elif key not in defaults:
                die(f"{place}: unknown key {key}; known: {' '.join(sorted([*defaults, *lists]))}.")
            elif value not in CHOICES.get(key, (value,)):
                die(f"{place}: {key}={value}; one of: {' '.join(CHOICES[key])}.")
            else:
                current.keys[key] = value
    return sections


def runs(path="tests/tests.cfg"):
    return read(path, "run", RUN_DEFAULTS, RUN_LISTS)


def mutants(directory="tests/mutants"):
    sections = {}
    for path in sorted(glob.glob(f"{directory}/*.cfg")):
        for name, section in read(path, "", MUTANT_DEFAULTS).items():
            if name in sections:
                die(f"{section.place}: the name {name} is taken by {sections[name].place}.")
            sections[name] = section
    for section in sections.values():
        for key in ("file", "from", "to", "run", "test", "why"):
            if section.keys[key] is None:
                die(f"{section.place}: the mutant {section.name} does not say {key}=.")
    return sections


def default_run():
    """The run for a single kernel test: the first that runs all of them."""
    for run in runs().values():
        if "test=all" in run.args.split():
            return run
    return die("tests/tests.cfg has no run with the argument test=all.")
