# SPDX-License-Identifier: MIT
"""What several kinds of inputs are made of."""
import struct


def pack(*files):
    return b"".join(bytes([len(n)]) + n + struct.pack("<I", len(b)) + b for n, b in files)


def values(n, seed=1):
    """n bytes in which neighbours differ."""
    out = bytearray()
    for _ in range(n):
        seed = seed * 1103515245 + 12345 & 0x7FFFFFFF
        out.append(seed >> 16 & 255)
    return bytes(out)
