# SPDX-License-Identifier: MIT
"""JPEGs, and the EXIF in them."""
import struct


def segment(kind, content):
    return bytes([0xFF, kind]) + struct.pack(">H", len(content) + 2) + content


def jpeg(width, height, components=1, before=b"", size=None, scans=1, end=True):
    """Baseline: of each block of 8x8 the mean alone, from a Huffman code whose word k of 4 bits says k bits."""
    bits = ""
    for block in range(((width + 7) // 8) * ((height + 7) // 8)):
        for c in range(components):
            difference = (block * 37 + c * 61) % 15 - 7
            n = abs(difference).bit_length()
            bits += f"{n:04b}" + (f"{difference if difference > 0 else difference + (1 << n) - 1:0{n}b}" if n else "") + "0"
    bits += "1" * (-len(bits) % 8)
    data = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")
    w, h = size or (width, height)
    ids = bytes(range(1, components + 1))
    frame = struct.pack(">BHHB", 8, h, w, components) + b"".join(bytes([i, 0x11, 0]) for i in ids)
    means = b"\0" + bytes([0, 0, 0, 12]) + bytes(12) + bytes(range(12))
    others = b"\x10" + bytes([1]) + bytes(15) + b"\0"
    scan = segment(0xDA, bytes([components]) + b"".join(bytes([i, 0]) for i in ids) + b"\0\x3f\0") + data
    return (b"\xff\xd8" + before + segment(0xDB, b"\0" + b"\x20" * 64) + segment(0xC0, frame) + segment(0xC4, means + others) +
            scan * scans + (b"\xff\xd9" if end else b""))


def exif(orientation, little=True, kind=3, count=1, entries=1, tag=0x0112, first=8, pad=0):
    e = "<" if little else ">"
    entry = struct.pack(e + "HHI", tag, kind, count) + struct.pack(e + "H", orientation) + b"\0\0"
    other = struct.pack(e + "HHII", 0x010F, 2, 4, 0)
    return (b"Exif\0\0" + (b"II" if little else b"MM") + struct.pack(e + "HI", 42, first) + bytes(pad) +
            struct.pack(e + "H", entries) + other * (entries - 1) + entry)


def jpegs():
    yield "grey", jpeg(17, 13)
    yield "colour", jpeg(17, 13, 3)
    yield "one-pixel", jpeg(1, 1)
    for o in range(1, 9):
        yield f"orientation-{o}", jpeg(19, 10, 3 if o % 2 else 1, segment(0xE1, exif(o, o % 2 == 0)))
    yield "two-orientations", jpeg(9, 17, 1, segment(0xE1, exif(1)) + segment(0xE1, exif(6)))
    yield "broken-exif", jpeg(9, 17, 1, segment(0xE1, exif(6)[:20]))
    good = jpeg(17, 13, 3)
    yield "no-end", jpeg(17, 13, end=False)
    yield "cut", good[:len(good) * 2 // 3]
    yield "cut-by-two", good[:-2]
    yield "rubbish-behind", good + b"rubbish"
    yield "two-scans", jpeg(17, 13, scans=2)
    for name, size in {"0": (0, 13), "65535": (65535, 65535), "16385": (16385, 8), "16384": (16384, 16384)}.items():
        yield f"size-{name}", jpeg(17, 13, size=size)
    yield "length-0", good[:2] + b"\xff\xe0\0\0" + good[2:]
    yield "length-beyond", good[:2] + b"\xff\xe0\xff\xff" + good[2:]
    yield "signature-alone", b"\xff\xd8\xff"


def exifs():
    for o in (1, 6, 8):
        for little in (True, False):
            yield f"{o}-{'II' if little else 'MM'}", exif(o, little)
    yield "0", exif(0)
    yield "9", exif(9)
    yield "of-another-type", exif(6, kind=4)
    yield "of-two", exif(6, count=2)
    yield "third-entry", exif(6, entries=3)
    yield "more-entries-than-bytes", exif(6).replace(b"\x01\x00\x12", b"\xff\xff\x12")
    yield "cut-in-entry", exif(6)[:-1]
    yield "cut-in-second-entry", exif(6, entries=2)[:-1]
    yield "another-tag", exif(6, tag=0x0113)
    for first in (0, 7, 9, 10, 26, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFE):
        yield f"directory-at-{first:x}", exif(6, first=first)
    yield "directory-at-the-end", exif(6, first=20)[:28]
    yield "43", exif(6).replace(b"\x2a", b"\x2b", 1)
    yield "IM", exif(6).replace(b"II", b"IM")
    yield "13-bytes", exif(6)[:13]
    yield "14-bytes", exif(6)[:14]
    yield "empty", b""
