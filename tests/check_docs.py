#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What README.md, CONTRIBUTING.md, CHANGELOG.md and docs/ name must exist: files that are linked to or stand in back quotes,
headings, `haze` subcommands with their flags, configurations and keys, scripts with their flags, presets.

  tests/check_docs.py [HAZE]      exits 1 and says where something is named that is not there

HAZE is the built program, which is asked for its flags and keys; without it those rules rest, and the check says so.
"""
import dataclasses
import fnmatch
import json
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
GENERATED = ("build/", "runs/", "data/", "samples/", "grids/")  # folders that a reader's own commands make
OTHERS = {"k.cu", "model.load_state_dict", "--gtest_filter", "--prefix", "--preset", "--build", "--recursive", "--args"}
# ^ an example's file, PyTorch's name for a method, and flags of other programs
TOP = r"(?:kernels|engine|model|apps|tests|docs|scripts|cmake|\.ci|\.github)"
SPAN = re.compile(r"`([^`\n]+)`")


@dataclasses.dataclass
class World:
    """What there is."""
    files: set  # below the root, folders too
    scripts: dict  # path -> text of what a person runs
    presets: set
    commands: dict = None  # subcommand -> its help
    keys: set = None

    def has(self, path):
        path = path.rstrip("/")
        return path in self.files or ("*" in path and any(fnmatch.fnmatchcase(f, path) for f in self.files))


def world(program):
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
    names = listed.stdout.split("\n") if listed.returncode == 0 else [p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*")]
    files = {f for f in names if f and not f.startswith(GENERATED) and (ROOT / f).is_file()}
    texts = {f: (ROOT / f).read_text() for f in files if f.startswith(("scripts/", "tests/")) and (f.endswith(".py") or "." not in f)
             and not f.startswith("tests/fuzz/corpus/")}
    files |= {str(p) for f in list(files) for p in pathlib.PurePosixPath(f).parents}
    presets = {p["name"] for p in json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]}
    here = World(files, texts, presets)
    if program:
        ask = lambda *words: subprocess.run([program, *words], capture_output=True, text=True, check=True).stdout
        names = re.search(r"^Subcommands: ([\w, \n]+)\.$", ask(), re.M)[1].replace(",", " ").split()
        here.commands = {name: ask(name, "--help") for name in names}
        here.keys = set(re.findall(r"^(\w+\.\w+)  ", ask("info", "--keys"), re.M))
    return here


def anchors(text):
    headings = re.findall(r"^#+ +(.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", h)).lower().replace(" ", "-") for h in headings}


def links(where, text, here):
    folder = pathlib.PurePosixPath(where).parent
    named = {name.lower() for name in re.findall(r"^ {0,3}\[([^\]]+)\]: *\S", text, re.M)}
    for words, name in re.findall(r"(?<![\w\]])\[([^\]\n]+)\]\[([^\]\n]*)\]", SPAN.sub("", text) if named else ""):  # [a][b] may be an array
        if (name or words).lower() not in named:
            yield f"link to [{name or words}], which no line defines"
    for target in re.findall(r"\]\(([^)\s]+)\)|^ {0,3}\[[^\]]+\]: *(\S+)", text, re.M):
        target = "".join(target)
        path, _, anchor = target.partition("#")
        if re.match(r"\w+:", target):
            continue
        parts = []
        for part in [*folder.parts, *path.split("/")] if path else [where]:
            parts = parts[:-1] if part == ".." else parts + [part] if part not in ("", ".") else parts
        full = "/".join(parts) or "."
        if not here.has(full):
            yield f"link to {target}, which is not there"
        elif anchor and full.endswith(".md"):
            source = text if full == where else (ROOT / full).read_text()
            if anchor not in anchors(source):
                yield f"link to {target}: {full} has no such heading"


def paths(where, span, here):
    """A code span that is a path, or begins with one."""
    word = re.sub(r":\d+$", "", span.split(" ")[0].rstrip(",;"))
    if word in OTHERS or re.search(r"[<>A-Z]|\bvN_", word) or word.startswith(GENERATED):
        return
    choices = [word]
    if m := re.fullmatch(r"(.*)\{([\w,]+)\}(.*)", word):
        choices = [m[1] + choice + m[3] for choice in m[2].split(",")]
    for choice in choices:
        if re.match(TOP + "/", choice):
            known = here.has(choice) or here.has(choice + ".h") or here.has(choice + ".cpp")  # `model/unet`: both of it
        elif re.fullmatch(r"[\w/*.-]*\w\.(h|cpp|cu|cuh|py)", choice):
            known = here.has(choice) or here.has("*/" + choice)
        else:
            continue
        if not known:
            yield f"`{choice}` is not there"


def flags_of(text):
    return set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", text))


def command(words, here):
    """A command line, split into words, program first."""
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    if not words:
        return
    program, *rest = words
    flags = {w.split("=")[0] for w in rest if re.match(r"--?[a-z]", w)}
    if re.fullmatch(r"(\S*/)?haze", program) and rest and here.commands is not None:
        sub = rest[0]
        if re.search(r"[A-Z…]|^-", sub):  # SUBCOMMAND, --help
            return
        if sub not in here.commands:
            yield f"haze has no subcommand {sub}"
            return
        usage = here.commands[sub]
        for flag in sorted(flags - flags_of(usage)):
            yield f"haze {sub} has no {flag}"
        if len(rest) > 1 and re.fullmatch(r"[a-z]+", rest[1]) and not re.search(rf"\b{rest[1]}\b", usage):
            yield f"haze {sub} knows no {rest[1]}"
        for flag, value in zip(rest, rest[1:]):
            if flag == "--set" and value.split("=")[0] not in here.keys and not re.search("[A-Z]", value.split("=")[0]):
                yield f"there is no key {value.split('=')[0]}"
            if flag == "--config" and re.fullmatch(r"[a-z][\w-]*", value) and not here.has(f"apps/configs/{value}.json"):
                yield f"there is no configuration {value}"
    elif re.match(r"(scripts|tests)/", program) and not re.search(r"[<*]", program):
        if not here.has(program):
            yield f"{program} is not there"
        for flag in sorted(flags):
            if flag not in here.scripts.get(program, flag):
                yield f"{program} has no {flag}"
    elif program in ("cmake", "ctest"):
        for flag, value in zip(rest, rest[1:]):
            if flag == "--preset" and value not in here.presets and not re.search("[A-Z<]", value):
                yield f"there is no preset {value}"


def split(line):
    line = re.sub(r"(^|\s)#.*", "", line)
    try:
        return shlex.split(line)
    except ValueError:  # a quotation mark that is none
        return line.split()


def spans(where, text, here):
    known = flags_of("\n".join([*(here.commands or {}).values(), *here.scripts.values()])) | OTHERS
    for span in SPAN.findall(text):
        yield from paths(where, span, here)
        words = split(span)
        if span.startswith("-"):
            flag = re.match(r"--?[\w-]*", span)[0]
            if re.fullmatch(r"--[a-z][\w-]*", flag) and here.commands is not None and flag not in known:
                yield f"nothing has a flag {flag}"
            words = ["haze", "train", *words] if span.startswith("--set ") else []
        elif m := re.fullmatch(r"(?:model|diffusion|data|train)\.[a-z_0-9]+", span):
            if here.keys is not None and span not in here.keys | OTHERS and not re.search(r"\.(cpp|h|json|safetensors)$", span):
                yield f"there is no key {m[0]}"
        yield from command(words, here)


def problems(where, text, here):
    made = re.findall(r"^New file `([^`]+)`", text, re.M)  # what a page tells its reader to write
    here = dataclasses.replace(here, files=here.files | set(made))
    fenced = re.compile(r"^ *```[^\n]*\n(.*?)^ *```", re.M | re.S)
    prose = fenced.sub("", text)
    yield from links(where, prose, here)
    yield from spans(where, prose, here)
    yield from (f"{word} left in the page" for word in set(re.findall(r"\b(?:TODO|FIXME|TBD)\b", prose)))
    for block in fenced.findall(text):
        for line in block.replace("\\\n", " ").split("\n"):
            for part in re.split(r" && | \| |; ", line):
                yield from command(split(part.strip()), here)


SMALL = World(files={"README.md", "docs", "docs/models.md", "model/unet.h", "apps/configs/mnist.json", "scripts/test", "model"},
              scripts={"scripts/test": "--full"}, presets={"cpu"},
              commands={"train": "  --config NAME\n  --set K=V\n", "bench": "  WHAT  step\n  -k NAME\n"}, keys={"model.type"})
MUST_BE_REPORTED = ["[a](gone.md)", "[a](../gone.md)", "![a](docs/gone.png)", "[a](#gone)", "`model/gone.h`", "`gone.cpp`", "`model/gone/`",
                    "`model/{unet,gone}.h`", "`model/gone*.h`", "`haze gone`", "`haze train --gone`", "`haze bench gone`", "`--gone`",
                    "`model.gone`", "`gone.h`", "`--set model.gone=1`", "`haze train --config gone`", "`scripts/gone`", "`scripts/test --gone`",
                    "```\nhaze train --set model.gone=1\n```", "```\nA=1 build/cpu/haze gone\n```", "```\nscripts/gone  # x\n```",
                    "```\ncmake --preset gone\n```", "```\nhaze train \\\n  --gone\n```", "`haze bench step -x`", "`cmake --preset gone`",
                    "[a][here]\n\n[here]: gone.md", "[a][gone]\n\n[here]: docs/models.md", "[a][]\n\n[here]: docs/models.md", "later: TODO"]
MUST_PASS = ["[a](docs/models.md) [b](https://x.y/gone.md) [c](#here)\n# Here", "`model/unet.h:3`, `unet.h`, `model/unet`, `model/`, `k.cu`",
             "`haze train --config mnist --set model.type=x`, `haze SUBCOMMAND --help`, `haze bench step -k add`", "`--config`, `model.type`",
             "```\nbuild/cpu/haze train --config mine.json   # --gone\nscripts/test --full\ncmake --preset cpu\n```", "`kernels/<name>/<name>.h`",
             "[a][here], [here][], `x[3][c]` x[3][c]\n\n[here]: docs/models.md",
             "New file `model/new.h`:\n\n`new.h` and `model/new.h`"]


def self_test():
    """Each rule must be able to fail."""
    for text in MUST_BE_REPORTED:
        if not list(problems("README.md", text, SMALL)):
            yield f"self-test: not reported: {text!r}"
    for text in MUST_PASS:
        yield from (f"self-test: reported: {p}" for p in problems("README.md", text, SMALL))


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else None
    here = world(program)
    pages = sorted(f for f in here.files if f.endswith(".md") and ("/" not in f or f.startswith("docs/")))
    found = list(self_test())
    for page in pages:
        found += [f"{page}: {p}" for p in dict.fromkeys(problems(page, (ROOT / page).read_text(), here))]
    print("\n".join(found) or f"docs: ok ({len(pages)} pages{'' if program else '; no haze to ask: flags and keys not checked'})")
    sys.exit(bool(found))


main()
