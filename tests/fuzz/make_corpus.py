#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the corpus of tests/fuzz: small inputs, right ones and hostile ones, one folder for each target. The same bytes
each time; files of other names are left alone (those that libFuzzer found, and those that were met in the wild).

    tests/fuzz/make_corpus.py [FOLDER]     default: tests/fuzz/corpus
"""
import pathlib
import struct
import sys

from seeds import data_sets, jpeg, png, tensors, texts
from seeds.bytes import values

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests/fuzz/corpus"


def write(target, name, data):
    path = OUT / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


MAKERS = {
    "png": png.pngs, "recipe": png.texts, "jpeg": jpeg.jpegs, "exif": jpeg.exifs,
    "idx": data_sets.idxs, "mnist": data_sets.mnists, "cifar10": data_sets.cifars, "image_folder": data_sets.folders,
    "spec": data_sets.specs, "safetensors": tensors.files, "checkpoint": tensors.checkpoints, "config": texts.configs,
    "set": texts.assignments, "metrics": texts.metrics, "bench": texts.benches, "resize": texts.sizes,
    "printable": texts.texts_to_print,
}


def main():
    for target, make in MAKERS.items():
        for name, data in make():
            write(target, name, data)
    for name, data in data_sets.gzips(values(3000)):
        write("gz", name, b"\x03" + data)
    write("gz", "plain", b"\x03" + values(100))
    write("gz", "empty-content", b"\x03" + data_sets.packed(b""))
    write("gz", "blocks", b"\x01" + data_sets.packed(values(5000) + bytes(60000)))
    for name, data, text in tensors.headers():
        write("safetensors_header", name, struct.pack("<Q", data) + text.encode())


if __name__ == "__main__":
    main()
