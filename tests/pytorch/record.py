#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records what PyTorch computes, for tests/model/verify_test.cpp and `haze verify`.

    record.py --reference DIR    holds labml_unet.py against records of the original
    record.py --out DIR          writes NAME.json and NAME.*.safetensors for every case
    record.py --keys             prints the table of tests/model/unet_test.cpp: names and shapes
                                         of well-known networks, as counts and a hash

Needs torch, diffusers and safetensors; building and testing haze needs none of them. The records are
those of the table in model/verify/verify.h. Weights are rounded to float16 before anything is computed, so
that they can be stored in half the space; biases and affine parameters are perturbed, so that a
mix-up shows. Everything is computed in float32 on the CPU from fixed seeds.

forward and grad records also say how far a bfloat16 run of PyTorch is from the truth (bf16_errors).
"""
import argparse
import copy
import json
import math
import pathlib
import sys

import torch
from labml_unet import LabmlUNet
from safetensors.torch import load_file, save_file
from tutorial_networks import ConvDenoiser, LinearDenoiser, PointMlp
from torch import nn
from torch.nn import functional as F

BETA = (1e-4, 0.02)


def diffusers_unet(model):
    from diffusers import UNet2DModel

    kinds = model["attention"]
    unet = UNet2DModel(
        in_channels=model["image_channels"], out_channels=model["image_channels"],
        block_out_channels=model["block_out_channels"], layers_per_block=model["layers_per_block"],
        down_block_types=["AttnDownBlock2D" if a else "DownBlock2D" for a in kinds],
        up_block_types=["AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(kinds)],
        attention_head_dim=model["attention_head_dim"] or None, norm_eps=model["norm_eps"],
        norm_num_groups=model["norm_groups"], downsample_padding=model["downsample_padding"],
        flip_sin_to_cos=model["flip_sin_to_cos"], freq_shift=model["freq_shift"], dropout=0.0)

    class Sample(nn.Module):  # the tensor alone, so that both families are called alike
        def __init__(self):
            super().__init__()
            self.unet = unet

        def forward(self, x, t):
            return self.unet(x, t).sample

        def named_parameters(self, *args, **kwargs):
            return self.unet.named_parameters(*args, **kwargs)

        def state_dict(self, *args, **kwargs):
            return self.unet.state_dict(*args, **kwargs)

    return Sample()


def build(model, size=None, steps=None):
    """size and steps: what the networks of tutorials are made for."""
    if model["type"] == "ddpm_unet":
        return diffusers_unet(model)
    if model["type"] == "point_mlp":
        return PointMlp(model["image_channels"], model["hidden"], steps)
    if model["type"] == "conv_denoiser":
        return ConvDenoiser(model["image_channels"], model["widths"])
    if model["type"] == "linear_denoiser":
        return LinearDenoiser(model["image_channels"], model["hidden"], size)
    keys = ("image_channels", "n_channels", "ch_mults", "is_attn", "n_blocks", "norm_groups")
    return LabmlUNet(**{k: model[k] for k in keys if k in model})


# ---- records -------------------------------------------------------------------------------------

class Diffusion:
    def __init__(self, steps):
        self.beta = torch.linspace(*BETA, steps)
        self.alpha = 1 - self.beta
        self.alpha_bar = self.alpha.cumprod(0)

    def noised(self, x0, t, noise):
        ab = self.alpha_bar[t][:, None, None, None]
        return ab.sqrt() * x0 + (1 - ab).sqrt() * noise

    def loss(self, net, x0, t, noise):
        return F.mse_loss(noise, net(self.noised(x0, t, noise), t).to(noise.dtype))

    def chain(self, net, x, z):
        """labml's p_sample: sigma² = beta, noise in the last step too, no clipping."""
        with torch.no_grad():
            for z_t, t in zip(z, reversed(range(len(self.beta)))):
                eps = net(x, torch.full((len(x),), t))
                mean = (x - self.beta[t] / (1 - self.alpha_bar[t]).sqrt() * eps) / self.alpha[t].sqrt()
                x = mean + self.beta[t].sqrt() * z_t
        return x

    def scheduler_chain(self, net, x, z, config):
        """diffusers' DDPMScheduler with the noise of z in place of its own."""
        from diffusers import DDPMScheduler
        from diffusers.schedulers import scheduling_ddpm

        scheduler = DDPMScheduler(
            len(self.beta), *BETA, clip_sample=config["clip_x0"],
            variance_type="fixed_large" if config["variance"] == "beta" else "fixed_small")
        noise = iter(z)
        scheduling_ddpm.randn_tensor = lambda *args, **kwargs: next(noise)
        with torch.no_grad():
            for t in scheduler.timesteps:
                x = scheduler.step(net(x, t.repeat(len(x))), t, x).prev_sample
        return x


def gradients(net, loss):
    names, parameters = zip(*net.named_parameters())
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return {"grad." + n: g for n, g in zip(names, found) if g is not None}


# Points at which the errors of bfloat16 are taken: the recorded images times 1 - k/64.
BF16_POINTS = 8


def bf16_errors(net, compute, x, *rest):
    """bf16_error.NAME: the root mean square of what bfloat16 changes in tensor NAME of compute(net, x,
    *rest), over the tensor's elements and over BF16_POINTS points.

    The root mean square, because a bias has so few elements that the error of one run is a matter of
    luck (from a third to twice the mean), and absolute, because some gradients are zero but for
    rounding. The truth is float64. The peer is autocast on float32 weights, as people train and as
    haze does: what layers hand on and what is multiplied is bfloat16; weights, their gradients and
    sums are float32. A model of bfloat16 weights differs from it by less than its errors vary.
    The float32 numbers recorded beside must be the truth as far as bfloat16 can tell.
    """
    double, squares, noise = copy.deepcopy(net).double(), {}, {}
    for k in range(BF16_POINTS):
        at = x * (1 - k / 64)
        truth = compute(double, at.double(), *rest)
        single = compute(net, at, *rest)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = compute(net, at, *rest)
        for name, value in truth.items():
            for squared, other in (squares, found), (noise, single):
                error = (other[name].double() - value).square().mean()
                squared[name] = squared.get(name, 0) + error / BF16_POINTS
    assert all(noise[name] < 1e-4 * squares[name] for name in squares)
    return {"bf16_error." + name: s.sqrt().float().reshape(1) for name, s in squares.items()}


def train(net, diffusion, x0, t, noise, eps=1e-8):
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, eps=eps)
    losses = []
    for batch in zip(x0, t, noise):
        adam.zero_grad()
        loss = diffusion.loss(net, *batch)
        loss.backward()
        adam.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def largest_difference(a, b):
    return (a - b).abs().max().item()


def check_against_reference(folder):
    """LabmlUNet must reproduce the original's records before what it computes is recorded."""
    worst = 0.0
    for config in sorted(folder.glob("*.json")):
        settings, stem = json.loads(config.read_text()), str(config)[: -len(".json")]
        net, diffusion = LabmlUNet(**settings["unet"]), Diffusion(settings["n_steps"])
        weights = load_file(stem + ".weights.safetensors")
        net.load_state_dict(weights)

        r = load_file(stem + ".forward.safetensors")
        with torch.no_grad():
            found = [("eps", largest_difference(net(r["x"], r["t"]), r["eps"]))]
        r = load_file(stem + ".grad.safetensors")
        loss = diffusion.loss(net, r["x0"], r["t"], r["noise"])
        ours = gradients(net, loss)
        assert set(ours) == {k for k in r if k.startswith("grad.")}, "other gradients"
        found.append(("loss", abs(loss.item() - r["loss"].item())))
        found += [(k, largest_difference(g, r[k]) / r[k].abs().max().item() / 10) for k, g in ours.items()]
        r = load_file(stem + ".sample.safetensors")
        found.append(("x_0", largest_difference(diffusion.chain(net, r["x_T"], r["z"]), r["x_0"])))
        r = load_file(stem + ".train.safetensors")
        losses = train(net, diffusion, r["x0"], r["t"], r["noise"])
        found.append(("losses", largest_difference(losses, r["loss"])))
        name, error = max(found, key=lambda f: f[1])
        print(f"{config.stem}: {len(found)} tensors, largest error {error:.2e} ({name})")
        worst = max(worst, error)
    return worst < 1e-4


def record(out, name, case):
    torch.manual_seed(case["seed"])
    model, settings = case["model"], case["diffusion"]
    net, diffusion = build(model, case["size"], settings["steps"]), Diffusion(settings["steps"])
    with torch.no_grad():
        for key, p in net.named_parameters():
            if p.dim() == 1:
                p += 0.1 * torch.randn_like(p)
            p.copy_(p.half().float())
    shape = (case["batch"], model["image_channels"], *case["size"])
    randn = lambda *lead: torch.randn(*lead, *shape)
    times = lambda *lead: torch.randint(settings["steps"], (*lead, shape[0]))
    save = lambda kind, tensors: save_file(
        {k: v.detach().contiguous() for k, v in tensors.items()}, out / f"{name}.{kind}.safetensors",
        {"format": "pt"})

    dropout = {"dropout": 0.0} if model["type"].endswith("unet") else {}
    config = {"model": {**model, **dropout}, "diffusion": {
        "schedule": "linear", "beta_start": BETA[0], "beta_end": BETA[1], **settings}}
    (out / f"{name}.json").write_text(json.dumps(config, indent=2) + "\n")
    save("weights", {k: v.half() for k, v in net.state_dict().items()})
    x, t = randn(), times()
    with torch.no_grad():
        outputs = lambda net, x: {"eps": net(x, t)}
        save("forward", {"x": x, "t": t, **outputs(net, x), **bf16_errors(net, outputs, x)})
    if "grad" in case["records"]:
        x0, t, noise = randn().clamp(-1, 1), times(), randn()

        def outputs(net, x0):
            loss = diffusion.loss(net, x0, t, noise.to(x0.dtype))
            return {"loss": loss.reshape(1), **gradients(net, loss)}

        save("grad", {"x0": x0, "t": t, "noise": noise, **outputs(net, x0),
                      **bf16_errors(net, outputs, x0)})
    if "sample" in case["records"]:
        x, z = randn(), randn(settings["steps"])
        if model["type"] != "ddpm_unet":
            x0 = diffusion.chain(net, x, z)
        else:
            z[-1] = 0  # the scheduler adds no noise at t = 0
            x0 = diffusion.scheduler_chain(net, x, z, settings)
        save("sample", {"x_T": x, "z": z, "x_0": x0})
    if "train" in case["records"]:
        x0, t, noise = randn(5).clamp(-1, 1), times(5), randn(5)
        # So small a network has gradients that are zero but for rounding (a bias before a norm over
        # one channel, the keys' bias); the default eps would make steps of their signs.
        eps = 1e-4
        save("train", {"x0": x0, "t": t, "noise": noise, "adam_eps": torch.tensor([eps]),
                       "loss": train(net, diffusion, x0, t, noise, eps)})
        save("trained", net.state_dict())


# ---- cases ---------------------------------------------------------------------------------------

def labml(c, mults, attn, blocks, size, records, seed):
    return {"seed": seed, "batch": 2, "size": size, "records": records,
            "model": {"type": "labml_unet", "image_channels": c, "n_channels": 8, "ch_mults": mults,
                      "is_attn": attn, "n_blocks": blocks, "norm_groups": 4},
            "diffusion": {"steps": 8, "variance": "beta"}}


def ddpm(c, widths, attn, layers, head, padding, flip, shift, eps, size, records, seed, **diffusion):
    return {"seed": seed, "batch": 2, "size": size, "records": records,
            "model": {"type": "ddpm_unet", "image_channels": c, "block_out_channels": widths,
                      "attention": attn, "layers_per_block": layers, "attention_head_dim": head,
                      "norm_groups": 4, "norm_eps": eps, "downsample_padding": padding,
                      "flip_sin_to_cos": flip, "freq_shift": shift},
            "diffusion": {"steps": 8, "variance": "beta", **diffusion}}


def tutorial(kind, c, size, records, seed, batch=3, steps=300, **model):
    return {"seed": seed, "batch": batch, "size": size, "records": records,
            "model": {"type": kind, "image_channels": c, **model},
            "diffusion": {"steps": steps, "variance": "beta"}}


CASES = {
    "labml_rgb_rect": labml(3, [1, 2], [True, False], 1, (8, 12), ["sample"], 1),
    "labml_mults_113": labml(2, [1, 1, 3], [False, True, False], 1, (16, 12), [], 2),
    "labml_two_blocks": labml(2, [1, 1], [True, True], 2, (6, 8), ["grad"], 3),
    "labml_three_blocks": labml(1, [1, 1], [False, True], 3, (6, 10), [], 4),
    "labml_one_level": labml(2, [1], [True], 1, (5, 7), ["grad", "train"], 5),
    "ddpm_google": ddpm(3, [8, 12], [True, False], 1, 0, 0, False, 1, 1e-6, (8, 8), ["grad", "sample"],
                        6, clip_x0=True),
    "ddpm_class_default": ddpm(2, [8, 12], [False, True], 1, 4, 1, True, 0, 1e-5, (8, 12), ["grad"], 7),
    "ddpm_three_levels": ddpm(1, [8, 8, 12], [False, True, False], 2, 4, 0, True, 1, 1e-5, (16, 12), [], 8),
    "ddpm_every_level": ddpm(3, [8, 8], [True, True], 2, 0, 1, False, 0, 1e-6, (12, 8), ["sample"], 9,
                             variance="beta_tilde", clip_x0=False),
    "point_mlp": tutorial("point_mlp", 2, (1, 1), ["grad"], 10, batch=37, steps=7, hidden=19),
    "conv_denoiser": tutorial("conv_denoiser", 1, (5, 7), ["grad"], 11, widths=[6, 9, 5]),
    "linear_denoiser": tutorial("linear_denoiser", 3, (5, 4), ["grad"], 12, hidden=17),
}


def known_networks():
    """The standard configurations of both systems: only names and shapes matter here."""
    def tutorial(channels, *attn):
        return {"type": "labml_unet", "image_channels": channels, "n_channels": 64,
                "ch_mults": [1, 2, 2, 4], "is_attn": attn, "n_blocks": 2}

    def unet2d(widths, *attn, head=0):
        return ddpm(3, widths, list(map(bool, attn)), 2, head, 1, False, 1, 1e-6, (32, 32), [], 0)["model"]

    wide = [128, 128, 256, 256, 512, 512]
    return {
        "labml experiment": tutorial(3, False, False, False, True),
        "labml experiment, MNIST": tutorial(1, False, False, False, True),
        "labml class default": tutorial(3, False, False, True, True),
        "google/ddpm-cifar10-32": unet2d([128, 256, 256, 256], 0, 1, 0, 0),
        "google/ddpm-celebahq-256": unet2d(wide, 0, 0, 0, 0, 1, 0),
        "UNet2DModel class default": unet2d([224, 448, 672, 896], 0, 1, 1, 1, head=8),
    }


def print_keys():
    for name, model in known_networks().items():
        with torch.device("meta"):
            shapes = {k: list(v.shape) for k, v in build({**model, "norm_groups": 32}).state_dict().items()}
        lines = "".join(f"{k} {str(v).replace(' ', '')}\n" for k, v in sorted(shapes.items()))
        digest = 0xCBF29CE484222325  # FNV-1a
        for byte in lines.encode():
            digest = (digest ^ byte) * 0x100000001B3 % 2**64
        elements = sum(math.prod(v) for v in shapes.values())
        print(f'{{"{name}", {len(shapes)}, {elements}, {digest:#018x}}},')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--reference", type=pathlib.Path, help="folder with records of the original")
    parser.add_argument("--out", type=pathlib.Path, help="folder to write records to")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES, help="only these")
    parser.add_argument("--keys", action="store_true", help="print names and shapes as a table")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.reference and not check_against_reference(args.reference):
        return 1
    if args.keys:
        print_keys()
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        for name in args.cases:
            record(args.out, name, CASES[name])
        for path in args.out.glob("*.safetensors"):
            path.chmod(0o644)  # save_file leaves them to their owner alone
    return 0


if __name__ == "__main__":
    sys.exit(main())
