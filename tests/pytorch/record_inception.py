#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records Inception-v3's features for tests/model/inception_test.cpp.

    record_inception.py --out FILE.safetensors

Needs torch and safetensors. The network is the variant that the FID is computed with. Its 22 million
weights and the images are a formula that the test computes too (`drawn`), so only the features are
stored.
"""
import argparse

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F


def drawn(name, count):
    """Uniform in [0, 1) with 24 bits: splitmix64 of the element's index and the FNV-1a hash of the name."""
    key = 0xCBF29CE484222325
    for byte in name.encode():
        key = (key ^ byte) * 0x100000001B3 % 2**64
    z = np.uint64(key) + (np.arange(1, count + 1, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2**24


class Conv(nn.Module):
    def __init__(self, ci, co, kernel, **options):
        super().__init__()
        self.conv = nn.Conv2d(ci, co, kernel, bias=False, **options)
        self.bn = nn.BatchNorm2d(co, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


def mean(x):
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class Block(nn.Module):
    """Named convolutions, and branches: lists of names, or a pooling followed by names."""

    def __init__(self, convs, branches):
        super().__init__()
        for name, conv in convs.items():
            setattr(self, name, conv)
        self.branches = branches

    def forward(self, x):
        def walk(branch, y):
            for step in branch:
                if isinstance(step, tuple):  # a fork
                    return torch.cat([walk(b, y) for b in step], 1)
                y = getattr(self, step)(y) if isinstance(step, str) else step(y)
            return y

        return torch.cat([walk(b, x) for b in self.branches], 1)


def block_a(ci, pool):
    return Block({"branch1x1": Conv(ci, 64, 1), "branch5x5_1": Conv(ci, 48, 1), "branch5x5_2": Conv(48, 64, 5, padding=2),
                  "branch3x3dbl_1": Conv(ci, 64, 1), "branch3x3dbl_2": Conv(64, 96, 3, padding=1),
                  "branch3x3dbl_3": Conv(96, 96, 3, padding=1), "branch_pool": Conv(ci, pool, 1)},
                 [["branch1x1"], ["branch5x5_1", "branch5x5_2"],
                  ["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"], [mean, "branch_pool"]])


def block_b(ci):
    return Block({"branch3x3": Conv(ci, 384, 3, stride=2), "branch3x3dbl_1": Conv(ci, 64, 1),
                  "branch3x3dbl_2": Conv(64, 96, 3, padding=1), "branch3x3dbl_3": Conv(96, 96, 3, stride=2)},
                 [["branch3x3"], ["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"],
                  [lambda x: F.max_pool2d(x, 3, 2)]])


def block_c(ci, c):
    wide, tall = dict(kernel=(1, 7), padding=(0, 3)), dict(kernel=(7, 1), padding=(3, 0))
    return Block({"branch1x1": Conv(ci, 192, 1), "branch7x7_1": Conv(ci, c, 1), "branch7x7_2": Conv(c, c, **wide),
                  "branch7x7_3": Conv(c, 192, **tall), "branch7x7dbl_1": Conv(ci, c, 1),
                  "branch7x7dbl_2": Conv(c, c, **tall), "branch7x7dbl_3": Conv(c, c, **wide),
                  "branch7x7dbl_4": Conv(c, c, **tall), "branch7x7dbl_5": Conv(c, 192, **wide),
                  "branch_pool": Conv(ci, 192, 1)},
                 [["branch1x1"], [f"branch7x7_{i}" for i in (1, 2, 3)],
                  [f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5)], [mean, "branch_pool"]])


def block_d(ci):
    return Block({"branch3x3_1": Conv(ci, 192, 1), "branch3x3_2": Conv(192, 320, 3, stride=2),
                  "branch7x7x3_1": Conv(ci, 192, 1), "branch7x7x3_2": Conv(192, 192, (1, 7), padding=(0, 3)),
                  "branch7x7x3_3": Conv(192, 192, (7, 1), padding=(3, 0)),
                  "branch7x7x3_4": Conv(192, 192, 3, stride=2)},
                 [["branch3x3_1", "branch3x3_2"], [f"branch7x7x3_{i}" for i in (1, 2, 3, 4)],
                  [lambda x: F.max_pool2d(x, 3, 2)]])


def block_e(ci, pool):
    wide, tall = dict(kernel=(1, 3), padding=(0, 1)), dict(kernel=(3, 1), padding=(1, 0))
    return Block({"branch1x1": Conv(ci, 320, 1), "branch3x3_1": Conv(ci, 384, 1),
                  "branch3x3_2a": Conv(384, 384, **wide), "branch3x3_2b": Conv(384, 384, **tall),
                  "branch3x3dbl_1": Conv(ci, 448, 1), "branch3x3dbl_2": Conv(448, 384, 3, padding=1),
                  "branch3x3dbl_3a": Conv(384, 384, **wide), "branch3x3dbl_3b": Conv(384, 384, **tall),
                  "branch_pool": Conv(ci, 192, 1)},
                 [["branch1x1"], ["branch3x3_1", (["branch3x3_2a"], ["branch3x3_2b"])],
                  ["branch3x3dbl_1", "branch3x3dbl_2", (["branch3x3dbl_3a"], ["branch3x3dbl_3b"])],
                  [pool, "branch_pool"]])


class FidInception(nn.Sequential):
    def __init__(self):
        super().__init__()
        for name, module in {
            "Conv2d_1a_3x3": Conv(3, 32, 3, stride=2), "Conv2d_2a_3x3": Conv(32, 32, 3),
            "Conv2d_2b_3x3": Conv(32, 64, 3, padding=1), "pool1": nn.MaxPool2d(3, 2),
            "Conv2d_3b_1x1": Conv(64, 80, 1), "Conv2d_4a_3x3": Conv(80, 192, 3), "pool2": nn.MaxPool2d(3, 2),
            "Mixed_5b": block_a(192, 32), "Mixed_5c": block_a(256, 64), "Mixed_5d": block_a(288, 64),
            "Mixed_6a": block_b(288), "Mixed_6b": block_c(768, 128), "Mixed_6c": block_c(768, 160),
            "Mixed_6d": block_c(768, 160), "Mixed_6e": block_c(768, 192), "Mixed_7a": block_d(768),
            "Mixed_7b": block_e(1280, mean), "Mixed_7c": block_e(2048, lambda x: F.max_pool2d(x, 3, 1, 1)),
            "pool3": nn.AdaptiveAvgPool2d(1),
        }.items():
            self.add_module(name, module)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    out = parser.parse_args().out
    net = FidInception().eval()
    state = net.state_dict()
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        u = torch.from_numpy(drawn(name, tensor.numel())).reshape(tensor.shape)
        if name.endswith("conv.weight"):
            u = (2 * u - 1) * (6 / tensor[0].numel()) ** 0.5
        elif name.endswith(("bn.weight", "running_var")):
            u = 0.75 + 0.5 * u
        else:
            u = 0.4 * (u - 0.5)
        tensor.copy_(u)
    record = {}
    with torch.no_grad():
        for name, shape in {"colour": (1, 40, 33, 3), "large": (1, 310, 350, 3)}.items():
            images = torch.from_numpy((drawn(name, int(np.prod(shape))) * 256).astype(np.uint8).astype(np.float32)).reshape(shape)
            x = F.interpolate(images.permute(0, 3, 1, 2) / 255, (299, 299), mode="bilinear", align_corners=False)
            record[name] = net(2 * x - 1).flatten(1).contiguous()
            print(name, record[name].mean(), record[name].std(), (record[name] == 0).float().mean())
    save_file(record, out)


if __name__ == "__main__":
    main()
