#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records whole chains of diffusers' schedulers for tests/model/samplers_test.cpp.

    record_samplers.py --out tests/fixtures/samplers.safetensors

Needs torch, diffusers and safetensors. The "network" is a formula of x and t that the test computes
too, so that a record holds x_T, z and where each scheduler ends. Its name says how it was made:
    SAMPLER.PREDICTION.SPACING.S[.eta-E][.clip[.rederive]][.variance-V]
Everything is in float32, as the schedulers compute; the formula in float64.
"""
import argparse

import diffusers
import torch
from diffusers.schedulers import scheduling_ddim, scheduling_ddpm
from safetensors.torch import save_file

T, SHAPE, MOST = 1000, (2, 3, 4, 3), 50
PREDICTION = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}


ALPHA_BAR = (1 - torch.linspace(1e-4, 0.02, T, dtype=torch.float64)).cumprod(0)


def answer(x, t, prediction, learned):
    """An image predicted from x, spelled as the network of that kind would."""
    x, t = x.double(), int(t)
    x0 = 0.6 * torch.tanh(x) + 0.2 * torch.sin(2 * x + t / 200)
    a, s = ALPHA_BAR[t].sqrt(), (1 - ALPHA_BAR[t]).sqrt()
    eps = (x - a * x0) / s
    out = {"eps": eps, "x0": x0, "v": a * eps - s * x0}[prediction]
    return torch.cat([out, torch.tanh(x / 2 + t / T)], 1).float() if learned else out.float()


def scheduler(sampler, prediction, spacing, clip, variance):
    common = dict(num_train_timesteps=T, beta_start=1e-4, beta_end=0.02, beta_schedule="linear",
                  prediction_type=PREDICTION[prediction], timestep_spacing=spacing)
    if sampler == "ddpm":
        kinds = {"beta": "fixed_large", "beta_tilde": "fixed_small", "learned": "learned_range"}
        return diffusers.DDPMScheduler(clip_sample=clip, variance_type=kinds[variance], **common)
    if sampler == "ddim":
        return diffusers.DDIMScheduler(clip_sample=clip, **common)
    if sampler == "heun":
        return diffusers.HeunDiscreteScheduler(clip_sample=clip, **common)
    return diffusers.DPMSolverMultistepScheduler(algorithm_type="dpmsolver++", solver_order=2,
                                                 **common)


def chain(x, z, sampler, prediction, spacing, steps, eta=0.0, clip=False, variance="beta",
          rederive=False):
    s = scheduler(sampler, prediction, spacing, clip, variance)
    s.set_timesteps(steps)
    noise = iter(z)
    for module in (scheduling_ddim, scheduling_ddpm):
        module.randn_tensor = lambda *args, **kwargs: next(noise)
    if sampler == "heun":  # in its own variables x/sqrt(alpha_bar)
        x = x * (s.sigmas[0] ** 2 + 1).sqrt()
    for t in s.timesteps:
        out = answer(s.scale_model_input(x, t), t, prediction, variance == "learned")
        more = {"eta": eta, "use_clipped_model_output": rederive} if sampler == "ddim" else {}
        x = s.step(out, t, x, **more).prev_sample
    return x


def cases():
    for prediction in PREDICTION:
        for clip in (False, True):
            yield dict(sampler="ddpm", prediction=prediction, spacing="leading", steps=20, clip=clip)
        for spacing in ("leading", "trailing"):
            yield dict(sampler="ddim", prediction=prediction, spacing=spacing, steps=10)
            yield dict(sampler="ddim", prediction=prediction, spacing=spacing, steps=20, eta=0.7,
                       clip=True)
            yield dict(sampler="ddim", prediction=prediction, spacing=spacing, steps=20, eta=0.7,
                       clip=True, rederive=True)
        for spacing in ("linspace", "leading", "trailing"):
            yield dict(sampler="dpmpp", prediction=prediction, spacing=spacing, steps=20)
        for spacing in ("leading", "trailing"):
            yield dict(sampler="heun", prediction=prediction, spacing=spacing, steps=10)
    yield dict(sampler="heun", prediction="eps", spacing="trailing", steps=10, clip=True)
    yield dict(sampler="dpmpp", prediction="eps", spacing="linspace", steps=3)
    # Not DDIM in 7 trailing steps: diffusers takes t - T//7 for the time before t, haze the next of
    # the chain. Not DDPM with learned variances and trailing: diffusers adds noise in a last step
    # from t > 0 too.
    yield dict(sampler="ddim", prediction="eps", spacing="leading", steps=50, eta=1.0)
    for variance in ("beta_tilde", "learned"):
        yield dict(sampler="ddpm", prediction="eps", spacing="leading", steps=10, variance=variance)


def name(c):
    text = ".".join(str(c[k]) for k in ("sampler", "prediction", "spacing", "steps"))
    if "eta" in c:
        text += f".eta-{c['eta']}"
    if c.get("clip"):
        text += ".clip" + (".rederive" if c.get("rederive") else "")
    return text + (f".variance-{c['variance']}" if "variance" in c else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True)
    out = parser.parse_args().out
    generator = torch.Generator().manual_seed(7)
    x_T, z = torch.randn(SHAPE, generator=generator), torch.randn((MOST, *SHAPE), generator=generator)
    record = {"x_T": x_T, "z": z}
    for case in cases():
        record[name(case)] = chain(x_T, z, **case)
        print(name(case), record[name(case)].abs().max().item())
    save_file({k: v.contiguous() for k, v in record.items()}, out)


if __name__ == "__main__":
    main()
