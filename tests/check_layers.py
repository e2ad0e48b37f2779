#!/usr/bin/env python3
"""The dependency rules of docs/architecture.md, executed. Exits 1 and says where when one is broken."""
import pathlib
import re
import sys

MAY_INCLUDE = {  # folder -> folders whose headers it may include
    "kernels": {"kernels"},
    "engine": {"engine", "kernels"},
    "model": {"model", "engine"},
    "apps": {"apps", "model", "engine"},
    "tests": {"tests", "apps", "model", "engine", "kernels"},
}
# Host vocabulary that every layer shares: errors, element types, streams, random keys.
SHARED = {f"kernels/common/{name}.h" for name in ("check", "device", "dtype", "explain", "graph", "stream", "philox", "memory")}
# The two headers that include CUDA's own, where nvcc compiles them.
UNDER_CUDACC = {"kernels/simt/simt.h", "kernels/common/dtype.h"}
MAX_LINES = 400  # per file; a file that needs more is two files


def broken_rules(where, quote, target):
    """The rules that `#include target` in file `where` breaks (both are paths below the root)."""
    folder, parts = where.parts[0], target.split("/")
    if where.suffix in {".h", ".cpp"} and (
        target.endswith(".cuh") or re.match("cuda|cooperative", target)
    ) and str(where) not in UNDER_CUDACC:
        yield f"{target} needs nvcc; a .h or .cpp must not"
    if target.startswith("oneapi/") and folder not in {"kernels", "tests"}:
        yield "oneDNN is the kernels' business"
    if re.match("cudnn|cublas", target) and where.parts[:2] != ("kernels", "baselines"):
        yield f"{target}: haze needs no such library; only what it is measured against does"
    if quote == "<" or target in SHARED:
        return
    if parts[0] not in MAY_INCLUDE[folder]:
        yield f"{folder}/ may not include {target}"
    if parts[0] == "kernels" and parts[1] != "common":
        if parts[1] == "simt" and (where.suffix in {".cu", ".cuh"} or "simt" in where.parts[:2]
                                   or str(where) == "kernels/common/cuda.h"):
            return  # what every CUDA kernel is written in
        if where.parts[:2] == ("kernels", "baselines") and parts[2] == parts[1] + ".h":
            return  # the contracts that it measures
        if folder == "kernels" and parts[1] != where.parts[1]:
            yield f"a kernel may not include another kernel: {target}"
        if (folder == "engine" and parts[2] != parts[1] + ".h"
                and not (parts[2] == "versions.h" and where.parts[:2] == ("engine", "bench"))):
            yield f"engine/ sees a kernel's contract only, not {target}"  # but times all versions


def check(root):
    problems = []
    for path in sorted(p for folder in MAY_INCLUDE for p in (root / folder).rglob("*")):
        if path.suffix not in {".h", ".cpp", ".cu", ".cuh", ".py"}:
            continue
        where, lines = path.relative_to(root), path.read_text().splitlines()
        if len(lines) > MAX_LINES:
            problems.append(f"{where}: {len(lines)} lines, the limit is {MAX_LINES}")
        if path.suffix == ".py":
            continue
        for number, line in enumerate(lines, 1):
            if include := re.match(r'\s*#\s*include\s+(["<])([^">]+)', line):
                problems += [f"{where}:{number}: {rule}" for rule in broken_rules(where, *include.groups())]
    return problems


def self_test():
    """Each rule must be able to fail."""
    path = pathlib.PurePosixPath
    for where, quote, target in [
        ("kernels/add/add.cpp", '"', "engine/tape.h"),
        ("kernels/add/add.cpp", '"', "kernels/mse/mse.h"),
        ("kernels/add/add.cpp", '"', "kernels/simt/vec.h"),
        ("kernels/add/add.h", "<", "cuda_runtime.h"),
        ("engine/ops/add.cpp", '"', "kernels/add/reference.h"),
        ("engine/ops/conv2d.cpp", '"', "kernels/conv2d/versions.h"),
        ("model/unet.cpp", '"', "kernels/add/add.h"),
        ("engine/tape.cpp", "<", "cuda_runtime.h"),
        ("model/unet.cpp", "<", "oneapi/dnnl/dnnl.hpp"),
        ("kernels/conv2d/conv2d.cpp", "<", "cudnn.h"),
        ("kernels/baselines/cudnn.cpp", '"', "kernels/conv2d/versions.h"),
        ("apps/main.cpp", '"', "tests/support/test.h"),
    ]:
        if not list(broken_rules(path(where), quote, target)):
            yield f"self-test: {where} including {target} was not reported"


problems = list(self_test()) + check(pathlib.Path(__file__).resolve().parents[1])
print("\n".join(problems) or "layers: ok")
sys.exit(bool(problems))
