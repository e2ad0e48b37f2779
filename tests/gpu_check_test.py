#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/gpu-check from end to end, with stand-ins for the machine's tools and for haze's programs: whatever of them hangs,
is slow, fails or is missing, the time is kept, the rest is run, and the report says what was not.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOOLS = ("sh", "sleep", "cat", "env", "mkdir", "basename")  # that the stand-ins need
PROGRAMS = ("haze", "gpu_test", "kernels_test", "engine_test", "model_test")
GPU = "Stand-in, sm_90, 132 multiprocessors"
SLACK = 15  # seconds that a busy machine may take to start, to end and to pack

# Does what the file NAME.how beside it says; first it tells who it is, so that the test knows whether it is gone.
HEAD = """#!/bin/sh
here={room}
name=$(basename "$0")
[ "$name $1" = "haze info" ] && name=haze-info
echo $$ >> $here/pids
echo "$name threads=$OMP_NUM_THREADS cublas=$CUBLAS_ROOT debug=$HAZE_DEBUG" >> $here/seen
how=
[ -e $here/$name.how ] && how=$(cat $here/$name.how)
case "$how" in
  hang) exec sleep 600 ;;
  slow) sleep 0.3 ;;
  fail) echo "$name is broken" >&2; exit 3 ;;
esac
"""
HAZE = """
out= json= words=$1-$2
while [ $# -gt 0 ]; do
  case "$1" in --out) out=$2 ;; --json) json=1 ;; --steps) steps=$2 ;; esac
  shift
done
case "$words" in
  info-*) printf 'haze       0.1.0 (0123), Release build\\ndevices    cpu: one\\n           cuda: %s\\n' "$(cat $here/gpu)" ;;
  bench-kernels) echo '{"results": [{"kernel": "mse", "impl": "v1", "shape": "n=1", "difference": DIFFERENCE}],' > "$out"
    echo '"timers": {"empty_hot_ns": 2000, "empty_cold_ns": 5000, "lengthy_hot_ns": HOT, "lengthy_cold_ns": 1e6}}' >> "$out" ;;
  bench-step|bench-sample)
    [ -z "$json" ] || echo '{"milliseconds": [2, 2]}'
    [ -z "$out" ] || echo '{"shared_memory": {"kernel": "greedy of '$words'", "bytes": 90112, "limit": LIMIT}}' > "$out" ;;
  bench-*) ;;
  train-*)
    mkdir -p "$out/checkpoints"; echo same > "$out/checkpoints/a.safetensors"
    i=0; while [ $i -lt $steps ]; do echo '{"loss": 0.5}'; i=$((i + 1)); done > "$out/metrics.jsonl" ;;
esac
"""


def haze_stand_in(difference="0.001", hot="1010000", limit="101376"):
    return HAZE.replace("DIFFERENCE", difference).replace("HOT", hot).replace("LIMIT", limit)


class GpuCheck(unittest.TestCase):
    def setUp(self):
        self.room = pathlib.Path(tempfile.mkdtemp(prefix="gpu-check-test-"))
        self.bin, self.build, self.out = (self.room / name for name in ("bin", "build", "out"))
        for folder in (self.bin, self.build, self.room / "packages/torch", self.room / "packages/nvidia/cu13/include"):
            folder.mkdir(parents=True)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        (self.room / "packages/torch/__init__.py").write_text("print('{\"milliseconds\": [3, 3]}')\nraise SystemExit\n")
        (self.room / "packages/nvidia/cu13/include/cublasLt.h").touch()
        (self.room / "gpu").write_text(GPU)
        for program in PROGRAMS:
            self.stand_in(self.build / program, haze_stand_in() if program == "haze" else "")
        self.stand_in(self.bin / "compute-sanitizer")
        self.stand_in(self.bin / "nvidia-smi", 'echo "Stand-in, 580.1, 1000 MHz, 2000 MHz, 900 MHz, 700 W, Enabled"\n')
        self.stand_in(self.bin / "ldd")

    def tearDown(self):
        for pid in self.alive():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.room)

    def stand_in(self, path, body=""):
        path.write_text(HEAD.format(room=self.room) + body)
        path.chmod(0o755)

    def how(self, words):
        """How programs behave: {name: hang, slow or fail}."""
        for name, word in words.items():
            (self.room / f"{name}.how").write_text(word)

    def alive(self):
        """Stand-ins that still run."""
        pids = map(int, (self.room / "pids").read_text().split()) if (self.room / "pids").exists() else []
        return [p for p in pids if pathlib.Path(f"/proc/{p}/cmdline").exists()
                and b"\0600\0" in pathlib.Path(f"/proc/{p}/cmdline").read_bytes()]

    def check(self, total):
        """Runs gpu-check; its exit code, output, and the report's rows in their order, as name -> result."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CUBLAS", "CUDNN", "OMP_", "HAZE_"))}
        begun = time.monotonic()
        done = subprocess.run([sys.executable, ROOT / "scripts/gpu-check", self.out, self.build], capture_output=True, text=True,
                              env={**kept, "PATH": str(self.bin), "PYTHONPATH": str(self.room / "packages"),
                                   "HAZE_GPU_CHECK_SECONDS": str(total)})
        self.took = time.monotonic() - begun
        self.assertLess(self.took, total + SLACK, done.stderr)
        self.assertEqual(self.alive(), [], "a program was left behind")
        report = self.out / "report.md"
        self.report = report.read_text() if report.exists() else ""
        rows = dict(re.findall(r"^\| (\S+) \| (.*?) \| \d+ \|$", self.report, re.M))
        return done.returncode, done.stdout + done.stderr, rows

    def test_all_is_well(self):
        code, said, rows = self.check(300)
        self.assertEqual(code, 0, said + self.report)
        self.assertEqual(set(rows.values()), {"ok"})
        order = list(rows)
        for name in ("ptx", "kernels", "engine", "model", "compare-mnist", "compare-ddpm-cifar10", "bench-kernels-bf16",
                     "bench-step-ddpm-cifar10-bf16", "bench-sample", "bench-pytorch", "same-bytes", "bench-twice", "bench-large"):
            self.assertIn(name, order)
        self.assertEqual(order[-5:], ["memcheck", "memcheck-steps", "racecheck", "synccheck", "initcheck"])
        for name in ("ptx-translated", "bench-first-launch"):
            self.assertIn(name, order)
        images = [c.stem for c in (ROOT / "apps/configs").glob("*.json") if json.loads(c.read_text())["data"].get("image_size")]
        for config in images:
            self.assertIn(f"| {config} | tf32 | greedy of bench-s", self.report)
        self.assertEqual(self.report.count(" | 90112 | 101376 | yes |"), 3 * len(images))
        log = (self.out / "same-bytes.log").read_text()
        for word in ("CUDA_LAUNCH_BLOCKING=1", "HAZE_DEBUG=no-graphs", "HAZE_DEBUG=streamed-data", "HAZE_DEBUG=separate-memory"):
            self.assertIn(f"env {word} {self.build}/haze train", log)
        self.assertRegex(self.report, r"## bench-first-launch\n\n(.*\n)*\[\d+\.\d\d s: env CUDA_CACHE_PATH=\S+ CUDA_FORCE_PTX_JIT=1 ")
        for config in (ROOT / "apps/configs").glob("*.json"):
            for precision in ("f32", "tf32", "bf16"):
                self.assertIn(f"{config.stem}-{precision}", order)
        for text in (GPU, "SM at most 2000 MHz", "ECC Enabled", "1.50 x as fast", "| tf32 | 0.0e+00 |"):
            self.assertIn(text, self.report)
        seen = (self.room / "seen").read_text()
        self.assertIn("kernels_test threads=2 ", seen)
        self.assertRegex(seen, r"compute-sanitizer threads= cublas=\S+ debug=separate-memory\n")
        self.assertIn(f"cublas={self.room}/packages/nvidia/cu13", seen)
        with tarfile.open(self.out / "gpu-check.tar.gz") as archive:
            names = {pathlib.Path(name).name for name in archive.getnames()}
        self.assertLessEqual({"report.md", "kernels.log", "bench-kernels-bf16.json", "bench-pytorch.json", "nvidia-smi.txt"}, names)

    def test_all_hang(self):
        self.how(dict.fromkeys((*PROGRAMS, "compute-sanitizer"), "hang"))
        code, _, rows = self.check(3)
        self.assertEqual(code, 1)
        self.assertTrue(all("FAILED: stopped" in r or "NOT RUN" in r for r in rows.values()), rows)
        self.assertIn("FAILED: stopped", rows["bench-kernels-bf16"])  # each step had its part
        self.assertIn("NOT RUN", rows["bench-large"])  # but no more than the whole
        self.assertRegex(self.report, "Not run, because the time was over: .*initcheck")

    def test_all_fail(self):
        self.how(dict.fromkeys((*PROGRAMS, "compute-sanitizer"), "fail"))
        code, _, rows = self.check(300)
        self.assertEqual(code, 1)
        self.assertTrue(all("FAILED" in r for r in rows.values()), rows)
        self.assertIn("kernels-waiting", rows)
        self.assertIn("## kernels failed: the end of its log\n\n```\nkernels_test is broken\n```", self.report)

    def test_one_hangs_results_differ_and_the_rest_is_run(self):
        self.how({"kernels_test": "hang"})
        self.stand_in(self.build / "haze", haze_stand_in("NaN").replace("echo same", "echo $$"))
        code, _, rows = self.check(40)
        self.assertEqual(code, 1)
        self.assertIn("FAILED: stopped", rows["kernels"])
        self.assertEqual((rows["ptx"], rows["engine"], rows["model"], rows["bench-sample"]), ("ok",) * 4)
        self.assertIn("FAILED: results differ: mse beside v1", rows["bench-kernels-bf16"])
        self.assertIn("FAILED: other bytes than the first run's: again, waiting, no-graphs, streamed-data, separate-memory",
                      rows["same-bytes"])

    def test_a_sanitizer_that_refuses_the_gpu_is_no_failure(self):
        self.stand_in(self.bin / "compute-sanitizer", 'echo "========= Error: Device not supported"; exit 1\n')
        code, said, rows = self.check(300)
        self.assertEqual(code, 0, said)
        for name in ("memcheck", "memcheck-steps", "initcheck"):
            self.assertEqual(rows[name], "SKIPPED: compute-sanitizer says: Device not supported")

    def test_clocks_that_disagree_and_too_little_shared_memory_are_said(self):
        self.stand_in(self.build / "haze", haze_stand_in(hot="1200000", limit="81920"))
        code, _, rows = self.check(300)
        self.assertEqual(code, 1)
        self.assertIn("FAILED: a kernel takes 1200000 ns hot and 1000000 ns cold", rows["bench-kernels-bf16"])
        self.assertIn(" | 90112 | 81920 | NO |", self.report)

    def test_without_nvidia_smi_the_rest_is_run(self):
        (self.bin / "nvidia-smi").unlink()
        self.how({"haze": "slow"})
        _, _, rows = self.check(3)
        self.assertEqual(rows["ptx"], "ok")
        self.assertIn("nvidia-smi does not answer", self.report)
        self.assertIn(GPU, self.report)

    def test_an_nvidia_smi_that_hangs_takes_little_time(self):
        self.how({"nvidia-smi": "hang", "haze": "hang"})
        _, _, rows = self.check(3)
        self.assertEqual(rows["ptx"], "ok")

    def refused(self, *words):
        code, said, rows = self.check(300)
        self.assertEqual((code, rows), (1, {}))
        self.assertEqual(len(said.splitlines()), 1, said)
        for word in ("gpu-check: ", *words):
            self.assertIn(word, said)

    def test_no_gpu_is_one_clear_line(self):
        (self.room / "gpu").write_text("--device: cuda:0; no NVIDIA GPU was found (no driver); use --device cpu")
        self.refused("haze sees no GPU", "no NVIDIA GPU was found")

    def test_a_lacking_library_is_one_clear_line(self):
        self.stand_in(self.bin / "ldd", 'printf "\\tlibdnnl.so.2 => not found\\n"\n')
        self.refused("libdnnl.so.2", "gpu-carry")

    def test_a_program_that_does_not_start_is_one_clear_line(self):
        self.how({"haze-info": "fail"})
        self.refused("haze info: exit code 3", "haze-info is broken")

    def test_lacking_programs_are_one_clear_line(self):
        (self.build / "kernels_test").unlink()
        self.refused("kernels_test")


def run(test):
    result = unittest.TestResult()
    test.run(result)
    return [f"{test.id()}: {text}" for _, text in result.failures + result.errors]


with concurrent.futures.ThreadPoolExecutor(4) as pool:  # they wait more than they compute
    wrong = sum(pool.map(run, unittest.defaultTestLoader.loadTestsFromTestCase(GpuCheck)), [])
print("\n".join(wrong) or "gpu-check keeps its time and says what it left out")
sys.exit(bool(wrong))
