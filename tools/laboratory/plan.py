# SPDX-License-Identifier: MIT
"""plan - which machines are booted to answer a question?

One question is many boots: the tables, and a series of boots for each plot. `make lab` runs them
all; --section picks some. A sweep is a list that the user wrote (tools/sweep).
"""
from laboratory.boot import Job
from laboratory.lines import CMTIMES

SECTIONS = {
    "costs": "each policy and workload, instructions counted exactly (1 CPU)",
    "guarantees": "each policy and guarantee, with a host thread for each CPU",
    "latency": "workloads that need CPUs at the same time: rt, many",
    "probability": "redirty, for each probability that a page is stored to again",
    "size": "sparse and commit, for each size of the mapping",
    "cpus": "redirty and hot on 1 to 8 CPUs, with each way to flush",
    "times": "what is wrong with st_mtime, for each cmtime",
}
WORDS_MAX = 247  # libc/init_args.c
TOGETHER = ("rt", "many")
PROBABILITIES = ("0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1")
# Policies that learn need time: rounds of the series over p, in rounds of the tables.
LONG = 32
WARM = 256  # and rounds before those that count
SIZES = (64, 256, 1024, 4096, 16384)
CPUS = (1, 2, 4, 8)
FLUSHES = ("batch", "page", "deferred")
# Arguments of the kernel that are axes of an experiment; the others belong to the program lab.
KERNEL_AXES = ("flush", "cmtime", "scope", "grant", "dio")


def words(question, **changes):
    """The words of the program lab: what was asked, with changes; None leaves a word out."""
    out = {"policy": question.policy, "seed": question.seed, "rounds": question.rounds,
           "pages": question.pages, "json": "yes"} | changes
    return {key: value for key, value in out.items() if value is not None}


def kernel_args(question, **changes):
    out = {key: getattr(question, key) for key in KERNEL_AXES} | changes
    return " ".join([f"{k}={v}" for k, v in out.items() if v is not None] +
                    ([question.args] if question.args else []))


def names(text):
    return text.split(",")


def tables_jobs(question):
    """The boots behind the two tables."""
    everything = question.workload == "all"
    alone = [x for x in names(question.workload) if x not in TOGETHER]
    together = TOGETHER if everything else [x for x in names(question.workload) if x in TOGETHER]
    base = kernel_args(question)
    if everything:
        alone = ["redirty", "sparse", "hot", "append", "commit", "observer", "nearfull", "mixed"]
    if alone:
        yield Job("costs", "costs", words(question, workload=",".join(alone), guarantee="none",
                                          times="no", p=question.p), 1, question.mem, True, base)
    if question.guarantee != "none":
        yield Job("guarantees", "guarantees",
                  words(question, workload="none", guarantee=question.guarantee, times="yes",
                        rounds=None, pages=None), question.cpus, question.mem, False, base)
    if together:
        yield Job("latency", "latency", words(question, workload=",".join(together),
                                              guarantee="none", times="no"),
                  question.cpus, question.mem, False, base)


def series_jobs(question):
    """The boots behind the plots."""
    quiet = {"guarantee": "none", "times": "no"}
    for half, some in (("low", PROBABILITIES[:5]), ("high", PROBABILITIES[5:])):
        yield Job(f"probability-{half}", "probability",
                  words(question, workload="redirty", p=",".join(some),
                        rounds=LONG * question.rounds, warm=WARM, **quiet), 1, question.mem, True,
                  kernel_args(question))
    for pages in SIZES:
        yield Job(f"size-{pages}", "size",
                  words(question, workload="sparse,commit", pages=pages, rounds=2, **quiet), 1,
                  question.mem, True, kernel_args(question))
    for flush in FLUSHES:
        for cpus in CPUS:
            yield Job(f"cpus-{flush}-{cpus}", "cpus",
                      words(question, workload="redirty,hot", p="0.5", cpus=cpus,
                            policy="write_notify,clean_writable", **quiet), cpus, question.mem,
                      True, kernel_args(question, flush=flush))
    for cmtime in CMTIMES:
        yield Job(f"times-{cmtime}", "times",
                  words(question, workload="redirty", p="0.5", **quiet), 1, question.mem, True,
                  kernel_args(question, cmtime=cmtime))


def jobs(question):
    """All boots of a question, those of the tables first."""
    wanted = list(SECTIONS) if question.section == "all" else names(question.section)
    out = [job for job in [*tables_jobs(question), *series_jobs(question)]
           if job.section in wanted]
    for job in out:
        job.timeout = question.timeout
        job.device = question.device if job.icount else "virtio"
        fitted(job)
    return out


def fitted(job):
    """Room for the mapping: its file on the disk, its page cache, on a RAM disk its blocks."""
    mib = int(job.words.get("pages", 0)) * 4096 >> 20
    job.disk = f"{64 + mib * 9 // 8}M"
    if mib > 64:
        job.mem = "2G"
    return job


def too_long(job):
    """A sentence if the kernel would refuse the argument, else ""."""
    text = ":".join(f"{k}={v}" for k, v in job.words.items())
    if len(text) <= WORDS_MAX:
        return ""
    return (f"the arguments of the boot {job.name} are {len(text)} characters long, the kernel "
            f"takes {WORDS_MAX}: name fewer policies or workloads, or say all.")
