#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records the variational bound for tests/model/likelihood_test.cpp.

    record_bound.py --out FILE.safetensors

Needs torch, diffusers and safetensors. The terms are computed in float64, as torch.distributions has
them: the KL divergence of two Gaussians, whose means are Ho et al.'s equations 7 and 11, and the
probability of a byte's interval. Networks: a formula, which the test has too, for every prediction
and variance; and the recorded U-Net labml_one_level.
"""
import argparse
import json
import math
import pathlib

import torch
from record import build
from safetensors.torch import load_file, save_file
from torch.distributions import Normal, kl_divergence

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"


def formula(x, t, learned):
    out = 0.6 * x + 0.3 * torch.sin(3 * x + t)
    return torch.cat([out, torch.cos(2 * x - t)], -1) if learned else out  # NHWC


def bound(images, noise, net, betas, prediction, variance, clip):
    """Terms [T] and prior, in bits per dimension. images [n,H,W,C] bytes, noise [T,n,H,W,C]."""
    x0 = images.double() / 127.5 - 1
    T, alphas = len(betas), 1 - betas
    bars = alphas.cumprod(0)
    before = torch.cat([torch.ones(1, dtype=torch.float64), bars[:-1]])
    tilde = betas * (1 - before) / (1 - bars)
    tilde[0] = tilde[1]
    terms = []
    for t in range(T):
        xt = (bars[t].sqrt() * x0 + (1 - bars[t]).sqrt() * noise[t].double()).float().double()
        out = net(xt, t)
        out, v = out.chunk(2, -1) if variance == "learned" else (out, None)
        said = {"eps": (xt - (1 - bars[t]).sqrt() * out) / bars[t].sqrt(), "x0": out,
                "v": bars[t].sqrt() * xt - (1 - bars[t]).sqrt() * out}[prediction]
        if clip:
            said = said.clamp(-1, 1)

        def mean(x):
            return (before[t].sqrt() * betas[t] * x + alphas[t].sqrt() * (1 - before[t]) * xt) / (1 - bars[t])

        if variance == "learned":
            sigma = torch.exp(((v + 1) / 2 * betas[t].log() + (1 - v) / 2 * tilde[t].log()) / 2)
        else:
            sigma = (tilde if variance == "beta_tilde" or t == 0 else betas)[t].sqrt().expand(x0.shape)
        model = Normal(mean(said), sigma)
        if t > 0:
            nats = kl_divergence(Normal(mean(x0), tilde[t].sqrt()), model)
        else:
            upper = torch.where(images == 255, torch.ones_like(x0), model.cdf(x0 + 1 / 255))
            lower = torch.where(images == 0, torch.zeros_like(x0), model.cdf(x0 - 1 / 255))
            nats = -(upper - lower).clamp(min=1e-12).log()
        terms.append(nats.mean() / math.log(2))
    last = Normal(bars[-1].sqrt() * x0, (1 - bars[-1]).sqrt())
    prior = kl_divergence(last, Normal(torch.zeros_like(x0), 1.0)).mean() / math.log(2)
    return torch.stack(terms), prior[None]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    out = parser.parse_args().out
    torch.manual_seed(1)
    T, shape = 7, (3, 5, 4, 2)
    betas = torch.linspace(1e-4, 0.3, T, dtype=torch.float64)
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    images[0, 0], images[1, 2] = 0, 255  # both open intervals
    noise = torch.randn(T, *shape)
    record = {"images": images.int(), "noise": noise}
    for prediction in ("eps", "x0", "v"):
        for variance in ("beta", "beta_tilde", "learned"):
            for clip in (False, True):
                learned = variance == "learned"
                terms, prior = bound(images, noise, lambda x, t: formula(x, t, learned), betas, prediction,
                                     variance, clip)
                record[f"{prediction}.{variance}.{'clip' if clip else 'free'}"] = terms
    record["prior"] = prior

    case = json.loads((FIXTURES / "labml_one_level.json").read_text())
    net = build(case["model"]).double()
    net.load_state_dict({k: v.double() for k, v in load_file(
        FIXTURES / "labml_one_level.weights.safetensors").items()})
    net.eval()
    channels, T = case["model"]["image_channels"], case["diffusion"]["steps"]
    d = case["diffusion"]
    betas = torch.linspace(d["beta_start"], d["beta_end"], T, dtype=torch.float64)
    images = torch.randint(0, 256, (2, 8, 8, channels), dtype=torch.uint8)
    noise = torch.randn(T, *images.shape)

    def call(x, t):
        with torch.no_grad():
            return net(x.permute(0, 3, 1, 2), torch.full((len(x),), t)).permute(0, 2, 3, 1)

    record |= {"unet.images": images.int(), "unet.noise": noise}
    for variance in ("beta", "beta_tilde"):
        record[f"unet.{variance}"], record["unet.prior"] = bound(
            images, noise, call, betas, "eps", variance, True)
    save_file({k: v.contiguous() for k, v in record.items()}, out)


if __name__ == "__main__":
    main()
