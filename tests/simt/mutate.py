#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do the tests notice a missing synchronisation? Takes the barriers, waits and fences of the CUDA kernels away, one at a
time, and runs the traced tests (races by happens-before) and the kernels' own tests (values, under three schedules) in
the emulator; for the host's waits and those of one stream for another, the tests of streams. Each mutant must fail one
of them. Exits 1 and names those that do not.

    tests/simt/mutate.py --all                  every mutant
    tests/simt/mutate.py --sample 8 --seed 3    some
    tests/simt/mutate.py --list                 what they are
    tests/simt/mutate.py --only attention       those whose file or text has this

Needs the preset simt built: cmake --preset simt && cmake --build --preset simt. Nothing in the source tree changes: a
mutant is compiled from a copy that shadows the original, and linked in place of it.

A synchronisation that no test can miss, because a faster or safer one is near, says so in its line's comment with the
word "redundant:" and why; it is left out.
"""
import argparse
import concurrent.futures
import dataclasses
import functools
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEDULES = ["forward", "reverse", "random:1"]
PROGRAMS = ("kernels_test", "trace_test", "simt_test")
CALL = r"(?:ptx::)?(?:__syncthreads|__syncwarp|barrier_sync|barrier_arrive|__threadfence)\([^;{}]*\);"
WAIT = r"(?:ptx::)?cp_async_wait<([^;{}]*)>\(\);"
HOST = r"HAZE_CUDA_CHECK\(cuda(?:StreamWaitEvent|EventSynchronize)\([^;{}]*\)\);"


@dataclasses.dataclass(frozen=True)
class Mutant:
    path: pathlib.Path  # below the root
    line: int
    old: str
    new: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.old}" + (f" -> {self.new}" if self.new != ";" else "")

    def source(self):
        lines = (ROOT / self.path).read_text().split("\n")
        lines[self.line - 1] = lines[self.line - 1].replace(self.old, self.new, 1)
        return "\n".join(lines)


def mutants():
    for path in sorted((ROOT / "kernels").rglob("*")):
        where = path.relative_to(ROOT)
        if path.suffix not in {".cu", ".cuh", ".h"} or where.parts[1] == "simt":
            continue
        if where.name == "ptx.h":
            continue
        for number, line in enumerate(path.read_text().split("\n"), 1):
            code = line.split("//")[0]
            if "redundant:" in line or code.lstrip().startswith(("#", "*")):
                continue
            for m in re.finditer(f"{CALL}|{HOST}", code):
                yield Mutant(where, number, m[0], ";")
            for m in re.finditer(WAIT, code):
                yield Mutant(where, number, m[0], ";")
                yield Mutant(where, number, m[0], m[0].replace(f"<{m[1]}>", f"<({m[1]}) + 1>"))


class Build:
    """Compiles and links single files with the commands that the build itself uses."""

    def __init__(self, folder):
        self.folder = folder
        if not (folder / "build.ninja").exists():
            sys.exit(f"{folder} is not a build; cmake --preset simt && cmake --build --preset simt")
        self.ninja("-j2", *PROGRAMS)
        commands = json.loads((folder / "compile_commands.json").read_text())
        self.compile = {self.object_of(c["command"]): c["command"] for c in commands if c["file"].endswith(".cu")}
        self.link = {p: self.ninja("-t", "commands", p).strip().split("\n")[-1] for p in PROGRAMS}
        self.sources = {o: self.dependencies(o) for o in self.compile if "/haze_cuda" in o}

    def ninja(self, *arguments):
        done = subprocess.run(["ninja", "-C", self.folder, *arguments], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        return done.stdout

    @staticmethod
    def object_of(command):
        words = shlex.split(command)
        return words[words.index("-o") + 1]

    def dependencies(self, name):
        lines = self.ninja("-t", "deps", name).split("\n")[1:]
        return {(self.folder / line.strip()).resolve() for line in lines if line.strip()}

    def program(self, name, mutant, room):
        """The test program with the mutant in it, or the compiler's words."""
        shadow = room / "source" / mutant.path
        shadow.parent.mkdir(parents=True, exist_ok=True)
        shadow.write_text(mutant.source())
        library = "haze_cuda_traced.dir" if name == "trace_test" else "haze_cuda.dir"
        link = self.link[name].replace(f"-o {name} ", f"-o {room / name} ")
        for obj, files in self.sources.items():
            if library not in obj or (ROOT / mutant.path) not in files:
                continue
            out = room / library / obj.replace("/", "_")
            out.parent.mkdir(exist_ok=True)
            command = self.compile[obj].replace(f"-o {obj}", f"-o {out}").replace("-Werror", "")
            command = command.replace(" -I", f" -I{room / 'source'} -I", 1)
            if mutant.path.suffix == ".cu":
                command = command.replace(str(ROOT / mutant.path), str(shadow))
            done = subprocess.run(command, shell=True, cwd=self.folder, capture_output=True, text=True)
            if done.returncode:
                return None, done.stderr
            link = link.replace(f" {obj} ", f" {out} ")
        done = subprocess.run(link, shell=True, cwd=self.folder, capture_output=True, text=True)
        return (room / name, "") if done.returncode == 0 else (None, done.stderr)


def fails(program, tests, schedule=None):
    environment = dict(os.environ, OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive")
    environment.pop("HAZE_SIMT_SCHEDULE", None)
    if schedule:
        environment["HAZE_SIMT_SCHEDULE"] = schedule
    try:
        return subprocess.run([program, f"--gtest_filter={tests}", "--gtest_fail_fast"], env=environment, timeout=900,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0
    except subprocess.TimeoutExpired:
        return True


@functools.cache
def passes_unchanged(program, tests, schedule=None):
    """Without a mutant the tests must pass, or their failing says nothing."""
    if fails(program, tests, schedule):
        raise SystemExit(f"{program} --gtest_filter={tests} fails as it is, schedule {schedule}")
    return True


def tests_of(path):
    """The kernels' own tests to try: a folder's, or all where many share the file."""
    return {"attention": "*ttention*", "gemm": "*Conv*:*Linear*", "group_norm": "*GroupNorm*", "adam": "*Adam*:*Norm*",
            "mse": "*Loss*:*Mse*", "add": "Add*", "q_sample": "QSample*"}.get(path.parent.name, "*")


def killed_by(build, mutant):
    room = pathlib.Path(tempfile.mkdtemp(prefix="haze-mutant-"))
    try:
        if re.fullmatch(HOST, mutant.old):
            program, problem = build.program("simt_test", mutant, room)
            if not program:
                return f"does not build: {problem[:300]}"
            passes_unchanged(build.folder / "simt_test", "*Streams*")
            return "streams" if fails(program, "*Streams*") else None
        program, problem = build.program("trace_test", mutant, room)
        if not program:
            return f"does not build: {problem[:300]}"
        if passes_unchanged(build.folder / "trace_test", "*Traces*") and fails(program, "*Traces*"):
            return "trace"
        program, problem = build.program("kernels_test", mutant, room)
        if not program:
            return f"does not build: {problem[:300]}"
        tests = tests_of(mutant.path)
        for schedule in SCHEDULES:
            if fails(program, tests, schedule) and passes_unchanged(build.folder / "kernels_test", tests, schedule):
                return f"values, {schedule}"
        return None
    finally:
        shutil.rmtree(room)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--build", type=pathlib.Path, default=ROOT / "build/simt")
    parse.add_argument("--all", action="store_true")
    parse.add_argument("--list", action="store_true")
    parse.add_argument("--only", default="")
    parse.add_argument("--sample", type=int)
    parse.add_argument("--seed", type=int, default=1)
    parse.add_argument("--jobs", type=int, default=2)
    given = parse.parse_args()
    chosen = [m for m in mutants() if given.only in str(m)]
    if given.sample is not None:
        chosen = random.Random(given.seed).sample(chosen, min(given.sample, len(chosen)))
    elif not given.all and not given.only and not given.list:
        parse.error("--all, --sample N, --only TEXT or --list")
    if given.list:
        print("\n".join(map(str, chosen)))
        return 0
    build = Build(given.build.resolve())
    survivors = 0
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        for mutant, by in zip(chosen, pool.map(lambda m: killed_by(build, m), chosen)):
            survivors += by is None
            print(f"{'SURVIVED' if by is None else 'found'}  {mutant}" + (f"   ({by})" if by else ""), flush=True)
    print(f"{len(chosen)} synchronisations taken away, {len(chosen) - survivors} noticed")
    return survivors > 0


if __name__ == "__main__":
    sys.exit(main())
