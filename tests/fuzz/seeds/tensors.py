# SPDX-License-Identifier: MIT
"""safetensors files and checkpoints."""
import json
import struct


def safetensors(tensors, metadata=None):
    """tensors: (name, type, shape, bytes)"""
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, kind, shape, content in tensors:
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


BITS = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E5M2FNUZ": 8,
        "F8_E4M3FNUZ": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64,
        "F64": 64, "I64": 64, "U64": 64}


def headers():
    """name, bytes of data, JSON"""
    def entry(kind="F32", shape="[2]", offsets="[0,8]", more=""):
        return f'{{"dtype":"{kind}","shape":{shape},"data_offsets":{offsets}{more}}}'
    def one(*args, **named):
        return f'{{"a":{entry(*args, **named)}}}'
    yield "one", 8, one()
    yield "none", 0, "{}"
    yield "spaces", 8, one() + "   "
    yield "tab-behind", 8, one() + "\t"
    yield "metadata", 8, '{"__metadata__":{"k":"v"},"a":' + entry() + "}"
    yield "metadata-number", 8, '{"__metadata__":{"k":1},"a":' + entry() + "}"
    yield "metadata-twice", 8, '{"__metadata__":{"k":"v","k":"w"},"a":' + entry() + "}"
    yield "two-reversed", 16, '{"b":' + entry(offsets="[8,16]") + ',"a":' + entry() + "}"
    yield "hole", 20, '{"a":' + entry() + ',"b":' + entry(offsets="[12,20]") + "}"
    yield "overlap", 12, '{"a":' + entry() + ',"b":' + entry(offsets="[4,12]") + "}"
    yield "same-twice", 8, '{"a":' + entry() + ',"b":' + entry() + "}"
    yield "name-twice", 16, '{"a":' + entry() + ',"a":' + entry(offsets="[8,16]") + "}"
    yield "starts-at-4", 12, one(offsets="[4,12]")
    yield "ends-beyond", 4, one()
    yield "ends-before", 12, one()
    yield "backwards", 8, one(offsets="[8,0]")
    yield "scalar", 4, one(shape="[]", offsets="[0,4]")
    yield "empty", 0, one(shape="[0,5]", offsets="[0,0]")
    yield "empty-and-large", 0, one(shape="[0,1099511627775,1099511627775,1099511627775]", offsets="[0,0]")
    yield "extent-2-40", 0, one(shape="[1099511627776]", offsets="[0,0]")
    yield "product-2-64", 0, one("U8", "[1099511627775,16777217]", "[0,0]")
    yield "bits-wrap", 0, one("F64", "[288230376151711744]", "[0,0]")
    yield "bits-wrap-2", 0, one("F32", "[4294967296,134217728]", "[0,0]")
    yield "elements-wrap", 4, one("U8", "[4294967296,4294967296,2]", "[0,4]")
    yield "elements-wrap-to-0", 0, one("U8", "[4294967296,4294967296]", "[0,0]")
    yield "elements-wrap-to-4", 4, one("U8", "[4,2147418113,2147549185]", "[0,4]")  # 2^64 + 4
    yield "half-a-byte", 1, one("F4", "[3]", "[0,1]")
    yield "offset-2-64", 8, one(offsets="[0,18446744073709551615]")
    yield "offset-beyond-64", 8, one(offsets="[0,18446744073709551616]")
    yield "negative", 8, one(shape="[-2]")
    yield "float", 8, one(shape="[2.0]")
    yield "nine-axes", 8, one(shape="[2,1,1,1,1,1,1,1,1]")
    yield "eight-axes", 8, one(shape="[2,1,1,1,1,1,1,1]")
    yield "three-offsets", 8, one(offsets="[0,8,8]")
    yield "one-offset", 8, one(offsets="[0]")
    yield "unknown-type", 8, one("F33")
    yield "unknown-key", 8, one(more=',"x":1')
    yield "type-twice", 8, one(more=',"dtype":"F32"')
    yield "no-shape", 8, '{"a":{"dtype":"F32","data_offsets":[0,8]}}'
    yield "name-escape", 8, one().replace('"a"', '"\\u001b[2J"')
    yield "name-empty", 8, one().replace('"a"', '""')
    yield "name-257", 8, one().replace('"a"', '"' + "a" * 257 + '"')
    yield "name-256", 8, one().replace('"a"', '"' + "a" * 256 + '"')
    yield "name-slash", 8, one().replace('"a"', '"../a"')
    yield "type-escape", 8, one("\\u001b[2J")
    yield "array", 0, "[]"
    yield "nested", 0, '{"a":' * 50 + "1" + "}" * 50
    yield "not-json", 0, "{a}"
    yield "cut", 8, one()[:-1]
    for kind, bits in BITS.items():
        yield f"type-{kind}", bits, one(kind, "[8]", f"[0,{bits}]")


def number_files():
    yield "finite", "F32", struct.pack("<2f", 1.5, -2)
    yield "nan", "F32", struct.pack("<2f", 1.5, float("nan"))
    yield "beyond-f32", "F64", struct.pack("<2d", 1, 1e300)
    yield "halves", "F16", struct.pack("<8H", 0, 0x8000, 1, 0x83FF, 0x0400, 0x3C00, 0x7BFF, 0xC001)
    yield "half-infinite", "F16", struct.pack("<H", 0x7C00)
    yield "half-nan", "F16", struct.pack("<H", 0x7C01)
    yield "brain", "BF16", struct.pack("<3H", 0x3F80, 0x8001, 0x7F7F)
    yield "brain-nan", "BF16", struct.pack("<H", 0x7FC0)
    yield "i64", "I64", struct.pack("<2q", -2**31, 2**31 - 1)
    yield "i64-beyond", "I64", struct.pack("<q", 2**31)
    yield "i64-below", "I64", struct.pack("<q", -2**31 - 1)
    yield "u32-beyond", "U32", struct.pack("<I", 2**31)
    yield "u64-beyond", "U64", struct.pack("<Q", 2**64 - 1)
    yield "small", "I8", struct.pack("<2b", -128, 127)
    yield "i16", "I16", struct.pack("<2h", -2**15, 2**15 - 1)
    yield "u16", "U16", struct.pack("<H", 65535)
    yield "bytes", "U8", b"\0\xff"
    yield "booleans", "BOOL", b"\0\1"


def files():
    for name, kind, data in number_files():
        yield name, safetensors([("a", kind, [len(data) * 8 // BITS[kind]], data)])
    for name, data, text in headers():
        if name in ("hole", "overlap", "ends-beyond", "ends-before", "empty-and-large", "name-escape", "elements-wrap-to-4"):
            yield f"header-{name}", struct.pack("<Q", len(text)) + text.encode() + bytes(data)
    good = safetensors([("a", "F32", [2], bytes(8))], {"format": "pt"})
    yield "cut-in-data", good[:-1]
    yield "one-too-many", good + b"\0"
    yield "cut-in-header", good[:20]
    yield "seven-bytes", good[:7]
    yield "eight-bytes", good[:8]
    yield "empty", b""
    for length in (0, 1, 2, len(good) - 8, len(good) - 7, 16 << 20, (16 << 20) + 1, 2**63, 2**64 - 1, 2**64 - 8):
        yield f"length-{length:x}", struct.pack("<Q", length) + good[8:]
    yield "zip", b"PK\x03\x04" + bytes(30)
    yield "pickle", b"\x80\x02}q\0." + bytes(9)
    yield "numpy", b"\x93NUMPY\x01\0" + bytes(9)
    yield "lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    yield "index-json", b'{"metadata":{},"weight_map":{}}'


def checkpoint(tensors=None, config="{}", **changed):
    """Hashes are zeros: the target makes them right."""
    if tensors is None:
        tensors = [(k + "a.weight", "F32", [2, 2], struct.pack("<4f", 1, -2, 3, i)) for i, k in
                   enumerate(("model.", "ema.", "adam_m.", "adam_v."))]
    none = "0" * 32
    metadata = {"format": "haze-checkpoint/1", "step": "12", "seed": "7", "version": "0.1.0", "config": config,
                "config_hash": none, "dataset": "set", "header_hash": none} | {f"hash.{t[0]}": none for t in tensors}
    metadata |= changed
    return safetensors(tensors, {k: v for k, v in metadata.items() if v is not None})


def checkpoints():
    yield "whole", checkpoint()
    yield "configured", checkpoint(config=json.dumps({"model": {"type": "point_mlp"}, "note": '"header_hash":"'}))
    yield "classes", checkpoint(classes="a\nb\n\u00e9")
    yield "no-tensors", checkpoint([])
    yield "an-empty-tensor", checkpoint([("model.a", "F32", [0, 3], b"")])
    yield "nan", checkpoint([("model.a", "F32", [1], struct.pack("<f", float("nan")))])
    yield "of-halves", checkpoint([("model.a", "F16", [2], bytes(4))])
    for key in ("format", "step", "seed", "version", "config", "config_hash", "dataset", "header_hash", "hash.ema.a.weight"):
        yield f"without-{key}", checkpoint(**{key: None})
    for i, step in enumerate(("", "-1", "012", "1e3", "18446744073709551615", "18446744073709551616", " 1", "1\0")):
        yield f"step-{i}", checkpoint(step=step)
    for i, threads in enumerate(("4", "0", "1048576", "1048577", "-1", "two")):
        yield f"threads-{i}", checkpoint(threads=threads)
    yield "another-format", checkpoint(format="haze-checkpoint/2")
    yield "escapes", checkpoint(version="\x1b[2J", dataset="\x9b2J", config="{\"\x1b\":1}")
    yield "short-hash", checkpoint(header_hash="0")
