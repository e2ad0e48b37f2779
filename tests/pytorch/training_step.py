#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One training step of a haze configuration in PyTorch: the peer of scripts/bench-cpu and bench-pytorch.

Does what one haze step does: x_t from x_0, drawn t and noise, forward, mean squared error, backward,
gradient clipping, Adam (fused), EMA. Prints one JSON object. Needs torch; never needed to build or
test haze.
"""
import argparse
import json
import pathlib
import resource
import time

import torch
from labml_unet import LabmlUNet


def network_of(model):
    if model["type"] == "ddpm_unet":
        from ddpm_unet import DdpmUNet
        return DdpmUNet(model)
    return LabmlUNet(
        image_channels=model["image_channels"], n_channels=model["n_channels"],
        ch_mults=model["ch_mults"], is_attn=model["is_attn"], n_blocks=model["n_blocks"],
        norm_groups=model.get("norm_groups", 32))


def convolutions(net, x, t):
    """Every convolution of a step, forward and backward, as onednn_convolutions reads them."""
    lines, first = [], [True]

    def note(module, inputs, output):
        (n, ci, h, w), (_, co, ho, wo) = inputs[0].shape, output.shape
        kh, kw = module.kernel_size
        s, (ph, pw) = module.stride[0], module.padding
        if isinstance(module, torch.nn.ConvTranspose2d):  # the data gradient of a convolution
            ci, h, w, co, ho, wo = co, ho, wo, ci, h, w
            passes = {"forward": "data", "data": "forward", "weights": "weights"}
        else:
            passes = {"forward": "forward", "data": "data", "weights": "weights"}
        end_h, end_w = (ho - 1) * s + kh - h - ph, (wo - 1) * s + kw - w - pw
        wanted = ["forward", "weights"] + ([] if first[0] else ["data"])  # images need no gradient
        first[0] = False
        for p in wanted:
            lines.append([passes[p], n, ci, h, w, co, ho, wo, kh, kw, s, ph, pw, end_h, end_w])

    hooks = [m.register_forward_hook(note) for m in net.modules()
             if isinstance(m, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))]
    with torch.no_grad():
        net(x, t)
    for hook in hooks:
        hook.remove()
    return lines


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--config", required=True)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--steps", type=int, default=12)
    p.add_argument("--warmup", type=int, default=4)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--channels-last", action="store_true")
    p.add_argument("--compile", action="store_true")
    p.add_argument("--autotune", action="store_true", help="compile with mode max-autotune")
    p.add_argument("--graph", action="store_true", help="the whole step as one CUDA graph")
    p.add_argument("--device", default="cpu")
    p.add_argument("--size", type=int, default=0, help="height and width instead of the configuration's")
    p.add_argument("--bf16", action="store_true")
    p.add_argument("--tf32", action="store_true")
    p.add_argument("--convolutions", action="store_true", help="list them and stop")
    a = p.parse_args()
    config = json.loads(pathlib.Path(a.config).read_text())
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    net = network_of(config["model"])
    h, w = [a.size, a.size] if a.size else config["data"]["image_size"]
    cuda = a.device.startswith("cuda")
    if cuda:
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = a.tf32
    images = torch.randint(0, 256, (4096, config["model"]["image_channels"], h, w), dtype=torch.uint8)
    steps = config["diffusion"]["steps"]
    if a.convolutions:
        print(json.dumps(convolutions(net, torch.zeros(a.batch, images.shape[1], h, w),
                                      torch.zeros(a.batch, dtype=torch.long))))
        return
    net, images = net.to(a.device), images.to(a.device)
    if a.channels_last:
        net = net.to(memory_format=torch.channels_last)
    train = config["train"]
    weights = list(net.parameters())
    ema = [q.detach().clone() for q in weights]
    adam = torch.optim.Adam(weights, lr=train["learning_rate"], fused=True,
                            capturable=cuda)
    alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, steps), 0).to(a.device)
    forward = net
    if a.compile or a.autotune:
        forward = torch.compile(net, mode="max-autotune-no-cudagraphs" if a.autotune else None)

    def step():
        x0 = images[torch.randint(0, len(images), (a.batch,), device=a.device)].float() / 127.5 - 1
        t = torch.randint(0, steps, (a.batch,), device=a.device)
        noise = torch.randn_like(x0)
        bar = alpha_bar[t].view(-1, 1, 1, 1)
        x = bar.sqrt() * x0 + (1 - bar).sqrt() * noise
        if a.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        adam.zero_grad(set_to_none=not a.graph)
        with torch.autocast(a.device.split(":")[0], dtype=torch.bfloat16, enabled=a.bf16):
            predicted = forward(x, t)
        loss = torch.nn.functional.mse_loss(predicted.float(), noise)
        loss.backward()
        if train.get("grad_clip", 0):
            torch.nn.utils.clip_grad_norm_(weights, train["grad_clip"])
        adam.step()
        if train.get("ema_decay", 0):
            torch._foreach_lerp_(ema, [q.detach() for q in weights], 1 - train["ema_decay"])
        return loss

    if a.graph:  # PyTorch's recipe: warm up on a side stream, then capture
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = step()

        def step():
            graph.replay()
            return captured

    for _ in range(a.warmup):
        step().item()
    seconds = []
    for _ in range(a.steps):
        start = time.perf_counter()
        step().item()  # as haze does: the loss is read every step
        seconds.append(time.perf_counter() - start)
    if cuda:
        peak = torch.cuda.max_memory_reserved() / 2**20
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"milliseconds": [1e3 * s for s in seconds], "torch": torch.__version__,
                      "peak_mib": peak}))


if __name__ == "__main__":
    main()
