# SPDX-License-Identifier: MIT
"""PNGs, and the texts in them."""
import struct
import zlib

from seeds.bytes import values


def chunk(name, content=b"", crc=None):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content) if crc is None else crc)


CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def rows(width, height, bits, filters=(0, 1, 2, 3, 4)):
    length = (width * bits + 7) // 8
    return b"".join(bytes([filters[y % len(filters)]]) + values(length, y + 1) for y in range(height))


def png(width, height, kind=0, depth=8, interlaced=False, before=b"", after=b"", raw=None, end=True, size=None):
    bits = CHANNELS[kind] * depth
    if raw is None and interlaced:
        raw = b"".join(rows((width - x + dx - 1) // dx, (height - y + dy - 1) // dy, bits) for x, y, dx, dy in ADAM7
                       if width > x and height > y)
    elif raw is None:
        raw = rows(width, height, bits)
    if kind == 3:
        before = chunk(b"PLTE", values(3 << min(depth, 8))) + before
    w, h = size or (width, height)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, kind, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", zlib.compress(raw, 9)) + after + (chunk(b"IEND") if end else b"")


def recipe(text):
    return chunk(b"iTXt", b"haze\0\0\0\0\0" + text)


def pngs():
    for kind, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items():
        for depth in depths:
            yield f"type{kind}-{depth}bit", png(9, 7, kind, depth)
    for kind, depth in ((0, 8), (3, 4), (6, 16)):
        yield f"interlaced-type{kind}-{depth}bit", png(9, 7, kind, depth, True)
    for kind, content in {0: b"\0\1", 2: b"\0\1\0\1\0\1", 3: b"\0\x80\xff"}.items():
        yield f"transparent-type{kind}", png(5, 4, kind, 8, before=chunk(b"tRNS", content))
    good = png(5, 4, 2)
    yield "one-pixel", png(1, 1)
    yield "no-end", png(5, 4, 2, end=False)
    yield "cut-in-data", good[:60]
    yield "cut-by-one", good[:-1]
    yield "rubbish-behind", good + b"rubbish"
    yield "crc-of-data", good.replace(good[-16:-12], b"\0\0\0\0")
    yield "crc-of-text", png(5, 4, 2, before=chunk(b"tEXt", b"a\0b", crc=7))
    yield "crc-of-head", good[:29] + b"\0\0\0\0" + good[33:]
    yield "rows-missing", png(5, 4, 2, raw=rows(5, 3, 24))
    yield "rows-too-many", png(5, 4, 2, raw=rows(5, 9, 24))
    yield "filter-5", png(5, 4, 2, raw=rows(5, 4, 24, (0, 5)))
    for name, size in {"width-0": (0, 4), "height-0": (5, 0), "width-16385": (16385, 1), "height-2-31": (1, 0x80000000),
                       "64-mi-and-one": (16384, 4097), "all-ones": (0xFFFFFFFF, 0xFFFFFFFF), "16384-a-side": (16384, 16384)}.items():
        yield f"size-{name}", png(5, 4, 0, size=size)
    yield "bomb", png(8192, 8192, 0, 1, raw=bytes(1025) * 8192)
    zeros = zlib.compress(bytes(1 << 20), 9)
    yield "bombs-in-texts", png(5, 4, before=chunk(b"zTXt", b"a\0\0" + zeros) + chunk(b"iCCP", b"a\0\0" + zeros))
    yield "animated", png(5, 4, before=chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", bytes(26)),
                          after=chunk(b"fdAT", b"\0\0\0\1x"))
    yield "two-heads", good[:33] + good[8:]
    yield "no-palette", png(5, 4, 3).replace(b"PLTE", b"PLTX")
    yield "depth-3", png(5, 4, 0, 8).replace(b"\x04\x08\0", b"\x04\x03\0", 1)
    yield "length-of-2-31", good[:33] + b"\xff\xff\xff\xff" + good[37:]


def texts():
    for name, text in {"plain": b'{"a":1}', "escape": b'{"a":"\x1b]0;x\x07"}', "c1": '{"a":"\u009b2J"}'.encode(),
                       "not-utf-8": b'{"a":"\x9b2J"}', "empty": b"", "long": b"x" * 5000}.items():
        yield name, png(4, 4, before=recipe(text))
    good = png(4, 4, before=recipe(b"{}"))
    yield "behind-data", png(4, 4, after=recipe(b"{}"))
    yield "two", png(4, 4, before=recipe(b"first"), after=recipe(b"second"))
    yield "packed", png(4, 4, before=chunk(b"iTXt", b"haze\0\1\0\0\0" + zlib.compress(b"{}")))
    yield "with-language", png(4, 4, before=chunk(b"iTXt", b"haze\0\0\0en\0\0{}"))
    yield "another-key", png(4, 4, before=chunk(b"iTXt", b"hazel\0\0\0\0\0{}"))
    yield "none", png(4, 4)
    yield "crc", good.replace(b"{}", b"[]")
    yield "cut", good[:-1]
    yield "cut-in-length", good[:35]
    yield "longer-than-file", good[:33] + b"\0\0\1\0" + good[37:]
    yield "length-wraps", good[:33] + b"\xff\xff\xff\xf4" + good[37:]
    yield "signature-alone", good[:8]
    yield "text-with-quotes", '{"prompt":"\u00e9\U0001f600","n":1}'.encode()
