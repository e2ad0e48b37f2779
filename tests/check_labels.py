#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every row of tests/labels.txt names a test that the build has, so that a renamed test cannot lose its labels unseen.

  tests/check_labels.py BUILD     exits 1 and says which rows name none
"""
import pathlib
import re
import subprocess
import sys

TABLE = pathlib.Path(__file__).parent / "labels.txt"
LABELS = {"slow", "slow-on-cuda", "not-on-cuda", "not-sanitized", "not-sanitized-on-cuda"}
PROGRAMS = {"kernels", "files", "engine", "model", "apps", "fuzz", "gpu", "simt", "trace"}
ON_BOTH = {"engine", "model", "apps"}  # run once more with everything on the CUDA backend
OF_BOTH = {"slow-on-cuda", "not-on-cuda", "not-sanitized-on-cuda"}
TEST = r"[\w/]+\.(\*|\w+(/\*)?)"  # Suite.Name, Suite.*, Suite.Name/*


def rows(text):
    """(line, program, test, labels) of each row, or (line, what is wrong with it)."""
    seen = set()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        unknown = set(words[2:]) - LABELS
        if "\t" in line:
            yield number, f"a tab, which CMake does not split at: {line}"
        elif len(words) < 3 or not re.fullmatch(TEST, words[1]) or line[0] == " ":
            yield number, f"not `program Suite.Name label...`: {line}"
        elif unknown:
            yield number, f"no such label: {', '.join(sorted(unknown))}; there are {', '.join(sorted(LABELS))}"
        elif (words[0], words[1]) in seen:
            yield number, f"{words[1]} has a row already"
        else:
            seen.add((words[0], words[1]))
            yield number, words[0], words[1], set(words[2:])


def tests_of(program):
    """Suite.Name of every test of a program."""
    listed = subprocess.run([program, "--gtest_list_tests"], capture_output=True, text=True, check=True).stdout
    suite = ""
    for line in listed.splitlines():
        word = line.split("#")[0].strip()
        if line.startswith("  "):
            yield suite + word
        elif word.endswith("."):
            suite = word


def names_one(test, known):
    return any(t.startswith(test[:-1]) for t in known) if test.endswith("*") else test in known


def problems(text, known, cuda):
    """`known`: the tests of each program that the build has; `cuda`: whether it has a CUDA backend. One without has fewer
    tests, so only one with it can say that a row names none."""
    for number, *row in rows(text):
        if len(row) == 1:
            yield f"{TABLE.name}:{number}: {row[0]}"
        elif row[0] not in PROGRAMS:
            yield f"{TABLE.name}:{number}: no such program: {row[0]}; there are {', '.join(sorted(PROGRAMS))}"
        elif row[0] not in ON_BOTH and (out_of_place := row[2] & OF_BOTH):
            yield f"{TABLE.name}:{number}: {', '.join(sorted(out_of_place))}: tests/{row[0]} does not run once more on CUDA"
        elif row[0] in known and not names_one(row[1], known[row[0]]) and cuda:
            yield f"{TABLE.name}:{number}: tests/{row[0]} has no {row[1]}"


MUST_BE_REPORTED = ["model Trainer.Learn slow", "model Learns slow", "model Trainer.* fast", "model Train.* slow",
                    "model *Learns slow", "model Trainer.Learns", "model Trainer.Learns slow\nmodel Trainer.Learns slow",
                    "modle Trainer.Learns slow", "model Trainer.Learns\tslow", "kernels Adam.Learns slow-on-cuda", "model Trainer.OnBoth not-on-cuda"]
MUST_PASS = ["model Trainer.Learns slow  # why", "# words", "model Trainer.* not-sanitized slow", "model A/B.C/* slow", "gpu X.Y slow"]


def self_test():
    known = {"model": {"Trainer.Learns", "A/B.C/0"}}
    for text in MUST_BE_REPORTED:
        if not list(problems(text, known, cuda=True)):
            yield f"self-test: not reported: {text}"
    for text in MUST_PASS:
        yield from (f"self-test: reported: {p}" for p in problems(text, known, cuda=True))
    if list(problems(MUST_BE_REPORTED[-1], known, cuda=False)):
        yield "self-test: a test of both backends is asked of a build with one"


build = pathlib.Path(sys.argv[1])
cuda = not re.search(r"^HAZE_CUDA:STRING=off$", (build / "CMakeCache.txt").read_text(), re.M)
programs = {p.name.removesuffix("_test"): set(tests_of(p)) for p in build.glob("*_test")}
found = list(self_test()) + list(problems(TABLE.read_text(), programs, cuda))
found += [] if programs else [f"no test program in {build}"]
print("\n".join(found) or f"labels: ok ({', '.join(sorted(programs))})")
sys.exit(bool(found))
