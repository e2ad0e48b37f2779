# SPDX-License-Identifier: MIT
"""The DDPM U-Net (Ho et al. 2020) in PyTorch, as diffusers' UNet2DModel computes it: only to be timed."""
import math

import torch
from torch import nn
from torch.nn import functional as F


class Residual(nn.Module):
    def __init__(self, cin, cout, groups, width, dropout):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups, cin, 1e-6), nn.Conv2d(cin, cout, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(groups, cout, 1e-6), nn.Conv2d(cout, cout, 3, padding=1)
        self.time, self.dropout = nn.Linear(width, cout), nn.Dropout(dropout)
        self.shortcut = nn.Conv2d(cin, cout, 1) if cin != cout else nn.Identity()

    def forward(self, x, temb):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(F.silu(temb))[:, :, None, None]
        h = self.conv2(self.dropout(F.silu(self.norm2(h))))
        return h + self.shortcut(x)


class Attention(nn.Module):
    def __init__(self, c, groups, head):
        super().__init__()
        self.norm, self.qkv, self.out = nn.GroupNorm(groups, c, 1e-6), nn.Linear(c, 3 * c), nn.Linear(c, c)
        self.heads = c // head if head else 1

    def forward(self, x):
        n, c, h, w = x.shape
        seq = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(seq).view(n, h * w, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, h * w, c)
        return x + self.out(mixed).transpose(1, 2).reshape(x.shape)


class Block(nn.Module):
    def __init__(self, cin, cout, groups, width, dropout, attention, head):
        super().__init__()
        self.residual = Residual(cin, cout, groups, width, dropout)
        self.attention = Attention(cout, groups, head) if attention else nn.Identity()

    def forward(self, x, temb):
        return self.attention(self.residual(x, temb))


class DdpmUNet(nn.Module):
    def __init__(self, model):
        super().__init__()
        widths, layers, groups = model["block_out_channels"], model["layers_per_block"], model.get("norm_groups", 32)
        dropout, head = model.get("dropout", 0), model.get("attention_head_dim", 0)
        attends = model["attention"]
        self.first = widths[0]
        width = 4 * widths[0]

        def block(cin, cout, attention):
            return Block(cin, cout, groups, width, dropout, attention, head)

        self.conv_in = nn.Conv2d(model["image_channels"], widths[0], 3, padding=1)
        self.time = nn.Sequential(nn.Linear(widths[0], width), nn.SiLU(), nn.Linear(width, width))
        self.down, skips, c = nn.ModuleList(), [widths[0]], widths[0]
        for i, w in enumerate(widths):
            for _ in range(layers):
                self.down.append(block(c, w, attends[i]))
                c = w
                skips.append(c)
            if i + 1 < len(widths):
                self.down.append(nn.Conv2d(c, c, 3, stride=2, padding=1))
                skips.append(c)
        self.middle = nn.ModuleList([block(c, c, True), block(c, c, False)])
        self.up = nn.ModuleList()
        for i, w in reversed(list(enumerate(widths))):
            for _ in range(layers + 1):
                self.up.append(block(c + skips.pop(), w, attends[i]))
                c = w
            if i > 0:
                self.up.append(nn.Conv2d(c, c, 3, padding=1))
        self.norm, self.conv_out = nn.GroupNorm(groups, c, 1e-6), nn.Conv2d(c, model["image_channels"], 3, padding=1)

    def forward(self, x, t):
        half = self.first // 2
        f = torch.exp(torch.arange(half, device=x.device) * (-math.log(10000) / (half - 1)))
        angle = t[:, None].float() * f
        temb = self.time(torch.cat([angle.sin(), angle.cos()], 1))
        x = self.conv_in(x)
        skips = [x]
        for part in self.down:
            x = part(x) if isinstance(part, nn.Conv2d) else part(x, temb)
            skips.append(x)
        for part in self.middle:
            x = part(x, temb)
        for part in self.up:
            if isinstance(part, nn.Conv2d):
                x = part(F.interpolate(x, scale_factor=2.0))
            else:
                x = part(torch.cat([x, skips.pop()], 1), temb)
        return self.conv_out(F.silu(self.norm(x)))
