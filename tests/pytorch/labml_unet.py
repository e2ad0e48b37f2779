# SPDX-License-Identifier: MIT
"""The labml U-Net in PyTorch, from its documented semantics. record.py holds it against records of the
original; training_step.py times it. Dropout is left out: every configuration here has none."""
import math

import torch
from torch import nn
from torch.nn import functional as F


class Residual(nn.Module):
    def __init__(self, cin, cout, groups, width):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups, cin), nn.Conv2d(cin, cout, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(groups, cout), nn.Conv2d(cout, cout, 3, padding=1)
        if cin != cout:
            self.shortcut = nn.Conv2d(cin, cout, 1)
        self.time_emb = nn.Linear(width, cout)

    def forward(self, x, temb):
        h = self.conv1(F.silu(self.norm1(x))) + self.time_emb(F.silu(temb))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.shortcut(x) if hasattr(self, "shortcut") else x)


class Attention(nn.Module):
    def __init__(self, c, groups):
        super().__init__()
        self.norm = nn.GroupNorm(groups, c)  # in the state dict, not in the computation
        self.projection, self.output = nn.Linear(c, 3 * c), nn.Linear(c, c)

    def forward(self, x):
        seq = x.flatten(2).transpose(1, 2)
        q, k, v = self.projection(seq).chunk(3, dim=-1)  # one head
        if x.is_cuda:
            mixed = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        else:
            mixed = (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).softmax(dim=-1) @ v
        return (self.output(mixed) + seq).transpose(1, 2).reshape(x.shape)


class Entry(nn.Module):
    """One entry of `down` or `up`: a residual block with or without attention, or a resampling."""

    def __init__(self, res=None, attn=None, conv=None):
        super().__init__()
        for name, part in (("res", res), ("attn", attn), ("conv", conv)):
            if part is not None:
                setattr(self, name, part)

    def forward(self, x, temb):
        if hasattr(self, "conv"):
            return self.conv(x)
        x = self.res(x, temb)
        return self.attn(x) if hasattr(self, "attn") else x


class LabmlUNet(nn.Module):
    def __init__(self, image_channels, n_channels, ch_mults, is_attn, n_blocks, norm_groups=32):
        super().__init__()
        n, g, width = n_channels, norm_groups, 4 * n_channels
        self.n = n
        self.image_proj = nn.Conv2d(image_channels, n, 3, padding=1)
        self.time_emb = nn.ModuleDict({"lin1": nn.Linear(n, width), "lin2": nn.Linear(width, width)})

        def block(cin, cout, attn):
            return Entry(Residual(cin, cout, g, width), Attention(cout, g) if attn else None)

        down, c, levels = [], n, list(zip(ch_mults, is_attn))
        for i, (mult, attn) in enumerate(levels):
            out = c * mult
            for _ in range(n_blocks):
                down.append(block(c, out, attn))
                c = out
            if i < len(levels) - 1:
                down.append(Entry(conv=nn.Conv2d(c, c, 3, 2, 1)))
        self.down = nn.ModuleList(down)
        self.middle = nn.ModuleDict({"res1": Residual(c, c, g, width), "attn": Attention(c, g),
                                     "res2": Residual(c, c, g, width)})
        up = []
        for i, (mult, attn) in reversed(list(enumerate(levels))):
            up += [block(2 * c, c, attn) for _ in range(n_blocks)]
            up.append(block(c + c // mult, c // mult, attn))
            c //= mult
            if i > 0:
                up.append(Entry(conv=nn.ConvTranspose2d(c, c, 4, 2, 1)))
        self.up = nn.ModuleList(up)
        self.norm = nn.GroupNorm(8, n)
        self.final = nn.Conv2d(c, image_channels, 3, padding=1)

    def forward(self, x, t):
        half = self.n // 2
        angle = t[:, None] * torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))
        temb = torch.cat([angle.sin(), angle.cos()], dim=1)
        temb = self.time_emb.lin2(F.silu(self.time_emb.lin1(temb.to(x.dtype))))
        x = self.image_proj(x)
        skips = [x]
        for entry in self.down:
            x = entry(x, temb)
            skips.append(x)
        x = self.middle.res2(self.middle.attn(self.middle.res1(x, temb)), temb)
        for entry in self.up:
            if not hasattr(entry, "conv"):
                x = torch.cat([x, skips.pop()], dim=1)
            x = entry(x, temb)
        return self.final(F.silu(self.norm(x)))
