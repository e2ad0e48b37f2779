#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What nvcc made of the kernels, held against tests/kernel_limits.txt: no spills, no stack, and no
more registers or static shared memory than the limits say.

  check_ptxas.py BUILD            exits 1 and says which kernel broke which limit
  check_ptxas.py BUILD --table    prints kernel, architecture, registers, shared bytes (Markdown)
"""
import pathlib
import re
import subprocess
import sys

LIMITS = pathlib.Path(__file__).parent / "kernel_limits.txt"


def demangle(names):
    out = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    return dict(zip(names, out.stdout.splitlines()))


def short(name):
    """`conv2d<float, 64>` out of a demangled kernel's signature."""
    name = re.sub(r"\(anonymous namespace\)::|haze::kernels::|haze::|_GLOBAL__N__\w+::", "", name)
    name = re.sub(r"^void ", "", name)
    depth, end = 0, len(name)
    for i, c in enumerate(name):  # the parameter list begins at the first ( outside < >
        depth += (c == "<") - (c == ">")
        if c == "(" and depth == 0:
            end = i
            break
    return re.sub(r"\((int|bool|unsigned int)\)", "", name[:end])


def kernels(build):
    """(file, mangled name, architecture) -> dict of what ptxas said."""
    found = {}
    objects = build / "CMakeFiles/haze_cuda.dir"
    for report in sorted(objects.rglob("*.cu.o.ptxas")):
        file = str(report.relative_to(objects)).removesuffix(".o.ptxas")
        if not (LIMITS.parents[1] / file).exists():
            continue  # of a file that is gone
        entry = None
        for line in report.read_text().splitlines():
            if m := re.search(r"Compiling entry function '(\w+)' for '(sm_\w+)'", line):
                entry = found.setdefault((file, m[1], m[2]), {"registers": 0, "shared": 0, "spills": 0, "stack": 0})
            elif entry is not None and (
                m := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line)
            ):
                entry["stack"] = int(m[1])
                entry["spills"] = int(m[2]) + int(m[3])
            elif entry is not None and (m := re.search(r"Used (\d+) registers", line)):
                entry["registers"] = int(m[1])
                if s := re.search(r"(\d+) bytes smem", line):
                    entry["shared"] = int(s[1])
                entry = None
    return found


def limits():
    """[(file, pattern of kernel and architecture, `swish<float>, sm_80`, registers, static shared bytes, stack
    bytes, spilled bytes)]; the first that matches counts."""
    rules = []
    for number, line in enumerate(LIMITS.read_text().splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        parts = line.split()
        if len(parts) not in (4, 5, 6):
            sys.exit(f"{LIMITS.name}:{number}: file, kernel, registers, shared bytes[, stack bytes[, spilled bytes]]; got: {line}")
        numbers = [*map(int, parts[2:]), 0, 0]
        rules.append((parts[0], re.compile(parts[1]), *numbers[:4]))
    return rules


def main():
    build, table = pathlib.Path(sys.argv[1]), "--table" in sys.argv[2:]
    found = kernels(build)
    if not found:
        sys.exit(f"no ptxas report below {build}: build the preset cuda first")
    names = demangle(sorted({name for _, name, _ in found}))
    rules, problems = limits(), []
    if table:
        print("| file | kernel | arch | registers | static shared |\n|---|---|---|---|---|")
    for (file, mangled, arch), said in sorted(found.items()):
        name = short(names[mangled])
        if table:
            print(f"| {file} | {name} | {arch} | {said['registers']} | {said['shared']} |")
        where = f"{file}: {name}, {arch}"
        rule = next((r for r in rules if r[0] == file and r[1].search(f"{name}, {arch}")), None)
        if said["spills"] > (rule[5] if rule else 0) or said["stack"] > (rule[4] if rule else 0):
            problems.append(f"{where}: {said['spills']} bytes of spills, {said['stack']} bytes of stack")
        if rule is None:
            problems.append(f"{where}: no limit in {LIMITS.name}; it uses {said['registers']} registers, {said['shared']} bytes")
        elif said["registers"] > rule[2] or said["shared"] > rule[3]:
            problems.append(
                f"{where}: {said['registers']} registers, {said['shared']} bytes of shared memory; "
                f"the limits are {rule[2]} and {rule[3]}"
            )
    print("\n".join(problems), file=sys.stderr)
    if not table:
        archs = sorted({arch for _, _, arch in found})
        print(f"{len(found)} kernels for {', '.join(archs)}: {len(problems)} problems")
    sys.exit(bool(problems))


main()
