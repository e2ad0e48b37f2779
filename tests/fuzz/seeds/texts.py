# SPDX-License-Identifier: MIT
"""Configurations, --set, metrics, measurements, sizes and text to print."""
import json
import pathlib
import struct

from seeds.bytes import values

ROOT = pathlib.Path(__file__).resolve().parents[3]


def configs():
    for path in sorted((ROOT / "apps/configs").glob("*.json")):
        yield path.stem, path.read_bytes()
    def j(**sections):
        return json.dumps(sections)
    yield "empty", "{}"
    yield "nothing", ""
    yield "list", "[]"
    yield "twice", '{"train":{"steps":1,"steps":2}}'
    yield "section-twice", '{"train":{"steps":1},"train":{"seed":2}}'
    yield "schema", '{"$schema":"./schema/haze.schema.json"}'
    yield "schema-as-section", '{"$schema":{"a":1}}'
    yield "unknown-key", j(train={"stepz": 1})
    yield "unknown-section", j(trian={"steps": 1})
    yield "of-another-model", j(model={"type": "point_mlp", "n_blocks": 1})
    yield "nested", '{"train":{"steps":{"a":1}}}'
    yield "nested-list", '{"model":{"widths":[[1]]}}'
    yield "bare-value", '{"train":1}'
    yield "escape", j(data={"spec": "\x1b]0;x\x07"})
    yield "not-utf-8", b'{"data":{"spec":"\xff"}}'
    yield "byte-of-a-name", '{"data":{"spec":"caf\\u0000e9"}}'
    yield "byte-of-no-name", '{"data":{"spec":"caf\\u0000zz"}}'
    yield "byte-below-80", '{"data":{"spec":"caf\\u000041"}}'
    yield "surrogate", '{"data":{"spec":"\\ud800"}}'
    for i, n in enumerate(("0", "-1", "1e3", "1.5", "1e999", "-0", "9007199254740991", "9007199254740992", "18446744073709551615",
                           "18446744073709551616", "2147483648", "1e-400", "true", "null", '"3"', "NaN", "01", "[1]")):
        yield f"steps-{i}", f'{{"train":{{"steps":{n}}}}}'
        yield f"seed-{i}", f'{{"train":{{"seed":{n}}}}}'
        yield f"rate-{i}", f'{{"train":{{"learning_rate":{n},"min_snr_gamma":{n}}}}}'
    yield "lists", j(model={"type": "ddpm_unet", "block_out_channels": [8, 16], "attention": [True, False]})
    yield "empty-list", j(model={"type": "ddpm_unet", "block_out_channels": []})
    yield "list-of-1025", j(model={"type": "conv_denoiser", "widths": [1] * 1025})
    yield "mixed-list", j(model={"type": "ddpm_unet", "attention": [True, 1]})
    yield "image-size", j(data={"image_size": [8, 9]})
    yield "image-size-of-three", j(data={"image_size": [8, 9, 1]})
    yield "accumulate", j(train={"batch_size": 6, "accumulate": 4})
    yield "averages", j(train={"ema_decay": 0.9, "ema_half_life": 10})
    yield "ends-of-ranges", j(train={"adam_beta1": 0.9999999, "adam_eps": 1e-30, "weight_decay": 1, "grad_clip": 1e6})
    yield "text-of-4096", j(data={"spec": "x" * 4096})
    yield "text-of-4097", j(data={"spec": "x" * 4097})
    yield "behind", "{} {}"
    yield "comment", "{/**/}"
    yield "bom", b"\xef\xbb\xbf{}"


def assignments():
    for i, text in enumerate((
            "train.steps=5", "train.steps=5.0", "train.steps=", "train.steps", "=5", "train.steps==5", "model.type=point_mlp",
            "model.type=ddpm_unet\nmodel.block_out_channels=[8,16]\nmodel.attention=[true,false]", "data.spec=3", 'data.spec="3"',
            'data.spec="', "data.spec=true", "data.spec=\x1b[2J", "data.image_size=[8,8]", "data.image_size=[8,[8]]",
            'train.steps={"a":1}', "train.seed=9007199254740991", "train.learning_rate=1e-3", "train.precision=bf16",
            "train.stepz=1", "a.b.c=1", "train.steps=1\ntrain.steps=2", "diffusion.clip_x0=false", "train.learning_rate=1e400")):
        yield f"{i:02}", text
    yield "not-utf-8", b"data.spec=caf\xe9"
    yield "key-not-utf-8", b"data.\xff=1"
    yield "c1", "data.label=\u009b2J"


def metrics():
    row = '{"step":%d,"loss":0.5}\n'
    good = "".join(row % s for s in range(1, 8))
    for name, text in {
            "whole": good, "torn": good + '{"step":8,"lo', "torn-but-json": good + '{"step":3}', "empty": "", "blank-lines": "\n\n" + good,
            "unsorted": row % 9 + row % 2 + row % 6 + row % 5, "no-step": '{"loss":1}\n' + good, "list": "[1]\n" + good,
            "negative": '{"step":-1}\n' + good, "float": '{"step":3.0}\n' + good, "text": '{"step":"3"}\n' + good,
            "huge": '{"step":18446744073709551615}\n{"step":18446744073709551616}\n' + good, "twice": '{"step":3,"step":9}\n' + good,
            "nul": "\0\n" + good, "carriage-return": good.replace("\n", "\r\n"), "two-in-a-line": '{"step":1}{"step":2}\n',
            "nested": '{"a":{"step":1}}\n', "nan": '{"step":1,"loss":NaN}\n', "none": "x"}.items():
        yield name, struct.pack("<H", 5) + text.encode()
    yield "not-utf-8", struct.pack("<H", 5) + b'{"step":1,"x":"\xff"}\n' + good.encode()


def benches():
    step = {"schema": "haze-bench/1", "device": "d", "what": "step", "config": "demo", "batch": 8, "threads": 2, "precision": "f32",
            "milliseconds": [1, 2.5, 2, 9]}
    def row(**changed):
        return {"kernel": "add", "impl": "haze", "shape": "n=1", "dtype": "f32", "cold": {"samples_ns": [3, 1, 2]}} | changed
    def kernels(*rows):
        return {"schema": "haze-bench/1", "device": "d", "what": "kernels", "results": list(rows)}
    for name, file in {
            "step": step, "kernels": kernels(row(), row(impl="cudnn"), row(kernel="adam")), "no-results": kernels(),
            "twice": kernels(row(), row()), "no-samples": kernels(row(cold={"samples_ns": []})),
            "time-0": kernels(row(cold={"samples_ns": [0]})), "negative": step | {"milliseconds": [-1]},
            "text-for-number": step | {"milliseconds": ["1"]}, "another-schema": step | {"schema": "haze-bench/2"},
            "escape": step | {"config": "\x1b]0;x\x07", "device": "\u009b2J"}, "line-break": step | {"config": "a\nb"},
            "batch-of-text": step | {"batch": "8"}, "batch-beyond": step | {"batch": 2**40}, "batch-of-8.5": step | {"batch": 8.5}, "threads-0": step | {"threads": 0},
             "small": step | {"milliseconds": [1e-320]},
            "large": step | {"milliseconds": [1e308, 1e308]}, "device-of-number": step | {"device": 1},
            "results-of-object": {**kernels(), "results": {"a": row()}}, "null": step | {"milliseconds": None},
            "deep": step | {"x": [[[[[[[[[1]]]]]]]]]}, "list": [step], "number": 1}.items():
        yield name, json.dumps(file)
    yield "empty", ""
    yield "not-utf-8", b'{"schema":"\xff"}'
    yield "cut", json.dumps(step)[:-1]
    yield "beyond-double", json.dumps(step).replace("2.5", "1e999")


def sizes():
    for i, (h, w, to_h, to_w, c) in enumerate(((31, 31, 7, 7, 1), (7, 7, 31, 31, 1), (1, 1, 9, 5, 0), (511, 3, 3, 3, 1), (3, 511, 5, 4, 0),
                                               (8, 8, 8, 8, 1), (64, 48, 32, 32, 1), (2, 512, 1, 1, 0), (5, 5, 4, 4, 0), (500, 500, 1, 1, 0))):
        head = struct.pack("<HHBBB", h - 1, w - 1, to_h - 1, to_w - 1, c)
        yield f"flat-{i}", head + b"\xff"
        yield f"noise-{i}", head + b"\x80" + values(400, i + 1)
        yield f"extremes-{i}", head + b"\0" + b"\xff" * (37 + i)


def texts_to_print():
    for i, text in enumerate(("a\u00e4\u20ac\u009b\x1b\U0001f600", "\x7f", "\u0080\u009f\u00a0", "", "\ud7ff\ue000", "\U0010ffff")):
        yield f"{i}", text
    for i, raw in enumerate((b"\xff", b"\xc2", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80",
                             b"\xc2\x9b\xff", b"\xc2\x20", b"ok\xe2\x82", b"\x80")):
        yield f"raw-{i}", raw
