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
TIMERS = 0.1  # how far both clocks may be apart for a kernel of a millisecond
LAUNCH = 5e4  # nanoseconds that an empty kernel may seem to take: what the host needs to launch one is not to be in it
REFUSED = "Device not supported"  # by compute-sanitizer, of GPUs behind some kinds of virtual machine
SHAPES = ["--shape", "n=64,h=32,c=64", "--shape", "n=64,h=16,c=128", "--shape", "n=64,h=8,c=256"]


class Steps:
    """Commands for the programs in `build`, their results in `out`, run folders in `room`."""

    def __init__(self, build, out, room, peers, gpus):
        self.build, self.out, self.room, self.peers, self.gpus = build, out, room, peers, gpus
        self.haze = build / "haze"
        self.asked = []  # (configuration, precision, files that say what shared memory its steps asked for)

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
        yield Step("ptx-translated", 40, [[self.build / "gpu_test"]], {**TESTS, "CUDA_FORCE_PTX_JIT": "1"})
        yield self.first_launch()

    def configurations(self, precision):
        """A few steps of training and of sampling of each shipped configuration."""
        for file in sorted(CONFIGS.glob("*.json")):
            common = ["--config", file.stem, "--precision", precision]
            if json.loads(file.read_text())["data"].get("image_size"):
                said = [self.room / f"{file.stem}-{precision}-{what}.json" for what in ("step", "sample")]
                self.asked.append((file.stem, precision, said))
                commands = [[self.haze, "bench", "step", *common, "--batch", "2", "--warmup", "1", "--steps", "3", "--out", said[0]],
                            [self.haze, "bench", "sample", *common, "--batch", "1", "--steps", "3", "--out", said[1]]]
            else:  # points
                run = self.room / f"{file.stem}-{precision}"
                commands = [[self.haze, "train", *common, "--out", run, "--steps", "4", "-q"],
                            [self.haze, "sample", "--checkpoint", run, "--n", "1", "--out", run / "one.png", "-q"]]
            yield Step(f"{file.stem}-{precision}", 15, commands, group=f"{precision} of each configuration")

    def shared_memory(self):
        """The table of what each configuration's greediest kernel asks of a block, beside what the GPU gives one."""
        rows = ["\n## Shared memory of a block\n", "| configuration | precision | kernel | bytes | of | fits |", "|---|---|---|---|---|---|"]
        for config, precision, files in self.asked:
            try:
                most = max((json.loads(file.read_text())["shared_memory"] for file in files), key=lambda use: use["bytes"])
                rows.append(f"| {config} | {precision} | {most['kernel']} | {most['bytes']} | {most['limit']} | "
                            f"{'yes' if most['bytes'] <= most['limit'] else 'NO'} |")
            except (OSError, ValueError, KeyError):
                rows.append(f"| {config} | {precision} | not known, see {config}-{precision}.log | | | |")
        return "\n".join(rows)

    def compare(self, config, seconds, steps):
        return Step(f"compare-{config}", seconds, [[sys.executable, ROOT / "scripts/compare-devices", self.haze, self.room,
                                                    "--config", config, "--steps", steps]])

    def bench(self, precision, kernels, step):
        table = self.out / f"bench-kernels-{precision}.json"
        yield Step(f"bench-kernels-{precision}", kernels, [[self.haze, "bench", "kernels", "--precision", precision, "--out", table,
                                                            *SHAPES]], self.peers, check=lambda: differing(table) or disagreeing(table))
        for config in ("ddpm-cifar10", "mnist", "labml"):
            name = f"bench-step-{config}-{precision}"
            yield Step(name, step, [[self.haze, "bench", "step", "--config", config, "--precision", precision,
                                     "--set", "data.image_size=[32,32]", "--batch", "64", "--steps", "30",
                                     "--out", self.out / f"{name}.json"]])

    def same_bytes(self):
        """The same 50 steps again, with every launch waited for, without graphs, with images that are sent, with memory of its
        own for every tensor, and on another GPU: the same bytes."""
        runs = [("once", {}, "cuda"), ("again", {}, "cuda"), ("waiting", {"CUDA_LAUNCH_BLOCKING": "1"}, "cuda")]
        runs += [(word, {"HAZE_DEBUG": word}, "cuda") for word in ("no-graphs", "streamed-data", "separate-memory")]
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

        return Step("same-bytes", 60, commands, check=check)

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

    def first_launch(self):
        """What a program's first step takes with an empty cache of translated code, with a full one, and from PTX."""
        step = [self.haze, "bench", "step", "--config", "demo", "--batch", "2", "--warmup", "0", "--steps", "1"]
        cache, other = (f"CUDA_CACHE_PATH={self.room / name}" for name in ("cache", "ptx-cache"))
        commands = [["env", cache, *step], ["env", cache, *step], ["env", other, "CUDA_FORCE_PTX_JIT=1", *step]]
        return Step("bench-first-launch", 60, commands)

    def waited(self, failed):
        """What failed among the tests once more, each launch waited for, so that a fault names its kernel."""
        for name in failed:
            if name in ("ptx", "kernels", "engine", "model"):
                program = "gpu_test" if name == "ptx" else f"{name}_test"
                yield Step(f"{name}-waiting", 40, [[self.build / program]], {**TESTS, "CUDA_LAUNCH_BLOCKING": "1"})

    def sanitizer(self, program, tool, seconds):
        """One small case list: under the sanitizer a kernel takes a hundred times as long."""
        return Step(tool, seconds, [[program, "--tool", tool, "--error-exitcode", "9", self.build / "kernels_test",
                                     "--gtest_filter=*BackendsMatchReference*"]], TESTS, refused=REFUSED)

    def sanitizers(self, program, seconds):
        """Of each its part of the seconds() that are left, in the plan's measure."""
        yield self.sanitizer(program, "memcheck", seconds() / 5)
        yield self.sanitized_steps(program, seconds() / 4)
        for i, tool in enumerate(("racecheck", "synccheck", "initcheck")):
            yield self.sanitizer(program, tool, seconds() / (3 - i))

    def sanitized_steps(self, program, seconds):
        """Whole steps of a network, each tensor of which has memory of its own: within the arena's blocks an access beyond a
        tensor's end is none beyond an allocation's."""
        commands = [[program, "--tool", "memcheck", "--error-exitcode", "9", self.haze, "bench", what, "--config", "mnist",
                     "--precision", "bf16", "--batch", "1", "--steps", "1", *more]
                    for what, more in (("step", ["--warmup", "0"]), ("sample", []))]
        return Step("memcheck-steps", seconds, commands, {"HAZE_DEBUG": "separate-memory"}, refused=REFUSED)


def disagreeing(table):
    """Whether the two clocks of the bench tell the same time."""
    said = json.loads(table.read_text()).get("timers")
    if not said:
        return None
    hot, cold, empty = said["lengthy_hot_ns"], said["lengthy_cold_ns"], max(said["empty_hot_ns"], said["empty_cold_ns"])
    if not abs(hot / cold - 1) <= TIMERS:
        return f"a kernel takes {hot:.0f} ns hot and {cold:.0f} ns cold, and touches no memory"
    return None if empty <= LAUNCH else f"an empty kernel takes {empty:.0f} ns"


def differing(table):
    """Which peers' results are not haze's."""
    rows = json.loads(table.read_text())["results"]
    wrong = [f"{r['kernel']} beside {r['impl']}, {r['shape']}: {r['difference']}" for r in rows if not r["difference"] <= DIFFERS]
    return f"results differ: {'; '.join(wrong)}" if wrong else None
