#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The dependency rules of docs/architecture.md, executed. Exits 1 and says where when one is broken.

A room is a folder; a file belongs to the longest one that it lies in, and may include the headers that its room sees and
those of its own folder. `<op>` stands for any kernel's folder, which is any folder of kernels/ that is no room.

    tests/check_layers.py           check the tree
    tests/check_layers.py --draw    the rooms and who includes whom, with counts
"""
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONTRACT = r"kernels/(?P<op>\w+)/(?P=op)\.h"  # an op's contract
BASE, RUNTIME, FILES = r"kernels/base/.*", r"kernels/runtime/.*\.h", r"engine/files/.*\.h"
ENGINE = r"engine/(process/)?\w+\.h"
ROOMS = {  # room -> what it sees besides itself
    "kernels/base": [],
    "kernels/simt": [BASE],
    "kernels/cpu": [BASE],
    "kernels/cuda": [BASE, r"kernels/simt/emulator/.*"],
    "kernels/runtime": [BASE],
    "kernels/<op>": [BASE],
    "engine/files": [BASE],
    "engine": [BASE, RUNTIME, CONTRACT, ENGINE],
    "engine/bench": [BASE, RUNTIME, CONTRACT, ENGINE, r"kernels/\w+/versions\.h"],
    "model": [BASE, ENGINE, FILES],
    "apps": [BASE, ENGINE, FILES, r"engine/bench/\w+\.h", r"model/.*"],
    "tests": [r".*"],
}
ALSO = {  # by the kind of file, or its name: the backend that it is written for
    ("kernels/<op>", ".cpp"): [r"kernels/cpu/.*"],
    ("kernels/<op>", "cpu.h"): [r"kernels/cpu/.*"],  # what an op's .cpp files share
    ("kernels/<op>", ".cu"): [r"kernels/cuda/.*"],
    ("kernels/<op>", ".cuh"): [r"kernels/cuda/.*"],
    ("kernels/runtime", ".cu"): [r"kernels/cuda/.*", r"kernels/simt/emulator/.*"],
}
TOP = {"kernels", "engine", "model", "apps", "tests"}
LIBRARIES = [  # headers of a library -> where they may be included, and why only there
    (r"cudnn|cublas", r"engine/bench/baselines/", "haze needs no such library; only what it is measured against does"),
    (r"oneapi/|(.*/)?dnnl", r"kernels/|tests/", "oneDNN is the kernels' business"),
    (r"png\.h|jpeglib\.h|zlib\.h", r"apps/|tests/", "image and data files are the apps' business"),
    (r"CLI/", r"apps/", "flags are the apps' business"),
    (r"nlohmann/", r"apps/|engine/files/|tests/", "JSON is for files and apps"),
]
CUDA = r"cu(?!dnn|blas)\w*\.h|cuda|cooperative|thrust/|cub/|mma\.h|nvrtc|nv[A-Z]|.*\.cuh$"
WORDS = [  # a word -> where it may not stand, and why; oneDNN wants its arguments in a map
    (r"std::(vector|valarray|list|string|map|unordered_map(?!<int, (dnnl::)?memory)|deque|function|make_unique\w*|make_shared\w*)\b"
     r"|\bnew\b|\b(m|c|re|aligned_)alloc\(|\bcudaMalloc",
     r"kernels/<op>/(?!reference\.h)", "a kernel does not allocate: tiles on the stack, or the caller's scratch"),
    (r"\b__(device|shared)__\b", r"kernels/(<op>|base|cpu|cuda|runtime)/(?!simt\.h|host_device\.h)",
     "device code says HAZE_DEVICE, HAZE_HD, HAZE_SHARED"),
    (r"\b(fs|filesystem)::(exists|is_\w+|status|canonical|read_symlink|remove\w*|create_\w+|rename|file_size|directory_iterator)"
     r"\((?=[^()\s])([^(),]|\([^()]*\))*\)", r"(model|apps)/",
     "this overload throws a C++ function's name at the user: apps/paths.h, or the one with an error_code"),
    (r"\bfor \(.*: *(fs|std::filesystem)::directory_iterator", r"(model|apps)/",
     "its increment throws: engine::disk().list() does not"),
    (r"\b(printf|puts|fputs|putchar|fwrite|stdout|cout)\b", r"apps/(?!console\.cpp|standard_output\.(h|cpp))",
     "apps/standard_output.h and Console escape what could command a terminal"),
    (r"\bkernels::(?!explainer\b)", r"(model|apps)/", "kernels are the engine's business; engine/device_tensor.h and ops.h are the way"),
]
MAX_LINES = 400  # per file; a file that needs more is two files
SOURCES = {".h", ".cpp", ".cu", ".cuh"}


def room_of(where):
    folder = where.rpartition("/")[0]
    if folder == "kernels":
        return ""  # a file belongs into one of its folders
    while folder and folder not in ROOMS:
        if folder.count("/") == 1 and folder.startswith("kernels/"):
            return "kernels/<op>"
        folder = folder.rpartition("/")[0]
    return folder


def home_of(where):
    """The folder whose headers a file may always include: its room, or of a kernel's file that kernel's."""
    room = room_of(where)
    return "/".join(where.split("/")[:2]) if room == "kernels/<op>" else room


def sees(where, target):
    room = room_of(where)
    if room == room_of(target) and home_of(where) == home_of(target):
        return True
    path = pathlib.PurePosixPath(where)
    seen = ROOMS[room] + ALSO.get((room, path.suffix), []) + ALSO.get((room, path.name), [])
    contract_of_a_room = room_of(target) != "kernels/<op>"
    return any(re.fullmatch(p, target) and not (p == CONTRACT and contract_of_a_room) for p in seen)


def broken_rules(where, quote, target, under_nvcc=False):
    """The rules that `#include target` in file `where` breaks (both are paths below the root)."""
    if where.endswith((".h", ".cpp")) and re.match(CUDA, target) and not under_nvcc:
        yield f"{target} needs nvcc; a .h or .cpp may have it under __CUDACC__ only"
    for library, place, why in LIBRARIES:
        if re.match(library, target) and not re.match(place, where):
            yield f"{target}: {why}"
    if target.endswith((".cpp", ".cu")):
        yield f"{target} is compiled by itself"
    ours = quote == '"' or target.split("/")[0] in TOP  # the compiler takes <engine/tape.h> all the same
    if ours and room_of(target) and not sees(where, target):
        yield f"{room_of(where)} may not include {target}"
    if ours and not room_of(target) and "/" in target:
        yield f"{target} is in no room: tests/check_layers.py names them"


def forbidden_words(where, line):
    """The words of `line` that file `where` may not use; comments may say anything."""
    at = room_of(where) + "/" + where.rpartition("/")[2]
    for word, place, why in WORDS:
        if re.match(place, at) and (m := re.search(word, line.split("//")[0])):
            yield f"{m[0]}: {why}"


def includes(text):
    """(line, quote, target, whether nvcc alone sees it) of each include."""
    conditions = []
    for number, line in enumerate(text.splitlines(), 1):
        if m := re.match(r"\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b(.*)", line):
            if m[1].startswith("if"):
                conditions.append(bool(re.fullmatch(r"\s*defined\(__CUDACC__\)\s*", m[2])))
            elif m[1] == "endif":
                conditions.pop()
            else:
                conditions[-1] = False
        if m := re.match(r'\s*#\s*include\s+(["<])([^">]+)', line):
            yield number, m[1], m[2], any(conditions)


def sources():
    for path in sorted(p for folder in ("kernels", "engine", "model", "apps", "tests") for p in (ROOT / folder).rglob("*")):
        if path.suffix in SOURCES | {".py"}:
            yield path.relative_to(ROOT).as_posix(), path.read_text()


def licensed(text):
    return any(line[2:].strip() == "SPDX-License-Identifier: MIT" for line in text.splitlines()[:2])


def check():
    for where, text in sources():
        if (lines := text.count("\n")) > MAX_LINES:
            yield f"{where}: {lines} lines, the limit is {MAX_LINES}"
        if not licensed(text):
            yield f"{where}:1: the first line, or the one after #!, is SPDX-License-Identifier: MIT"
        if where.endswith(".py"):
            continue
        for number, quote, target, under_nvcc in includes(text):
            for rule in broken_rules(where, quote, target, under_nvcc):
                yield f"{where}:{number}: {rule}"
        for number, line in enumerate(text.splitlines(), 1):
            for rule in forbidden_words(where, line):
                yield f"{where}:{number}: {rule}"


def draw():
    lines, arrows = collections.Counter(), collections.Counter()
    for where, text in sources():
        if where.startswith("tests/") or where.endswith(".py"):
            continue
        lines[room_of(where)] += text.count("\n")
        for _, quote, target, _ in includes(text):
            if quote == '"' and "/" in target and room_of(where) != room_of(target):
                arrows[room_of(where), room_of(target)] += 1
    whole = sum(lines.values())
    for room, count in sorted(lines.items(), key=lambda x: -x[1]):
        to = ", ".join(f"{b} {n}" for (a, b), n in sorted(arrows.items(), key=lambda x: -x[1]) if a == room)
        print(f"{room:16} {count:6} lines {100 * count / whole:5.1f} %   includes {to or 'nothing'}")


MUST_BE_REPORTED = [
    ("kernels/base/check.h", '"', "kernels/runtime/memory.h"),
    ("kernels/simt/emulator/launch.h", '"', "kernels/cuda/simt.h"),
    ("kernels/simt/trace/report.cpp", '"', "kernels/runtime/memory.h"),
    ("kernels/cpu/loops.h", '"', "kernels/cuda/vec.h"),
    ("kernels/cuda/vec.h", '"', "kernels/simt/trace/trace.h"),
    ("kernels/cuda/gemm/images.cu", '"', "kernels/conv2d/conv2d.h"),
    ("kernels/runtime/memory.cpp", '"', "kernels/cuda/runtime_api.h"),
    ("kernels/runtime/device.h", '"', "kernels/cuda/simt.h"),
    ("kernels/add/add.cpp", '"', "engine/tape.h"),
    ("kernels/add/add.cpp", '"', "kernels/mse/mse.h"),
    ("kernels/add/add.cpp", '"', "kernels/cuda/vec.h"),
    ("kernels/add/add.cu", '"', "kernels/cpu/loops.h"),
    ("kernels/add/add.cu", '"', "kernels/runtime/memory.h"),
    ("kernels/add/add.h", '"', "kernels/cpu/loops.h"),
    ("kernels/add/add.h", "<", "cuda_runtime.h"),
    ("kernels/add/add.cpp", '"', "kernels/add/tile.cuh"),
    ("engine/files/disk.cpp", '"', "engine/tensor.h"),
    ("engine/ops/add.cpp", '"', "kernels/add/reference.h"),
    ("engine/ops/add.cpp", '"', "kernels/cpu/loops.h"),
    ("engine/ops/conv2d.cpp", '"', "kernels/conv2d/versions.h"),
    ("engine/tape.cpp", '"', "engine/files/disk.h"),
    ("engine/tape.cpp", '"', "engine/bench/kernel_cases.h"),
    ("engine/bench/kernel_cases.cpp", '"', "kernels/add/reference.h"),
    ("engine/bench/kernel_cases.cpp", '"', "model/unet.h"),
    ("engine/tape.cpp", "<", "cuda_runtime.h"),
    ("model/unet.cpp", '"', "kernels/add/add.h"),
    ("model/unet.cpp", '"', "kernels/runtime/memory.h"),
    ("model/unet.cpp", '"', "engine/bench/kernel_cases.h"),
    ("model/unet.cpp", '"', "apps/config/config.h"),
    ("model/unet.cpp", "<", "oneapi/dnnl/dnnl.hpp"),
    ("kernels/conv2d/conv2d.cpp", "<", "cudnn.h"),
    ("apps/device.cpp", '"', "kernels/runtime/device.h"),
    ("apps/main.cpp", '"', "tests/support/test.h"),
    ("apps/main.cpp", '"', "elsewhere/thing.h"),
    ("kernels/add/add.cpp", "<", "engine/tape.h"),
    ("kernels/add/add.cpp", '"', "kernels/add/other.cpp"),
    ("kernels/add/add.cpp", '"', "kernels/thing.h"),
    ("model/unet.cpp", '"', "dnnl.hpp"),
    ("model/unet.cpp", "<", "png.h"),
    ("engine/tape.cpp", "<", "CLI/CLI.hpp"),
    ("engine/tape.cpp", "<", "nlohmann/json.hpp"),
    ("engine/tape.cpp", "<", "thrust/sort.h"),
    ("engine/tape.cpp", "<", "curand.h"),
]
MUST_PASS = [
    ("kernels/add/add.cpp", '"', "kernels/cpu/loops.h"),
    ("kernels/attention/forward.cu", '"', "kernels/attention/tiles.cuh"),
    ("kernels/cuda/simt.h", '"', "kernels/simt/emulator/launch.h"),
    ("engine/bench/baselines/cudnn.cpp", "<", "cudnn.h"),
    ("engine/bench/cases_products.cpp", '"', "kernels/conv2d/versions.h"),
    ("engine/ops/add.cpp", '"', "kernels/add/add.h"),
    ("model/weights.cpp", '"', "engine/files/safetensors.h"),
]
WORD_CASES = [  # file, line, whether it must be reported
    ("kernels/add/add.cpp", "std::vector<float> sum(std::size_t(d.c), 0.f);", True),
    ("kernels/add/add.cpp", "float* sum = new float[1024];", True),
    ("kernels/add/add.cpp", "float sum[1024];  // a std::vector would be new", False),
    ("kernels/add/reference.h", "std::vector<T> p;", False),
    ("kernels/matmul/matmul.cpp", "std::unordered_map<int, dnnl::memory> args{", False),
    ("kernels/matmul/matmul.cpp", "std::unordered_map<int, float> sums;", True),
    ("kernels/cpu/onednn.h", "std::map<std::pair<int, Key>, Value> values_;", False),
    ("kernels/cuda/gemm/block.cuh", "__device__ void clear() {", True),
    ("kernels/cuda/simt.h", "#define HAZE_DEVICE __device__ __forceinline__", False),
    ("apps/commands/data.cpp", 'std::printf("%s\\n", options.out.c_str());', True),
    ("apps/commands/data.cpp", 'std::snprintf(values, sizeof values, "%.0f", v.least);', False),
    ("apps/standard_output.cpp", "std::fwrite(escaped.data(), 1, escaped.size(), stdout);", False),
    ("apps/checkpointing.cpp", "  const bool folder = std::filesystem::is_directory(path);", True),
    ("apps/commands/train.cpp", "if (fs::exists(cat(folder, \"/config.json\")))", True),
    ("apps/run_folder.cpp", "return fs::exists(folder + \"/config.json\", none) || more;", False),
    ("apps/run_folder.cpp", "for (const auto& entry : fs::directory_iterator(runs, none)) {", True),
    ("apps/data/image_list.cpp", "while (!error && it != fs::directory_iterator()) {", False),
]


def self_test():
    """Each rule must be able to fail, and none forbids what the house is built on."""
    for where, quote, target in MUST_BE_REPORTED:
        if not list(broken_rules(where, quote, target)):
            yield f"self-test: {where} including {target} was not reported"
    for where, quote, target in MUST_PASS:
        for rule in broken_rules(where, quote, target):
            yield f"self-test: {where} including {target} was reported: {rule}"
    for where, line, reported in WORD_CASES:
        if bool(list(forbidden_words(where, line))) != reported:
            yield f"self-test: {where}: {line} was {'not ' if reported else ''}reported"
    text = "#if defined(__CUDACC__)\n#include <cuda_bf16.h>\n#else\n#include <cuda_fp16.h>\n#endif\n#include <cuda.h>\n"
    if licensed("// add.h — contract\n#pragma once\n") or not licensed("#!/bin/sh\n# SPDX-License-Identifier: MIT\n"):
        yield "self-test: the licence line is misread"
    if [under for *_, under in includes(text)] != [True, False, False]:
        yield "self-test: what nvcc alone sees is misread"


if sys.argv[1:] == ["--draw"]:
    draw()
    sys.exit(0)
problems = list(self_test()) + list(check())
print("\n".join(problems) or "layers: ok")
sys.exit(bool(problems))
