#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records distances between sets of features for tests/model/distances_test.cpp.

    record_metrics.py --out FILE.safetensors

Needs torch and safetensors. Everything is computed in float64 by the formulas as the papers have
them, each in another way than haze's where there is one: the root of a matrix by its eigenvectors,
kernels by explicit pairs, one-dimensional transport by repeating samples to a common number.
"""
import argparse
import math

import torch
from safetensors.torch import save_file


def moments(x):
    return x.mean(0), torch.cov(x.T)


def root(c):
    values, vectors = torch.linalg.eigh(c)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def frechet(a, b):
    (ma, ca), (mb, cb) = moments(a), moments(b)
    cross = torch.linalg.eigvalsh(root(ca) @ cb @ root(ca)).clamp(min=0).sqrt().sum()
    return (ma - mb).square().sum() + ca.trace() + cb.trace() - 2 * cross


def kid(a, b):
    n, d = a.shape

    def mean(x, y, same):
        pairs = [(x[i] @ y[j] / d + 1) ** 3 for i in range(n) for j in range(n) if not (same and i == j)]
        return sum(pairs) / len(pairs)

    return mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)


def sliced_wasserstein(a, b, directions):
    n = math.lcm(len(a), len(b))
    pa = (a @ directions.T).repeat_interleave(n // len(a), 0).sort(0).values
    pb = (b @ directions.T).repeat_interleave(n // len(b), 0).sort(0).values
    return (pa - pb).square().mean().sqrt()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    out = parser.parse_args().out
    torch.manual_seed(1)
    record = {}
    # Correlated, of unequal scales and far from zero; "few" has fewer images than dimensions.
    for name, (n, m, d) in {"many": (60, 45, 12), "few": (9, 7, 24)}.items():
        mix_a, mix_b = torch.randn(d, d), torch.randn(d, d)
        scale = torch.logspace(-2, 1, d)
        a = (torch.randn(n, d) @ mix_a * scale + 3 * scale).float()
        b = (torch.randn(m, d) @ mix_b * scale - scale).float()
        directions = torch.nn.functional.normalize(torch.randn(16, d), dim=1).float()
        a64, b64, d64 = a.double(), b.double(), directions.double()
        in_a, in_b = torch.randperm(n)[: m - 1], torch.randperm(m)[: m - 1]
        mean, covariance = moments(a64)
        record |= {
            f"{name}.a": a, f"{name}.b": b, f"{name}.directions": directions,
            f"{name}.in_a": in_a.int(), f"{name}.in_b": in_b.int(),
            f"{name}.mean": mean, f"{name}.covariance": covariance,
            f"{name}.frechet": frechet(a64, b64)[None],
            f"{name}.kid": kid(a64[in_a], b64[in_b])[None],
            f"{name}.sliced_wasserstein": sliced_wasserstein(a64, b64, d64)[None],
        }
    # A symmetric matrix with a triple eigenvalue, eigenvalues of both signs and 0.
    q = torch.linalg.qr(torch.randn(23, 23, dtype=torch.float64)).Q
    values = torch.linspace(-2, 5, 23, dtype=torch.float64)
    values[3:6], values[9] = 0.5, 0
    matrix = (q * values) @ q.T
    record |= {"eigen.matrix": (matrix + matrix.T) / 2, "eigen.values": values.sort().values}
    save_file({k: v.contiguous() for k, v in record.items()}, out)


if __name__ == "__main__":
    main()
