# SPDX-License-Identifier: MIT
"""The steps of gpu-check in their order: what is asked for first comes first."""
import json
import pathlib
import sys

from .plan import Step

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "apps/configs"
TESTS = {"OMP_NUM_THREADS": "2"}  # of networks too small for more: those wait for each other longer than they compute
GROUPS = {"f32 of each configuration": 50, "bf16 of each configuration": 45, "tf32 of each configuration": 40}
DIFFERS = 0.02  # root mean square over the result's: what computes the same stays below, as `haze bench kernels` has it
SHAPES = ["--shape", "n=64,h=32,c=64", "--shape", "n=64,h=16,c=128", "--shape", "n=64,h=8,c=256"]


class Steps:
    """Commands for the programs in `build`, their results in `out`, run folders in `room`."""

    def __init__(self, build, out, room, peers, gpus):
        self.build, self.out, self.room, self.peers, self.gpus = build, out, room, peers, gpus
        self.haze = build / "haze"

    def first(self):
        """Tests, launches, results and times: together within the plan's seconds."""
        yield Step("ptx", 20, [[self.build / "gpu_test"]], TESTS)
        yield Step("kernels", 50, [[self.build / "kernels_test"]], TESTS)
        yield Step("engine", 20, [[self.build / "engine_test"]], TESTS)
        yield Step("model", 60, [[self.build / "model_test"]], TESTS)
        yield from self.configurations("f32")
        yield from self.configurations("bf16")
        yield self.compare("mnist", 55, 100)
        yield self.compare("ddpm-cifar10", 35, 10)
        yield from self.bench("bf16", 60, 10)
        yield Step("bench-sample", 20, [[self.haze, "bench", "sample", "--config", "ddpm-cifar10", "--precision", "bf16",
                                         "--batch", "16", "--steps", "100"]])

    def pytorch(self, limit):
        return Step("bench-pytorch", 90, [[sys.executable, ROOT / "scripts/bench-pytorch", "--haze", self.haze, "--out", self.out,
                                           "--seconds", f"{0.95 * limit:.1f}"]])

    def then(self):
        """In the time that is left, before the sanitizers."""
        yield self.same_bytes()
        yield self.twice()
        yield from self.configurations("tf32")
        yield from self.bench("tf32", 45, 10)
        yield from self.bench("f32", 45, 10)
        yield self.large()
        if not (self.build / "lib/libhaze_cuda.so").exists():  # a carried build has no PTX for GPUs before sm_120
            yield Step("ptx-translated", 40, [[self.build / "gpu_test"]], {**TESTS, "CUDA_FORCE_PTX_JIT": "1"})

    def configurations(self, precision):
        """A few steps of training and of sampling of each shipped configuration."""
        for file in sorted(CONFIGS.glob("*.json")):
            common = ["--config", file.stem, "--precision", precision]
            if json.loads(file.read_text())["data"].get("image_size"):
                commands = [[self.haze, "bench", "step", *common, "--batch", "2", "--warmup", "1", "--steps", "3"],
                            [self.haze, "bench", "sample", *common, "--batch", "1", "--steps", "3"]]
            else:  # points
                run = self.room / f"{file.stem}-{precision}"
                commands = [[self.haze, "train", *common, "--out", run, "--steps", "4", "-q"],
                            [self.haze, "sample", "--checkpoint", run, "--n", "1", "--out", run / "one.png", "-q"]]
            yield Step(f"{file.stem}-{precision}", 15, commands, group=f"{precision} of each configuration")

    def compare(self, config, seconds, steps):
        return Step(f"compare-{config}", seconds, [[sys.executable, ROOT / "scripts/compare-devices", self.haze, self.room,
                                                    "--config", config, "--steps", steps]])

    def bench(self, precision, kernels, step):
        table = self.out / f"bench-kernels-{precision}.json"
        yield Step(f"bench-kernels-{precision}", kernels, [[self.haze, "bench", "kernels", "--precision", precision, "--out", table,
                                                            *SHAPES]], self.peers, check=lambda: differing(table))
        for config in ("ddpm-cifar10", "mnist", "labml"):
            name = f"bench-step-{config}-{precision}"
            yield Step(name, step, [[self.haze, "bench", "step", "--config", config, "--precision", precision,
                                     "--set", "data.image_size=[32,32]", "--batch", "64", "--steps", "30",
                                     "--out", self.out / f"{name}.json"]])

    def same_bytes(self):
        """The same 50 steps again, with every launch waited for, and on another GPU: the same bytes."""
        runs = [("once", {}, "cuda"), ("again", {}, "cuda"), ("waiting", {"CUDA_LAUNCH_BLOCKING": "1"}, "cuda")]
        if self.gpus > 1:
            runs.append(("other", {}, "cuda:1"))
        commands = [["env", *(f"{k}={v}" for k, v in more.items()), self.haze, "train", "--config", "mnist",
                     "--data", "synthetic:digits:2000", "--device", device, "--out", self.room / name, "--steps", "50", "-q",
                     "--set", "train.sample_every=0"] for name, more, device in runs]

        def check():
            bytes_of = {name: b"".join(f.read_bytes() for f in sorted((self.room / name).rglob("*.safetensors")))
                        for name, _, _ in runs}
            if not bytes_of["once"]:
                return "no checkpoint was written"
            other = [name for name, found in bytes_of.items() if found != bytes_of["once"]]
            return f"other bytes than the first run's: {', '.join(other)}" if other else None

        return Step("same-bytes", 40, commands, check=check)

    def twice(self):
        """The same times twice: hot, cold, and what they differ by from run to run."""
        tables = [self.out / f"bench-twice-{i}.json" for i in (1, 2)]
        runs = [[self.haze, "bench", "kernels", "--precision", "bf16", "-k", "mse,group_norm_swish.forward,conv3x3.forward",
                 "--shape", "n=64,h=16,c=128", "--out", table] for table in tables]
        return Step("bench-twice", 30, [*runs, [self.haze, "bench", "compare", *tables]])

    def large(self):
        """Products at the largest shapes of the networks, beside cuDNN and cuBLAS."""
        table = self.out / "bench-large.json"
        return Step("bench-large", 60, [[self.haze, "bench", "kernels", "--precision", "bf16", "-k", "conv3x3,conv1x1,matmul,attention",
                                         "--shape", "n=64,h=32,c=256", "--shape", "n=16,h=16,c=512", "--out", table]],
                    self.peers, check=lambda: differing(table))

    def waited(self, failed):
        """What failed among the tests once more, each launch waited for, so that a fault names its kernel."""
        for name in failed:
            if name in ("ptx", "kernels", "engine", "model"):
                program = "gpu_test" if name == "ptx" else f"{name}_test"
                yield Step(f"{name}-waiting", 40, [[self.build / program]], {**TESTS, "CUDA_LAUNCH_BLOCKING": "1"})

    def sanitizer(self, program, tool, seconds):
        """One small case list: under the sanitizer a kernel takes a hundred times as long."""
        return Step(tool, seconds, [[program, "--tool", tool, "--error-exitcode", "9", self.build / "kernels_test",
                                     "--gtest_filter=*BackendsMatchReference*"]], TESTS)


def differing(table):
    """Which peers' results are not haze's."""
    rows = json.loads(table.read_text())["results"]
    wrong = [f"{r['kernel']} beside {r['impl']}, {r['shape']}: {r['difference']}" for r in rows if not r["difference"] <= DIFFERS]
    return f"results differ: {'; '.join(wrong)}" if wrong else None
