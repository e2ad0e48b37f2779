# SPDX-License-Identifier: MIT
"""IDX files, plain and packed, MNIST, CIFAR-10, folders of pictures, and what names a data set."""
import gzip
import struct
import zlib

from seeds.bytes import pack, values
from seeds.jpeg import exif, jpeg, segment
from seeds.png import png


def idx(*dims, data=None, kind=8, rank=None):
    n = 1
    for d in dims:
        n *= d
    content = values(n) if data is None else data
    return bytes([0, 0, kind, len(dims) if rank is None else rank]) + b"".join(struct.pack(">I", d) for d in dims) + content


def packed(content, level=9, flags=0, extra=b"", method=8, crc=None, size=None):
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
    return (b"\x1f\x8b" + bytes([method, flags]) + b"\0\0\0\0\0\3" + extra + deflate.compress(content) + deflate.flush() +
            struct.pack("<II", zlib.crc32(content) if crc is None else crc, len(content) if size is None else size))


def gzips(content):
    good = packed(content)
    yield "packed", good
    yield "stored", packed(content, 0)
    yield "named", packed(content, flags=8, extra=b"name\0")
    yield "all-flags", with_header_crc(content)
    yield "extra-beyond", packed(content, flags=4, extra=b"\xff\xff")
    yield "reserved-flag", packed(content, flags=0x20)
    yield "method-7", packed(content, method=7)
    yield "crc", packed(content, crc=1)
    yield "size", packed(content, size=len(content) + 1)
    yield "cut", good[:-1]
    yield "cut-before-crc", good[:-8]
    yield "cut-in-stream", good[:len(good) // 2]
    yield "one-byte-behind", good + b"\0"
    yield "two-members", good + good
    yield "head-alone", good[:10]
    yield "magic-alone", good[:2]


def with_header_crc(content):
    head = b"\x1f\x8b\x08\x1e" + b"\0\0\0\0\0\3" + struct.pack("<H", 3) + b"abc" + b"name\0" + b"comment\0"
    return head + struct.pack("<H", zlib.crc32(head) & 0xFFFF) + packed(content)[10:]


def idxs():
    images, labels = idx(2, 3, 3), idx(5)
    yield "images", images
    yield "labels", labels
    for name, data in gzips(images):
        yield f"images-{name}", data
    yield "labels-packed", gzip.compress(labels, mtime=0)
    yield "one-short", images[:-1]
    yield "one-too-many", images + b"\0"
    yield "size-0", idx(0, 3, 3)
    yield "wraps-32", idx(65536, 65536, 1, data=b"")
    yield "wraps-64", idx(0x80000000, 0x80000000, 4, data=b"")
    yield "wraps-32-to-18", idx(0x80000001, 2, 9, data=values(18))
    yield "wraps-64-to-18", idx(0x80000000, 0x80000000, 0x12, data=values(18))
    yield "of-2-gib", idx(0x80000000, data=b"\0")
    yield "of-floats", idx(2, data=bytes(8), kind=13)
    yield "rank-2", idx(2, 2)
    yield "rank-3-of-one", idx(5, rank=3)
    yield "head-alone", b"\0\0\x08\x03"
    yield "empty", b""
    yield "html", b"<!DOCTYPE html><html>not found</html>"
    yield "lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def mnists():
    images, labels = idx(2, 3, 3), idx(2, data=b"\1\x09")
    z = gzip.compress(images, mtime=0)
    for name, files in {
            "plain": (images, labels), "label-10": (images, idx(2, data=b"\1\x0a")), "three-labels": (images, idx(3, data=b"\1\2\3")),
            "one-label": (images, idx(1, data=b"\1")),
            "swapped": (labels, images), "no-labels": (images, b""), "too-wide": (idx(1, 1, 16385), idx(1, data=b"\1"))}.items():
        yield name, pack((b"i", files[0]), (b"l", files[1]))
    yield "packed", pack((b"z", z), (b"z", gzip.compress(labels, mtime=0)))
    yield "packed-under-plain-name", pack((b"i", z), (b"l", labels))
    yield "plain-under-packed-name", pack((b"z", images), (b"z", labels))
    yield "html-under-packed-name", pack((b"z", b"<html>"), (b"z", labels))


def cifars():
    record = b"\3" + values(3072)
    yield "one", record
    yield "two", record + b"\x09" + values(3072, 5)
    yield "label-10", record + b"\x0a" + values(3072, 5)
    yield "cut", record[:-1]
    yield "one-too-many", record + b"\0"
    yield "empty", b""
    yield "cifar-100", b"\1" + record
    yield "html", b"<!DOCTYPE html>"


def folders():
    def of(options, *files):
        return bytes([options]) + pack(*files)
    grey, colour, picture = png(6, 5), png(5, 6, 2), jpeg(9, 8)
    plain = [(b"b/1.png", grey), (b"a/2.PNG", colour), (b"10/x.jpg", picture), (b"2/y.jpeg", picture)]
    for options in range(8):
        yield f"classes-{options}", of(options, *plain)
    yield "flat", of(3, (b"a.png", grey), (b"b.jpg", picture))
    yield "one-outside", of(3, (b"a.png", grey), (b"c/b.jpg", picture))
    yield "same-size", of(0, (b"a/1.png", grey), (b"a/2.png", png(6, 5, 2)))
    yield "other-size", of(0, (b"a/1.png", grey), (b"a/2.png", colour))
    yield "bad-files", of(3, (b"a/1.png", grey), (b"a/2.png", grey[:50]), (b"a/3.png", b""), (b"a/4.jpg", b"<html>"), (b"a/5.png", b"GIF89a"))
    yield "bad-file", of(1, (b"a/1.png", grey), (b"a/2.png", grey[:50]))
    yield "all-bad", of(3, (b"a/1.png", b"x"))
    yield "swapped-names", of(1, (b"a/1.jpg", grey), (b"a/2.png", picture))
    yield "too-small", of(3, (b"a/1.png", png(3, 3)), (b"a/2.png", grey))
    yield "too-narrow", of(3, (b"a/1.png", png(3, 9)), (b"a/2.png", grey))
    yield "hidden", of(1, (b".a/1.png", b"x"), (b"a/.2.png", b"x"), (b"a/3.png", grey), (b"__MACOSX/._a.jpg", b"x"), (b"a/Thumbs.db", b"x"))
    names = [b"a b", b"a\nb", b"\"'", b"caf\xe9", "\U0001f600".encode(), b"-", b"#test", b"@3", b"a:b", b"\x1b[2J"]
    yield "names", of(3, *[(n + b"/" + n + b".png", grey) for n in names])
    yield "names-bad-files", of(3, (b"a/1.png", grey), *[(n + b"/" + n + b".png", b"x") for n in names])
    yield "long-name", of(1, (b"a/" + b"n" * 240 + b".png", grey))
    yield "deep", of(1, (b"a/" * 15 + b"1.png", grey))
    yield "too-deep", of(1, (b"a/" * 18 + b"1.png", grey))
    yield "sixteen-bits", of(1, (b"a/1.png", png(6, 5, 0, 16)))
    yield "orientations", of(7, *[(b"a/%d.jpg" % o, jpeg(19, 10, 1, segment(0xE1, exif(o)))) for o in range(1, 9)])
    yield "no-pictures", of(1, (b"a.txt", b"x"))
    yield "empty", b"\0"


def specs():
    for i, text in enumerate((
            "synthetic:digits:9", "synthetic:shapes:5", "points:moons:9", "points:s_curve:1", "points:swiss_roll:7", "synthetic:digits:0",
            "synthetic:digits:-1", "synthetic:digits:+1", "synthetic:digits:1000001", "synthetic:digits:99999999999999999999",
            "synthetic:digits:9x", "synthetic:digits:", "synthetic:digits: 9", "synthetic:digits:0x9", "synthetic:digits:9:9",
            "synthetic:", "points:", "points:moons:9#test", "mnist:x#test", "mnist:", "mnist:#test", "images:x", "images:", "cifar10:",
            "x:y", "", ":", "digits", "synthetic:digits:1.0", "SYNTHETIC:digits:9", "images:\x1b[2J", "images:a\nb", "synthetic:digits:009")):
        yield f"{i:02}", text
    yield "not-utf-8", b"images:\xff"
    yield "long", b"images:" + b"x" * 1900
    yield "nul", b"images:a\0b"
