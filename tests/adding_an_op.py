#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Adds an op to a copy of the tree by following docs/adding-an-op.md to the letter, runs the new op's tests on both backends, and
plants the page's mistakes, each of which must make a test fail. Exits 1 and says which step did not do what the page says.

    tests/adding_an_op.py          needs what the preset simt needs, and at best a ccache
    tests/adding_an_op.py --read   only that the page can be read, its paths exist and its edits fit

What the page says is found by its words: "New file `PATH`:" and a listing; "In `PATH`, below", a listing, "add", a listing; "- In
`PATH`, `OLD` becomes `NEW`".
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = "docs/adding-an-op.md"
TREE = ["CMakeLists.txt", "CMakePresets.json", "cmake", "kernels", "engine", "model", "apps", "docs/kernels", "tests"]
LISTING = r"```\w*\n(.*?\n)```\n"
STEPS = re.compile(rf"^New file `([^`]+)`:\n\n{LISTING}|^In `([^`]+)`, below\n{LISTING}add\n{LISTING}", re.M | re.S)
MISTAKE = re.compile(r"^- In `([^`]+)`, `([^`]+)` becomes `([^`]+)`$", re.M)


def fail(*text):
    sys.exit("adding_an_op: " + " ".join(text))


def replace_once(path, old, new):
    text = path.read_text()
    if text.count(old) != 1:
        fail(f"{path.name} has {text.count(old)} times, instead of once:\n{old}")
    path.write_text(text.replace(old, new))


def read_page():
    """What the page says to do: [(path, text of a new file)], [(path, line, what comes below)], [(path, old, new)]."""
    page = (ROOT / PAGE).read_text()
    new, edits = [], []
    for m in STEPS.finditer(page):
        if m[1]:
            new.append((m[1], m[2]))
        else:
            edits.append((m[3], m[4], m[5]))
    # Every word that begins a step must have been understood.
    for words, found in ((r"^New file ", len(new)), (r"^In `.*, below$", len(edits))):
        if len(re.findall(words, page, re.M)) != found:
            fail(f"{PAGE}: a step that begins with {words} is not followed by its listings")
    mistakes = [m.groups() for m in MISTAKE.finditer(page)]
    if not (new and edits and mistakes):
        fail(f"{PAGE}: {len(new)} new files, {len(edits)} edits, {len(mistakes)} mistakes")
    for path in sorted(set(re.findall(r"`((?:kernels|engine|tests|docs|scripts)/[\w./*-]+)`", page)) - {p for p, _ in new}):
        if not list(ROOT.glob(path)):
            fail(f"{PAGE}: {path} does not exist")
    return new, edits, mistakes


def carry_out(folder, new, edits):
    for path, text in new:
        if (folder / path).exists():
            fail(f"{path} is there already")
        (folder / path).write_text(text)
    for path, line, more in edits:
        replace_once(folder / path, "\n" + line, "\n" + line + more)


def copy_tree(folder):
    for name in TREE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            shutil.copy(ROOT / name, folder / name)


def run(folder, *command):
    """Exit status and output. The paths of the copy are kept out of what ccache compares."""
    environment = dict(os.environ, CCACHE_BASEDIR=str(folder), CCACHE_NOHASHDIR="1", OMP_NUM_THREADS="2", OMP_WAIT_POLICY="passive")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def build_and_test(folder):
    """(whether the tests pass, their output); a build that fails is an error."""
    status, said = run(folder, "cmake", "--build", "build/simt", "-j2", "--target", "kernels_test")
    if status:
        fail("the build:", said[-4000:])
    status, said = run(folder, "build/simt/kernels_test")
    if not re.search(r"\] Running [1-9]\d* tests? from", said):
        fail("no test ran:", said[-2000:])
    return status == 0, said


def main():
    new, edits, mistakes = read_page()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="adding_an_op.") as name:
        folder = pathlib.Path(name).resolve()
        copy_tree(folder)
        carry_out(folder, new, edits)
        lines = sum(more.count("\n") for *_, more in edits)
        print(f"{len(new)} new files; {lines} lines in {len({path for path, *_ in edits})} files", flush=True)
        if "--read" in sys.argv[1:]:
            return
        status, said = run(folder, sys.executable, "tests/check_layers.py")
        if status:
            fail(said)
        for test in (folder / "tests/kernels").glob("*.cpp"):  # the new op's tests alone
            if f"tests/kernels/{test.name}" not in {path for path, _ in new}:
                test.unlink()
        status, said = run(folder, "cmake", "--preset", "simt")
        if status:
            fail(said)
        passed, said = build_and_test(folder)
        if not passed:
            fail("the tests of the page's op:", said[-4000:])
        print(f"the new op passes ({time.monotonic() - started:.0f} s)", flush=True)
        for path, old, wrong in mistakes:
            replace_once(folder / path, old, wrong)
            passed, said = build_and_test(folder)
            if passed:
                fail(f"no test sees {wrong} in place of {old}")
            failed = sorted(set(re.findall(r"^\[  FAILED  \] (\w+\.\w+)$", said, re.M)))
            print(f"{wrong} is seen by {', '.join(failed)} ({time.monotonic() - started:.0f} s)", flush=True)
            replace_once(folder / path, wrong, old)


main()
