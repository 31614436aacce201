"""Kills the running workflow at random moments, recovers as the README says, and compares with an undisturbed run.

    python tests/workflow/kills.py --kills 30 --seed 0

In: the checkout. Out: one line a kill, a summary, exit status 0 when nothing was lost or mixed. Four things are killed:
one process of a job (worker), all processes of a job (job), Snakemake with all of them (all), and Snakemake alone
(leader), whose jobs then live on beside those of the next call. What is checked:

    the same bytes in tables, completions, verdicts and weights as without any kill
    no temporary file left, every file can be read
    an output that Snakemake had recorded as finished before a kill is never made again; a further call does nothing
    a training goes on from its newest checkpoint, a sampling draws no completion that was stored
"""

import argparse
import base64
import collections
import contextlib
import gzip
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import checkouts  # noqa: E402
from checkouts import MICRO, Checkout, copy_of_tree  # noqa: E402

TARGET = "all"
STAGES = {
    "generate": "otr.data.micro", "pre-train": "otr.models", "subset": "otr.data.subsample", "train": "otr.train",
    "problems": "otr.evaluation.problems", "sample": "otr.evaluation.sample", "grade-math": "otr.evaluation.math",
    "grade-code": "otr.evaluation.code", "grade-general": "otr.evaluation.general",
    "table": "otr.tables", "report": "otr.report",
}  # fmt: skip
KINDS = ("worker", "job", "all", "leader")
SETTLE = 300
"""Seconds after which a workflow or an orphaned job that still runs counts as hanging."""


def reduced(checkout: Checkout) -> Checkout:
    """The default experiment, less of everything, with a resumable checkpoint after every step."""
    path = checkout.folder / MICRO
    text = re.sub(r"^    size: \d+", "    size: 256", checkouts.reduced(path.read_text()), flags=re.MULTILINE)
    path.write_text(re.sub(r"checkpoint_minutes: \S+", "checkpoint_minutes: 0.0001", text))
    return checkout


@dataclass
class Report:
    """What was killed, and what was found wrong."""

    kills: collections.Counter[tuple[str, str]] = field(default_factory=collections.Counter)
    """By kind and stage."""
    resumed_trainings: int = 0
    completions_kept: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(self.kills.values())

    def __str__(self) -> str:
        by_kind, by_stage = collections.Counter[str](), collections.Counter[str]()
        for (kind, stage), number in self.kills.items():
            by_kind[kind] += number
            by_stage[stage] += number
        return "\n".join(
            [
                f"{self.count} kills: {dict(by_kind)}; while these ran: {dict(by_stage)}",
                f"{self.resumed_trainings} trainings resumed, {self.completions_kept} completions kept",
                *(self.faults[:20] or ["nothing lost, nothing mixed"]),
            ]
        )


class Disturbed:
    """One checkout whose workflow is started, killed and started again until it is done."""

    def __init__(self, checkout: Checkout, seed: int, report: Report) -> None:
        self.folder, self.report = checkout.folder, report
        self.results = self.folder / "results"
        self.random = random.Random(seed)
        self.finished: dict[str, int] = {}
        """Modification times of outputs that Snakemake had recorded as finished at the last kill."""
        self.kept: dict[Path, int] = {}
        """Completions stored at the last kill, by folder of a benchmark's evaluation."""
        self.orphans: list[psutil.Process] = []
        self.calls = 0

    def run(self, most: int, longest: float) -> None:
        """Kill up to `most` times, each within `longest` seconds of a start; then let the workflow end."""
        flags: list[str] = []
        failures = 0
        while True:
            process, output = self._start(flags)
            kind = self._kill(process, longest) if self.report.count < most else None
            status = process.wait(SETTLE)
            self._check_resumed(output.read_text())
            self._check_finished()
            if status == 0:
                break
            if kind in ("all", "leader"):
                self._snakemake("--unlock")
                flags = ["--rerun-incomplete"]  # from now on: a call that is stopped may not have come to all of them
            elif kind is None:  # met a job of a killed Snakemake, which says so and gives up
                failures += 1
                text = output.read_text()
                if failures > 3 or "another process" not in text:
                    self.report.faults.append(f"call {self.calls} failed by itself: {text[-2000:]}")
                    return
                psutil.wait_procs(self.orphans, timeout=SETTLE)
        if psutil.wait_procs(self.orphans, timeout=SETTLE)[1]:
            self.report.faults.append("an orphaned job hangs")
        self._check_finished()

    def _start(self, flags: list[str]) -> tuple[subprocess.Popen[bytes], Path]:
        self.calls += 1
        output = self.folder / f"call-{self.calls}.txt"
        self._trainings = {
            step.parents[1]: _step(step) for step in sorted(self.results.glob("*/train/*/*/.resume/step-*"), key=_step)
        }
        command = [sys.executable, "-m", "snakemake", "--cores", "2", TARGET, *flags]
        with output.open("wb") as stream:
            started = subprocess.Popen(command, cwd=self.folder, stdout=stream, stderr=stream, start_new_session=True)
        return started, output

    def _snakemake(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "snakemake", TARGET, *arguments]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, timeout=SETTLE)

    def _kill(self, process: subprocess.Popen[bytes], longest: float) -> str | None:
        """Wait for a random moment and kill something; None when the workflow ended before."""
        kind, stage = self.random.choice(KINDS), self.random.choice(list(STAGES))
        end = time.monotonic() + self.random.uniform(0.1 * longest, longest)
        after = self.random.uniform(0, 0.2 * longest)
        while process.poll() is None and time.monotonic() < end:
            if stage in {self._stage(child) for child in _children(process.pid)}:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(after)
                break
            time.sleep(0.05)
        if process.poll() is not None:
            return None
        leader = psutil.Process(process.pid)
        jobs = [job for job in leader.children() if self._stage(job) is not None]
        everything = _children(process.pid)
        running = sorted({found for child in everything if (found := self._stage(child))}) or ["between jobs"]
        if kind in ("worker", "job"):
            if not jobs:
                return self._kill(process, longest)
            job = self.random.choice(jobs)
            running = [self._stage(job) or ""]
            inside = [job, *job.children(recursive=True)]
            _end([self.random.choice(inside)] if kind == "worker" else inside)
            self.orphans += [process for process in inside if process.is_running()]
        else:
            _end([leader, *(everything if kind == "all" else [])])
            self.orphans += everything if kind == "leader" else []
        for name in running:
            self.report.kills[kind, name] += 1 if name == running[0] else 0
        self._remember()
        print(f"kill {self.report.count}: {kind} during {', '.join(running)}", flush=True)
        return kind

    @staticmethod
    def _stage(process: psutil.Process) -> str | None:
        try:
            words = " ".join(process.cmdline())
        except psutil.Error:
            return None
        found = (name for name, module in STAGES.items() if re.search(rf"-m {re.escape(module)}\b(?!\.)", words))
        return next(found, None)

    def _remember(self) -> None:
        records = self.folder / ".snakemake" / "metadata"
        for record in (path for path in records.rglob("*") if path.is_file()):
            name = record.relative_to(records)
            output = self.folder / base64.b64decode("".join(name.parts).replace("@", "")).decode()
            started = (records.with_name("incomplete") / name).exists()
            if not started and json.loads(record.read_text()).get("endtime") and output.exists():
                self.finished.setdefault(str(output), output.stat().st_mtime_ns)
        living = self._sampled_by_orphans()
        for store in self.results.glob("*/eval/*/*/.store/*"):
            if store.parents[1] in living:  # drawn and counted by a process that goes on
                continue
            lines = sum(file.read_bytes().count(b"\n") for file in store.glob("*.lines"))
            self.kept[store.parents[1] / store.name] = lines

    def _sampled_by_orphans(self) -> set[Path]:
        """Folders of the evaluations whose sampling outlived the Snakemake that had started it."""
        found = set()
        for process in self.orphans:
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if self._stage(process) == "sample" and "--out" in words:
                    found.add(self.folder / words[words.index("--out") + 1])
        return found

    def _check_finished(self) -> None:
        for path, time_made in self.finished.items():
            output = Path(path)
            if not output.exists() or output.stat().st_mtime_ns != time_made:
                self.report.faults.append(f"{path} was finished and has been made again")
        self.finished = {path: made for path, made in self.finished.items() if Path(path).exists()}
        for folder, lines in self.kept.items():
            file = folder / "sampling.json"
            if not file.exists():
                continue
            made = json.loads(file.read_text())
            drawn, total = made["drawn_now"].get("completions", 0), _lines(folder / "samples.jsonl.gz")
            if drawn > total - lines:
                self.report.faults.append(f"{folder}: {lines} of {total} completions were stored, {drawn} drawn again")
            self.report.completions_kept += lines
        self.kept = {folder: lines for folder, lines in self.kept.items() if not (folder / "sampling.json").exists()}

    def _check_resumed(self, output: str) -> None:
        for found in re.finditer(r"train (\S+) (\S+): going on after step (\d+)", output):
            self.report.resumed_trainings += 1
            newest = next((n for run, n in self._trainings.items() if run.parts[-2:] == (found[1], found[2])), 0)
            if int(found[3]) < newest:
                self.report.faults.append(f"train {found[1]} {found[2]} went back from step {newest} to {found[3]}")
        started = set(re.findall(r"train (\S+) (\S+): \d+ examples", output))
        resumed = {(m[1], m[2]) for m in re.finditer(r"train (\S+) (\S+): going on after step", output)}
        for run in self._trainings:
            if run.parts[-2:] in started and run.parts[-2:] not in resumed and not self.orphans:
                # It may have been killed again before it came to say so.
                ended = re.search(rf"train {run.parts[-2]} {run.parts[-1]}: \d+ steps, loss", output)
                if ended:
                    self.report.faults.append(f"{run} had a checkpoint and started from zero")


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):  # ended by itself in this moment
            process.kill()


def _lines(path: Path) -> int:
    return gzip.decompress(path.read_bytes()).count(b"\n")


def compare(reference: Path, results: Path, report: Report) -> None:
    """The same files with the same results in two trees; nothing half-written in the second one."""
    for path in results.rglob("*"):
        if ".partial" in path.name:
            report.faults.append(f"{path} was left")
    deciding = ["*.md", "*/tables/*", "**/samples.jsonl.gz", "**/verdicts.jsonl.gz", "**/*.safetensors", "**/*.jsonl"]
    unlike = {"metrics.jsonl"}  # holds times
    for pattern in deciding:
        for expected in reference.glob(pattern):
            if expected.name in unlike or not expected.is_file():
                continue
            found = results / expected.relative_to(reference)
            if not found.exists() or found.read_bytes() != expected.read_bytes():
                report.faults.append(f"{found} differs from an undisturbed run's")
    names = {path.relative_to(reference) for path in reference.rglob("*") if ".resume" not in path.parts}
    for missing in sorted(names - {path.relative_to(results) for path in results.rglob("*")}):
        # Snakemake's own mark is gone where a job that outlived it wrote the same checkpoint once more.
        if ".store" not in missing.parts and missing.name != ".snakemake_timestamp":
            report.faults.append(f"{results / missing} is missing")
    _read_all(results, report)


def _read_all(results: Path, report: Report) -> None:
    import pandas as pd
    from safetensors.numpy import load_file

    readers = {".json": lambda path: json.loads(path.read_text()), ".parquet": pd.read_parquet}
    readers[".safetensors"] = load_file
    for path in results.rglob("*"):
        if not path.is_file() or path.stat().st_size == 0:
            continue
        try:
            if path.suffix in readers:
                readers[path.suffix](path)
            elif path.suffix in (".jsonl", ".gz"):
                raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
                [json.loads(line) for line in raw.splitlines()]
            elif path.suffix == ".png":
                assert path.read_bytes().endswith(b"IEND\xaeB`\x82")
        except Exception as error:
            report.faults.append(f"{path} cannot be read: {error}")


def disturb(reference: Checkout, folder: Path, kills: int, seed: int, longest: float = 30.0) -> Report:
    """Kill and recover until `kills` were done, each round in a new copy of the reference's code."""
    report, number = Report(), 0
    while report.count < kills and not report.faults:
        checkout = Checkout(folder / f"round-{number}")
        made = shutil.ignore_patterns("results", ".snakemake", "__pycache__")
        shutil.copytree(reference.folder, checkout.folder, ignore=made)
        Disturbed(checkout, seed + number, report).run(kills, longest)
        if not report.faults:
            compare(reference.folder / "results", checkout.folder / "results", report)
            if planned := checkout.planned(TARGET):
                report.faults.append(f"a further call would run {planned}")
        number += 1
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=30.0, help="seconds within which each call is killed")
    parser.add_argument("--folder", type=Path, help="a folder to be made for all copies (default: a temporary one)")
    options = parser.parse_args()
    started = time.monotonic()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="otr-kills-"))
    reference = Checkout(folder / "reference")
    if not reference.folder.exists():
        reduced(copy_of_tree(reference.folder))
    made = reference.snakemake("--cores", "2", TARGET)
    assert made.returncode == 0, made.stdout + made.stderr
    print(f"undisturbed: {time.monotonic() - started:.0f} s; all is kept in {folder}", flush=True)
    report = disturb(reference, folder, options.kills, options.seed, options.longest)
    print(f"{report}\n{time.monotonic() - started:.0f} s in all")
    sys.exit(bool(report.faults))


if __name__ == "__main__":
    main()
