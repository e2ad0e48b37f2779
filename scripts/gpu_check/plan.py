# SPDX-License-Identifier: MIT
"""The time plan of gpu-check: what runs, for how long at most, and what the report says of it."""
import dataclasses
import os
import pathlib
import signal
import subprocess
import tarfile
import time

SECONDS = 530  # that the limits of the steps are made for; another total scales them
TAIL = 30  # lines of a failed step's log that the report shows


@dataclasses.dataclass(frozen=True)
class Step:
    """Commands that run in turn as one row of the report, their output in NAME.log."""

    name: str
    seconds: float  # at most, of SECONDS
    commands: list
    environment: dict = dataclasses.field(default_factory=dict)
    group: str = ""  # steps of one group share the seconds that Plan.groups gives it
    refused: str = ""  # in the log of a failed step: the tool cannot do this here, which says nothing of haze
    check: object = None  # called when all commands have succeeded; returns what is wrong, or nothing


class Plan:
    """Runs steps until `total` seconds are over; every row is in OUT/report.md as soon as it is known."""

    def __init__(self, out, total, groups):
        self.out, self.scale = pathlib.Path(out), total / SECONDS
        self.started = time.monotonic()
        self.deadline = self.started + total
        self.left_in = {name: seconds * self.scale for name, seconds in groups.items()}
        self.failed, self.not_run = [], []
        self.report = open(self.out / "report.md", "w", buffering=1)

    def left(self):
        return self.deadline - time.monotonic()

    def write(self, text):
        print(text, file=self.report)

    def row(self, name, result, seconds=0.0):
        line = f"| {name} | {result} | {seconds:.0f} |"
        self.write(line)
        print(line, flush=True)

    def skip(self, name, why):
        self.row(name, f"SKIPPED: {why}")

    def limit(self, step):
        """Seconds that the step may take from now on."""
        return min(step.seconds * self.scale, self.left_in.get(step.group, float("inf")), self.left())

    def run(self, step):
        """Runs the step unless its time is over already; True if all went well."""
        limit, begun = self.limit(step), time.monotonic()
        if limit <= 0:
            self.not_run.append(step.name)
            self.row(step.name, "NOT RUN: the time is over")
            return False
        log = self.out / f"{step.name}.log"
        with open(log, "w") as file:
            result = self.result_of(step, begun + limit, file)
        took = time.monotonic() - begun
        if step.group in self.left_in:
            self.left_in[step.group] -= took
        if result and step.refused and step.refused in log.read_text(errors="replace"):
            self.skip(step.name, f"{pathlib.Path(step.commands[0][0]).name} says: {step.refused}")
            return False
        if result:
            self.failed.append(step.name)
            result = f"FAILED: {result}, see {log.name}"
        self.row(step.name, result or "ok", took)
        return not result

    def result_of(self, step, until, file):
        for command in step.commands:
            begun = time.monotonic()
            status = self.status_of(command, step.environment, until, file)
            if len(step.commands) > 1:
                print(f"[{time.monotonic() - begun:.2f} s: {' '.join(map(str, command))}]", file=file, flush=True)
            if status is None:
                return "stopped, its time was over"
            if status:
                return f"exit code {status}"
        try:
            return step.check() if step.check else None
        except (OSError, ValueError, KeyError) as wrong:
            return f"no result to judge ({wrong})"

    def status_of(self, command, environment, until, file):
        """The exit code, or None where it had to be stopped; then with all that it started."""
        try:
            child = subprocess.Popen([str(word) for word in command], stdout=file, stderr=subprocess.STDOUT,
                                     stdin=subprocess.DEVNULL, env={**os.environ, **environment}, start_new_session=True)
        except OSError as wrong:
            print(wrong, file=file)
            return 127
        try:
            return child.wait(max(until - time.monotonic(), 0.01))
        except subprocess.TimeoutExpired:
            return None
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()

    def finish(self):
        """The end of the report, and the archive of everything in OUT."""
        for name in self.failed:
            lines = (self.out / f"{name}.log").read_text(errors="replace").splitlines()
            self.write(f"\n## {name} failed: the end of its log\n\n```\n" + "\n".join(lines[-TAIL:]) + "\n```")
        for log in sorted(self.out.glob("*.log")):
            if log.stem.startswith(("bench", "compare")) and log.stem not in self.failed:
                self.write(f"\n## {log.stem}\n\n{log.read_text(errors='replace')}")
        if self.not_run:
            self.write("\nNot run, because the time was over: " + ", ".join(self.not_run) + ".")
        self.write(f"\nAll of it took {time.monotonic() - self.started:.0f} seconds.")
        self.report.close()
        with tarfile.open(self.out / "gpu-check.tar.gz", "w:gz") as archive:
            for file in sorted(self.out.iterdir()):
                if file.suffix in (".md", ".log", ".json", ".txt"):
                    archive.add(file, f"gpu-check/{file.name}")
