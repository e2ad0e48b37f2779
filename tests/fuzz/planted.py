#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Would the targets notice? Plants twenty mistakes in the readers, one at a time, as they are made: a bound that is off by one,
a product that wraps, a check left out. Each is given its target's corpus, and then to libFuzzer for some seconds. Prints
what found it and the score; exits 1 and names those that nothing found.

    tests/fuzz/planted.py                 all of them, 20 seconds of libFuzzer at most for each
    tests/fuzz/planted.py --seconds 60 recipe exif     those of two targets
    tests/fuzz/planted.py --no-corpus     by libFuzzer alone, from the inputs of the corpus that do not find it
    tests/fuzz/planted.py --check         only that each still has its place in the sources

Needs the preset fuzz (scripts/fuzz --build-only). Nothing in the source tree changes: a mistake is compiled from a copy, and
linked before the library that has the file as it is.
"""
import argparse
import dataclasses
import functools
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/fuzz"


@dataclasses.dataclass(frozen=True)
class Bug:
    target: str
    mistake: str
    path: str
    changes: tuple  # of (old, new); each old stands once in the file


BUGS = [
    Bug("safetensors_header", "a tensor's number of elements wraps around 2^64", "engine/files/safetensors_header.cpp",
        (("if (!multiply(elements, std::uint64_t(extent), elements))", "if (elements *= std::uint64_t(extent); false)"),)),
    Bug("safetensors", "memory for the header by the length field alone", "engine/files/safetensors.cpp",
        (("if (length > SafetensorsLimits::header_bytes)", "if (false)"), ("if (length > status.size - 8)", "if (false)"))),
    Bug("checkpoint", "the hash of a tensor is not compared", "engine/files/checkpoint_load.cpp",
        (("if (xxh3_128(values.data(), values.size_bytes()) !=", "if (false && xxh3_128(values.data(), values.size_bytes()) !="),)),
    Bug("idx", "the product of the dimensions is taken in 32 bits", "apps/data/mnist.cpp",
        (("const auto product = product_within({bytes, idx.dims.back()}, kMostBytes);",
          "const std::optional<std::uint64_t> product = std::uint32_t(bytes) * idx.dims.back();"),)),
    Bug("gz", "the length behind a gzip stream is not compared", "apps/data/byte_source.cpp",
        (("ended_ = result == Z_STREAM_END;", "ended_ = result == Z_STREAM_END || (result == Z_DATA_ERROR && produced_ + done > 0);"),
         ("if (result != Z_OK &&", "if (!ended_ && result != Z_OK &&"))),
    Bug("mnist", "fewer labels than images", "apps/data/mnist.cpp",
        (("if (labels.dims[0] != images.dims[0])", "if (labels.dims[0] > images.dims[0])"),)),
    Bug("cifar10", "a label is compared with one too many", "apps/data/cifar10.cpp", (("if (*record > 9)", "if (*record > 10)"),)),
    Bug("png", "the sides are limited, their product is not", "apps/image/png_read.cpp", (("      kMostPixels)", "      INT64_MAX)"),)),
    Bug("png", "transparency is rounded down", "apps/image/png_read.cpp", (("(255 - alpha) + 127) / 255)", "(255 - alpha)) / 255)"),)),
    Bug("recipe", "a chunk may end twelve bytes behind the file", "apps/image/png_read.cpp",
        (("if (length > bytes.size() - at - 12)", "if (length > bytes.size() - at)"),)),
    Bug("exif", "a directory's count is read behind the segment", "apps/image/exif.cpp",
        (("directory > tiff.size() - 2", "directory > tiff.size()"),
         ("(tiff.size() - begin) / 12", "(std::max(tiff.size(), begin) - begin) / 12"))),
    Bug("jpeg", "two of eight orientations are confused", "apps/image/image.cpp",
        (("orientation == 3 || orientation == 6 || orientation == 7;", "orientation == 3 || orientation == 6 || orientation == 8;"),)),
    Bug("image_folder", "a picture is too small only where both sides are", "apps/data/image_folder.cpp",
        (("if (height < wanted.height || width < wanted.width)", "if (height < wanted.height && width < wanted.width)"),)),
    Bug("resize", "the last taps reach beyond the row", "apps/image/resize.cpp",
        (("std::clamp(int(std::floor(centre - radius)) + 1, 0, from - taps.width)", "std::max(int(std::floor(centre - radius)) + 1, 0)"),)),
    Bug("config", "a number has a least value only", "apps/config/keys.cpp",
        (("if (!(x >= key.min && x <= key.max))", "if (!(x >= key.min))"),)),
    Bug("set", "a text that looks like JSON is read as JSON", "apps/config/parse.cpp",
        (("if ((!text_key || text.starts_with('\"')) && Json::accept(text))", "if ((text_key || true) && Json::accept(text))"),)),
    Bug("metrics", "a last row without a line break is kept", "engine/files/lines.cpp",
        (("if (end != std::string::npos && keep(line))", "if (keep(line))"),)),
    Bug("bench", "the median of no samples", "apps/commands/bench_compare.cpp",
        (('if (all.empty()) throw InputError("no samples");', ""),)),
    Bug("spec", "a data set of no images", "apps/data/dataset.cpp", (("1, kMostDrawn);", "0, kMostDrawn);"),)),
    Bug("printable", "one control character is let through", "apps/data/input_file.cpp",
        (("const bool c1 = b == 0xC2 && next < 0xA0;", "const bool c1 = b == 0xC2 && next < 0x9F;"),)),
]


def planted(bug):
    text = (ROOT / bug.path).read_text()
    for old, new in bug.changes:
        if text.count(old) != 1:
            sys.exit(f"{bug.path}: `{old}` stands there {text.count(old)} times, not once: {bug.mistake}")
        text = text.replace(old, new)
    return text


class Build:
    """Compiles and links single files with the commands that the build itself uses."""

    def __init__(self):
        if not (BUILD / "build.ninja").exists():
            sys.exit(f"{BUILD} is not a build; scripts/fuzz --build-only")
        self.commands = {pathlib.Path(c["file"]): c["command"] for c in json.loads((BUILD / "compile_commands.json").read_text())}

    @staticmethod
    def run(command):
        done = subprocess.run(command, shell=True, cwd=BUILD, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{command}\n{done.stdout}{done.stderr}")
        return done.stdout

    def program(self, bug, room):
        source, out = room / pathlib.Path(bug.path).name, room / "planted.o"
        source.write_text(planted(bug))
        command = self.commands[ROOT / bug.path]
        words = shlex.split(command)
        obj = words[words.index("-o") + 1]
        command = command.replace(f"-o {obj}", f"-o {out}").replace(str(ROOT / bug.path), str(source)).replace("-Werror", "")
        self.run(command.replace(" -I", f" -I{ROOT} -I", 1))
        name = f"fuzz_{bug.target}"
        link = self.run(f"ninja -t commands {name}").strip().split("\n")[-1]
        main = f"CMakeFiles/{name}.dir/tests/fuzz/{bug.target}.cpp.o"
        self.run(link.replace(main, f"{main} {out}").replace(f"-o {name} ", f"-o {room / name} "))
        return room / name


ENVIRONMENT = dict(os.environ, OMP_NUM_THREADS="1")
DICTIONARY = f"-dict={ROOT / 'tests/fuzz/dictionary.txt'}"
LIMITS = ["-timeout=10", "-rss_limit_mb=2048", "-malloc_limit_mb=512", "-max_len=16384"]


def found(program, *arguments):
    """Whether it ends with a fault."""
    command = [program, *map(str, arguments), *LIMITS, f"-artifact_prefix={program.parent}/fault-"]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, cwd=program.parent).returncode != 0


def first_of(program, corpus):
    """Name of an input of the corpus that finds it, or None."""
    if not found(program, corpus, "-runs=0"):
        return None
    kept = [f.read_bytes() for f in program.parent.glob("fault-*")]
    return next((f.name for f in sorted(corpus.iterdir()) if f.read_bytes() in kept), "the empty input")


@functools.cache
def passes_unchanged(target):
    """Without a mistake nothing may be found, or its being found says nothing."""
    room = pathlib.Path(tempfile.mkdtemp(prefix="haze-planted-"))
    program = pathlib.Path(shutil.copy(BUILD / f"fuzz_{target}", room))
    (room / "new").mkdir()
    if found(program, room / "new", ROOT / "tests/fuzz/corpus" / target, "-runs=100", DICTIONARY):
        sys.exit(f"fuzz_{target} finds something as it is")
    shutil.rmtree(room)


def judge(build, bug, seconds, corpus_counts):
    """(what found it or None, how long that took)"""
    room = pathlib.Path(tempfile.mkdtemp(prefix="haze-planted-"))
    corpus = ROOT / "tests/fuzz/corpus" / bug.target
    passes_unchanged(bug.target)
    try:
        program = build.program(bug, room)
        if corpus_counts and (name := first_of(program, corpus)):
            return f"corpus: {name}", 0
        mine = room / "corpus"
        mine.mkdir()
        for f in corpus.iterdir():
            if corpus_counts or not found(program, f):
                shutil.copy(f, mine)
        start = time.monotonic()
        if found(program, mine, f"-max_total_time={seconds}", DICTIONARY, "-seed=1"):
            return "libFuzzer", time.monotonic() - start
        return None, 0
    finally:
        shutil.rmtree(room)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("targets", nargs="*")
    parse.add_argument("--seconds", type=int, default=20)
    parse.add_argument("--no-corpus", action="store_true", help="without the inputs that find it at once")
    parse.add_argument("--check", action="store_true")
    given = parse.parse_args()
    chosen = [b for b in BUGS if not given.targets or b.target in given.targets]
    if given.check:
        for bug in BUGS:
            planted(bug)
        print(f"planted: {len(BUGS)} mistakes have their places")
        return 0
    build, missed = Build(), []
    for bug in chosen:
        by, took = judge(build, bug, given.seconds, not given.no_corpus)
        missed += [bug] if by is None else []
        print(f"{bug.target:20}{bug.mistake:58}{by or 'NOT FOUND'}" + (f" in {took:.0f} s" if took else ""), flush=True)
    print(f"{len(chosen)} planted, {len(chosen) - len(missed)} found")
    return len(missed) > 0


if __name__ == "__main__":
    sys.exit(main())
