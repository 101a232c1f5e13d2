# SPDX-License-Identifier: MIT
"""boot - one machine, one set of arguments: what did the laboratory print?

Costs are counted with QEMU's instruction counter for a clock: exact and repeatable, but the
virtual CPUs take turns. What needs CPUs that run at the same time (guarantees, latency, many
address spaces) runs with a thread of the host for each CPU.
"""
import dataclasses
import os
import shutil
import subprocess

from laboratory import lines

TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STATUS = ("pass", "fail", "panic", "reset", "timeout", "not started")


@dataclasses.dataclass
class Job:
    """One boot. @words: the arguments of the program lab; @kernel_args: those of the kernel."""
    name: str
    section: str
    words: dict
    cpus: int = 1
    mem: str = "1G"
    icount: bool = True
    kernel_args: str = ""
    device: str = "virtio"  # or ram: there no host decides when a request ends
    disk: str = "256M"
    timeout: float = 900

    @property
    def clock(self):
        return "icount" if self.icount else "threads"


def guest_args(job):
    """The arguments of the kernel: lab= takes the words of the program lab, joined by colons."""
    words = ":".join(f"{key}={value}" for key, value in job.words.items())
    root = "root=ram0" if job.device == "ram" else ""
    return " ".join(f"lab={words} {root} {job.kernel_args}".split())


def command(job, kernel, disk, log):
    cmd = [f"{TOOLS}/qemu", "--kernel", kernel, "--cpus", str(job.cpus), "--mem", job.mem,
           "--module" if job.device == "ram" else "--disk", disk, "--args", guest_args(job),
           "--tty", "no", "--log", log, "--timeout", f"{job.timeout:g}"]
    if job.icount:
        # Each iteration of a REP instruction would count as an instruction.
        return cmd + ["--icount", "0", "--cpu", "max,-erms,-fsrm"]
    return cmd


def run(job, kernel, directory, progress=lambda job, count: None):
    """Boot it; the result is a document as lines.py describes, with one boot."""
    scratch = os.path.join(directory, f"{job.name}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
    os.makedirs(scratch)
    try:
        return boot_in(job, kernel, scratch, os.path.join(directory, f"{job.name}.log"), progress)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def boot_in(job, kernel, scratch, log, progress):
    found, problems, disk = [], [], f"{scratch}/disk.img"
    made = subprocess.run([f"{TOOLS}/image", disk, f"size={job.disk}"], check=False,
                          capture_output=True, text=True)
    if made.returncode:
        return document(job, "not started", made.stderr.strip(), log, [], [])
    with open(f"{scratch}/err", "w+", encoding="utf-8") as errors, subprocess.Popen(
            command(job, kernel, disk, log), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=errors) as qemu:
        for raw in qemu.stdout:
            line, complaint = lines.parse(raw.decode(errors="replace"))
            if raw.startswith(b"args: "):  # it was left out: the lines would carry a wrong name
                complaint = raw.decode(errors="replace").strip()
            if complaint:
                problems.append(complaint)
            elif line:
                found.append(line | {"boot": job.name, "section": job.section,
                                     "clock": job.clock})
                progress(job, len(found))
        status = qemu.wait()
        errors.seek(0)
        why = errors.read().strip()
    status = STATUS[status] if 0 <= status < len(STATUS) else "not started"
    if status in ("pass", "fail") and not any(x["lab"] == "end" for x in found):
        status, why = "fail", why or "the laboratory did not come to its last line."
    return document(job, status, why, log, found, problems)


def document(job, status, why, log, found, problems):
    boot = {"name": job.name, "section": job.section, "clock": job.clock, "cpus": job.cpus,
            "device": job.device, "mem": job.mem, "args": guest_args(job), "status": status,
            "why": why, "log": log, "problems": problems}
    return {"laboratory": lines.VERSION, "made": {}, "boots": [boot], "lines": found}


def failed(result, boot):
    """Did this boot go wrong, other than by cells that differ? Returns a sentence, or ""."""
    mine = [x for x in result["lines"] if x.get("boot") == boot["name"]]
    if boot["status"] == "pass" and not boot["problems"]:
        return ""
    if boot["status"] == "fail" and not boot["problems"] and any(map(lines.differs, mine)):
        return ""  # the guest counts those cells as failures; the table shows them
    text = "; ".join([boot["why"] or f"it ended with {boot['status']}", *boot["problems"]])
    return f"{boot['name']}: {text} (serial output: {boot['log']})"
