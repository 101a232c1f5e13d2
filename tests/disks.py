# SPDX-License-Identifier: MIT
"""disks - which disk does a run get, fresh and the same every time?

A disk= line of tests.cfg is KIND followed by options. Kinds:
    none               no disk
    mkfs:4k, mkfs:1k, mkfs:2k,128     ext2 of that block size (and inode size), by tools/image
    garbage, blank     no file system: arbitrary bytes, zeros
    short              the image ends before its superblock says
    errors             the superblock says that errors were found
    incompat[:BIT], rocompat[:BIT]    a feature bit that nobody knows
    null               a device without storage (reads as zeros)
RULE may say block=FILE:N instead of sector=: the first sector of block N of a file of the image.
Options: size=32M sector=4096 readonly slow=16M (bytes written in a second)
blkdebug-read:RULE blkdebug-write:RULE blkdebug-flush:RULE
(RULE as in tools/qemu; a line that begins with blkdebug means mkfs:4k).
"""
import os
import random
import re
import struct
import subprocess
import sys

SUPERBLOCK = 1024
LOG_BLOCK_SIZE, STATE, INCOMPAT, ROCOMPAT = 0x18, 0x3A, 0x60, 0x64
UNKNOWN_BIT = "0x80000000"


class Disk:
    def __init__(self, spec, image, checked):
        self.spec, self.image, self.checked = spec, image, checked


def to_bytes(text):
    return int(text[:-1]) << {"K": 10, "M": 20, "G": 30}[text[-1].upper()]


def mkfs(path, layout, size):
    block, _, inode = layout.partition(",")
    command = ["tools/image", path, f"size={size}", f"block={int(block.rstrip('kK')) * 1024}",
               f"inode={inode or 256}", "tests=yes"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed: {result.stdout.strip()}")


def patch(path, offset, form, change):
    with open(path, "r+b") as f:
        f.seek(SUPERBLOCK + offset)
        old = struct.unpack(form, f.read(struct.calcsize(form)))[0]
        f.seek(SUPERBLOCK + offset)
        f.write(struct.pack(form, change(old)))


def place(rule, path):
    """The rule with block=FILE:N replaced by the sector where mke2fs put that block."""
    match = re.search(r"block=([^:]+):([0-9]+)", rule)
    if not match:
        return rule
    answer = subprocess.run(["debugfs", "-R", f"bmap {match[1]} {match[2]}", path],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    with open(path, "rb") as f:
        f.seek(SUPERBLOCK + LOG_BLOCK_SIZE)
        sectors = 2 << struct.unpack("<I", f.read(4))[0]
    if not answer.strip().isdigit():
        sys.exit(f"disk rule {rule}: debugfs finds no such block in {path}.")
    return rule.replace(match[0], f"sector={int(answer) * sectors}")


def make(line, path):
    """The disk for one line, or None; the image is written to path."""
    kind, *options = line.split()
    if kind.startswith("blkdebug-"):
        kind, options = "mkfs:4k", [kind, *options]
    kind, _, detail = kind.partition(":")
    size, spec = "32M", [path]
    for option in options:
        if option.startswith("size="):
            size = option[5:]
        elif option.startswith(("sector=", "slow=")) or option == "readonly":
            spec.append(option)
        elif option.startswith("blkdebug-"):
            what, _, rule = option[9:].partition(":")
            spec.append(f"{what}-error={rule or 'all'}")
        else:
            sys.exit(f"disk={line}: unknown option {option}; see the head of tests/disks.py.")
    if kind == "none":
        return None
    if kind == "null":
        return Disk(" ".join(["null", f"size={size}", *spec[1:]]), None, False)

    if os.path.exists(path):
        os.unlink(path)
    if kind in ("garbage", "blank"):
        with open(path, "wb") as f:
            if kind == "garbage":
                f.write(random.Random(1).randbytes(1 << 20))
            f.truncate(to_bytes(size))
    elif kind in ("mkfs", "short", "errors", "incompat", "rocompat"):
        mkfs(path, detail if kind == "mkfs" else "4k", size)
    else:
        sys.exit(f"disk={line}: unknown kind {kind}; see the head of tests/disks.py.")
    bit = int(detail or UNKNOWN_BIT, 0) if kind in ("incompat", "rocompat") else 0
    if kind == "short":
        os.truncate(path, to_bytes(size) // 2)
    elif kind == "errors":
        patch(path, STATE, "<H", lambda old: 2)
    elif kind == "incompat":
        patch(path, INCOMPAT, "<I", lambda old: old | bit)
    elif kind == "rocompat":
        patch(path, ROCOMPAT, "<I", lambda old: old | bit)
    spec = [place(word, path) for word in spec]
    return Disk(" ".join(spec), path, kind == "mkfs")
