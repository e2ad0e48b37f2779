#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records terms of the variational bound for tests/kernels/variational_bound_test.cpp.

    record_bound_terms.py --out tests/fixtures/variational_bound.safetensors

Needs torch and safetensors. Everything is computed in float64 from inputs that float32 holds, the
gradient by autograd with the mean detached. All Gaussians and their distribution function are
exact; published code often has a tanh in the place of the latter.

  kl.*    items of a linear schedule's T = 1000 with learned variances, at five of its times
  bins.*  one value each: bytes x0, means and variances from wide bins to far tails, at t = 0
"""
import argparse
import math

import torch
from safetensors.torch import save_file

TIMES = [0, 1, 10, 500, 999]


def exactly(x):
    """float64 values that float32 holds."""
    return x.float().double()


def mass(x0, mean, log_variance):
    """What N(mean, exp(log_variance)) puts on the bin of x0, of 255 steps over [-1, 1]."""
    inverse, half = torch.exp(-log_variance / 2), 1 / 255
    a, b = (x0 - mean - half) * inverse, (x0 - mean + half) * inverse
    a = torch.where(x0 < -1 + half, -math.inf, a)
    b = torch.where(x0 > 1 - half, math.inf, b)
    low, high = torch.where(a + b < 0, -b, a), torch.where(a + b < 0, -a, b)  # the small tails
    return (torch.erfc(low / math.sqrt(2)) - torch.erfc(high / math.sqrt(2))) / 2


def terms(table, t, x0, x_t, out, v):
    """L_t per value; table [.., 6] as BoundStep, t [n] its rows."""
    c = [k.view(-1, *[1] * (x0.dim() - 1)) for k in table[t].unbind(-1)]
    guess = (c[0] * x_t + c[1] * out).clamp(-1, 1).detach()
    f = (v + 1) / 2
    log_variance = f * c[5] + (1 - f) * c[4]
    gap = log_variance - c[3]
    kl = (torch.expm1(-gap) + gap + (c[2] * (x0 - guess)) ** 2 * torch.exp(-log_variance)) / 2
    nll = -torch.log(mass(x0, guess, log_variance).clamp(min=1e-12))
    return torch.where((t == 0).view(-1, *[1] * (x0.dim() - 1)), nll, kl)


def linear_table():
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    bar = (1 - beta).cumprod(0)
    before = torch.cat([torch.ones(1, dtype=torch.float64), bar[:-1]])
    posterior = beta * (1 - before) / (1 - bar)
    posterior[0] = posterior[1]  # the least variance at t = 0, whose own is 0
    rows = [1 / bar.sqrt(), -((1 - bar) / bar).sqrt(), before.sqrt() * beta / (1 - bar),
            posterior.log(), posterior.log(), beta.log()]
    return exactly(torch.stack(rows, -1)[TIMES]), bar[TIMES]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    path = parser.parse_args().out
    torch.manual_seed(1)
    save = {}

    table, bar = linear_table()
    n, shape = len(TIMES), (len(TIMES), 4, 5, 3)
    t = torch.arange(n)
    x0 = exactly((2 * torch.randint(0, 256, shape).double() - 255) / 255)
    eps = torch.randn(shape, dtype=torch.float64)
    a, s = bar.sqrt().view(-1, 1, 1, 1), (1 - bar).sqrt().view(-1, 1, 1, 1)
    x_t = exactly(a * x0 + s * eps)
    out = exactly(eps + 0.1 * torch.randn(shape, dtype=torch.float64))
    v = exactly(torch.randn(shape, dtype=torch.float64)).requires_grad_()
    values = terms(table, t, x0, x_t, out, v)
    values.mean().backward()
    save |= {"kl.table": table, "kl.x0": x0, "kl.x_t": x_t, "kl.out": torch.cat([out, v.detach()], -1),
             "kl.terms": values.mean((1, 2, 3)), "kl.gradient": v.grad}

    # log variance = -14 + 12 f in steps of 1/16 of f, which float32 halves and adds exactly.
    table = torch.tensor([[0, 1, 1, 0, -14, -2]], dtype=torch.float64)
    byte, f, z = torch.meshgrid(torch.tensor([0, 1, 100, 254, 255]).double(),
                                torch.arange(0, 17, dtype=torch.float64) / 16,
                                torch.tensor([-6.5, -4, -2.5, -1, -0.3, 0, 0.7, 1.7, 2.5, 5, 6.9]).double(),
                                indexing="ij")
    x0 = exactly((2 * byte.flatten() - 255) / 255)
    v, z = 2 * f.flatten() - 1, z.flatten()
    mean = exactly(x0 - z * torch.exp(-7 + 6 * f.flatten()))
    keep = mean.abs() < 1  # the range limits the others
    x0, v, mean = x0[keep].view(-1, 1), v[keep].view(-1, 1).requires_grad_(), mean[keep].view(-1, 1)
    t = torch.zeros(len(x0), dtype=torch.int64)
    values = terms(table, t, x0, mean * 0, mean, v)
    values.sum().backward()
    save |= {"bins.table": table, "bins.x0": x0, "bins.out": torch.cat([mean, v.detach()], -1),
             "bins.terms": values, "bins.gradient": v.grad}
    least = torch.exp(-values.detach())
    print(f"{len(x0)} bins, probabilities from {least.min():.1e}, {(least < 2e-12).sum()} below 2e-12")
    save_file({k: x.detach().float().contiguous() for k, x in save.items()}, path)


main()
