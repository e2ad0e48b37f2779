# SPDX-License-Identifier: MIT
"""The small networks of introductory tutorials, in PyTorch and with its default initial values.

haze's point_mlp, conv_denoiser and linear_denoiser are held against these. Images are [N,C,H,W] here.
"""
import torch
from torch import nn


def with_time(x, t):
    """x and one more channel that is t/1000 everywhere."""
    n, _, h, w = x.shape
    return torch.cat([x, (t / 1000)[:, None, None, None].expand(n, 1, h, w)], 1)


class PointMlp(nn.Module):
    """Points as images of 1x1; a vector per t is learned for each of three layers."""

    def __init__(self, channels, hidden, steps):
        super().__init__()
        widths = [channels, hidden, hidden, hidden, channels]
        self.linears = nn.ModuleList()
        for k, (a, b) in enumerate(zip(widths, widths[1:])):
            self.linears.append(nn.Linear(a, b))
            if k < 3:
                self.linears.append(nn.ReLU())
        self.step_embeddings = nn.ModuleList(nn.Embedding(steps, hidden) for _ in range(3))

    def forward(self, x, t):
        h = x.flatten(1)
        for k, embedding in enumerate(self.step_embeddings):
            h = self.linears[2 * k + 1](self.linears[2 * k](h) + embedding(t))
        return self.linears[6](h).view_as(x)


class ConvDenoiser(nn.Module):
    def __init__(self, channels, widths):
        super().__init__()
        self.conv1 = nn.Conv2d(channels + 1, widths[0], 3, padding=1)
        self.conv2 = nn.Conv2d(widths[0], widths[1], 3, padding=1)
        self.conv3 = nn.Conv2d(widths[1], widths[2], 3, padding=1)
        self.conv4 = nn.Conv2d(widths[2], channels, 3, padding=1)

    def forward(self, x, t):
        h = with_time(x, t)
        for conv in (self.conv1, self.conv2, self.conv3):
            h = torch.relu(conv(h))
        return self.conv4(h)


class LinearDenoiser(nn.Module):
    """The image after two convolutions is flattened with its pixels' channels side by side."""

    def __init__(self, channels, hidden, size):
        super().__init__()
        values = channels * size[0] * size[1]
        self.conv1 = nn.Conv2d(channels + 1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, channels, 3, padding=1)
        self.fc1 = nn.Linear(values, hidden)
        self.fc2 = nn.Linear(hidden, values)

    def forward(self, x, t):
        n, c, h, w = x.shape
        y = torch.relu(self.conv2(torch.relu(self.conv1(with_time(x, t)))))
        y = torch.relu(self.fc1(y.permute(0, 2, 3, 1).flatten(1)))
        return self.fc2(y).view(n, h, w, c).permute(0, 3, 1, 2)
