# SPDX-License-Identifier: MIT
"""What gpu-check finds on a machine before it starts: the programs, their libraries, the GPU, and the peers' packages."""
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess

PROGRAMS = ("haze", "gpu_test", "kernels_test", "engine_test", "model_test")
QUERY = "name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit,ecc.mode.current"
CUDA = pathlib.Path("/usr/local/cuda/bin")


class Missing(Exception):
    """Why nothing can be checked here, in one line."""


def said(*command, seconds=20):
    """What a command printed, or None where it failed or took too long."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=seconds)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def tool(name):
    """A program of CUDA's, on PATH or in CUDA's own folder."""
    return shutil.which(name) or shutil.which(name, path=CUDA)


def build(folder, log):
    """Builds the preset cuda where the programs are not there yet."""
    if all((folder / program).exists() for program in PROGRAMS):
        return
    lacking = ", ".join(program for program in PROGRAMS if not (folder / program).exists())
    if folder.name != "cuda" or not shutil.which("cmake"):
        raise Missing(f"{folder} has no {lacking}" + ("" if shutil.which("cmake") else ", and there is no cmake to build it"))
    nvcc = os.environ.get("CUDACXX") or tool("nvcc")
    if not nvcc:
        raise Missing(f"{folder} has no {lacking}, and there is no nvcc on PATH or in {CUDA} to build it")
    with open(log, "w") as file:
        for command in (["cmake", "--preset", "cuda"], ["cmake", "--build", "--preset", "cuda"]):
            if subprocess.run(command, stdout=file, stderr=file, env={**os.environ, "CUDACXX": nvcc}).returncode:
                raise Missing(f"the build failed, see {log}")


def check_libraries(folder, log):
    """Every library that the programs ask the system for is there."""
    lacking = set()
    with open(log, "w") as file:
        for program in PROGRAMS:
            text = said("ldd", folder / program)
            file.write(f"{program}\n{text or ' ldd: not known'}\n")
            lacking |= set(re.findall(r"^\s*(\S+) => not found", text or "", re.M))
    if lacking:
        raise Missing(f"the programs in {folder} need {', '.join(sorted(lacking))}, which this machine lacks: "
                      "carry a build that has them (scripts/gpu-carry)")


def gpu(haze, log, seconds):
    """The first GPU as haze sees it, from `haze info`."""
    try:
        done = subprocess.run([str(haze), "info"], capture_output=True, text=True, timeout=seconds)
    except (OSError, subprocess.TimeoutExpired) as wrong:
        raise Missing(f"haze info does not run: {wrong}") from None
    log.write_text(done.stdout + done.stderr)
    if done.returncode:
        raise Missing(f"haze info: exit code {done.returncode}: {' '.join(done.stderr.split())[-300:]}")
    found = re.search(r"cuda: (.*)", done.stdout)
    if not found or ", sm_" not in found[1]:
        raise Missing(f"haze sees no GPU: {found[1] if found else 'it names no device cuda'}")
    return found[1]


def state(out, seconds):
    """One line of driver, clocks and ECC for the report, the whole in OUT; None without nvidia-smi."""
    text = said("nvidia-smi", "-q", "-d", "PERFORMANCE,CLOCK,ECC,POWER", seconds=seconds)
    (out / "nvidia-smi.txt").write_text((said("nvidia-smi", seconds=seconds) or "") + (text or ""))
    values = said("nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader", seconds=seconds)
    if not values or not values.strip():
        return None
    names = ("", "driver ", "SM now ", "SM at most ", "memory ", "power limit ", "ECC ")
    return ", ".join(name + value.strip() for name, value in zip(names, values.splitlines()[0].split(",")))


def count(seconds):
    """How many GPUs there are; 1 where nvidia-smi does not say."""
    return max(1, len(re.findall(r"^GPU \d", said("nvidia-smi", "-L", seconds=seconds) or "", re.M)))


def peers():
    """Environment in which haze finds cuDNN and cuBLAS where a Python package of NVIDIA's has them."""
    spec = importlib.util.find_spec("nvidia")
    folders = [pathlib.Path(p) for p in spec.submodule_search_locations] if spec and spec.submodule_search_locations else []
    found = {}
    for name, header in (("CUDNN_ROOT", "cudnn.h"), ("CUBLAS_ROOT", "cublasLt.h")):
        roots = [h.parents[1] for f in folders for h in sorted(f.glob(f"*/include/{header}"))]
        if roots and name not in os.environ:
            found[name] = str(roots[0])
    libraries = [str(p) for f in folders for p in sorted(f.glob("*/lib"))]
    if libraries:
        found["LD_LIBRARY_PATH"] = ":".join(filter(None, [os.environ.get("LD_LIBRARY_PATH"), *libraries]))
    return found


def has_torch():
    return importlib.util.find_spec("torch") is not None
