# SPDX-License-Identifier: MIT
"""guest - what happened when this run was booted?

Makes the disks, starts tools/qemu, types what the run wants typed, and reads the TAP that the
kernel printed on its serial line. Judges nothing.
"""
import codecs
import os
import re
import subprocess

import config
import disks

PROMPT = re.compile(rb"(?:^|[\r\n])dirtybit> $")
ANSI = re.compile(r"\x1b\[[0-9;=?]*[A-Za-z]")
TEST = re.compile(r"^(not )?ok\b *(\d+)? *(?:- *)?(.*)$")
ENDS = ("pass", "fail", "panic", "reset", "timeout", "not started")


class Outcome:
    """end: one of ENDS; lines: the serial output; tests: (passed, name, diagnostics) in order."""

    def __init__(self, end, why, log, run_disks):
        self.end, self.why, self.log, self.disks = end, why, log, run_disks
        self.plan, self.tests, self.verify = None, [], []
        try:
            with open(log, encoding="utf-8", errors="replace") as f:
                text = f.read()
        except FileNotFoundError:
            text = ""
        self.lines = [ANSI.sub("", x).replace("\r", "") for x in text.split("\n")]
        for line in self.lines:
            self.parse(line)

    def parse(self, line):
        match = TEST.match(line)
        if match:
            self.tests.append((not match[1], match[3], []))
        elif re.match(r"^1\.\.\d+", line):
            self.plan = int(re.match(r"^1\.\.(\d+)", line)[1])
        elif line.startswith("# verify "):
            fields = line.split()
            if len(fields) == 5:
                self.verify.append(fields[2:])
        if line.startswith("#") and self.tests:
            self.tests[-1][2].append(line)

    def tail(self, count=40):
        return [x for x in self.lines if x.strip()][-count:]


def with_args(args, **changes):
    """The argument string with some keys replaced or added."""
    kept = [x for x in args.split() if x.partition("=")[0] not in changes]
    return " ".join(kept + [f"{key}={value}" for key, value in changes.items()])


def type_lines(qemu, lines):
    """Each time the shell prompts, type the next line. Reads the output to its end."""
    pending = [codecs.decode(x, "unicode_escape").encode("latin-1") + b"\r" for x in lines]
    seen = b""
    while True:
        piece = os.read(qemu.stdout.fileno(), 4096)
        if not piece:
            return
        seen = (seen + piece)[-4096:]
        if pending and PROMPT.search(seen):
            seen = b""
            try:
                qemu.stdin.write(pending.pop(0))
                qemu.stdin.flush()
            except BrokenPipeError:
                return


def command(run, directory, kernel, args, timeout, run_disks):
    cmd = ["tools/qemu", "--cpus", run.cpus, "--mem", run.mem, "--accel", run.accel,
           "--cpu", run.cpu, "--timeout", timeout, "--log", f"{directory}/serial.log",
           "--args", args, "--tty", "yes" if run.serial_in else "no"]
    if run.icount is not None:
        cmd += ["--icount", run.icount]
    if run.boot == "pvh":
        cmd += ["--kernel", kernel, "--append", run.append]
    else:
        iso = config.ISO
        if run.append:
            iso = f"{directory}/run.iso"
            subprocess.run(["tools/iso", kernel, iso, run.append], check=True)
        cmd += ["--iso", iso, "--firmware", run.boot.partition("-")[2]]
    for disk in run_disks:
        cmd += ["--disk", disk.spec]
    for n, line in enumerate(run.module):
        cmd += ["--module", disks.make(line, f"{directory}/module{n}.img").image]
    return cmd


def boot(run, directory, kernel=config.KERNEL, args=None, timeout=None):
    """Run it once, in a directory of its own; returns the Outcome."""
    os.makedirs(directory, exist_ok=True)
    log = f"{directory}/serial.log"
    if os.path.exists(log):
        os.unlink(log)
    run_disks = [disks.make(line, f"{directory}/disk{n}.img") for n, line in enumerate(run.disk)]
    run_disks = [disk for disk in run_disks if disk]
    cmd = command(run, directory, kernel, run.args if args is None else args,
                  timeout or run.timeout, run_disks)
    with open(f"{directory}/qemu.err", "w+", encoding="utf-8") as err:
        if run.serial_in:
            with subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=err) as qemu:
                type_lines(qemu, run.serial_in)
                status = qemu.wait()
        else:
            status = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                    stderr=err, check=False).returncode
        err.seek(0)
        why = err.read().strip()
    return Outcome(ENDS[status] if 0 <= status < len(ENDS) else ENDS[5], why, log, run_disks)
