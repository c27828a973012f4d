# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compile time of a real model, and the memory that running it takes."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from attn.bench import cases

COMPILE_GOAL_SECONDS = 3.0
MEMORY_GOAL = 2.5
# A fresh small process starts the program: the kernel's high-water mark of a
# child begins at the size of the process that forked it.
LAUNCHER = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, capture_output=True, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([done.returncode, peak * 1024, done.stderr[-500:]]))
"""


def attn_command():
    """The `attn` program of this checkout's build, else the one on PATH."""
    build = os.environ.get("ATTN_BUILD_DIR")
    root = Path(build) if build else Path(__file__).resolve().parents[3] / "build"
    program = root / "bin" / "attn"
    return str(program) if program.exists() else "attn"


def peak_bytes(command):
    done = subprocess.run(
        [sys.executable, "-S", "-c", LAUNCHER, *command], capture_output=True, text=True, check=True
    )
    code, peak, error = json.loads(done.stdout)
    if code:
        raise RuntimeError(error.strip() or f"exit code {code}")
    return peak


def measure(threads, repeats=3):
    """Rows about the packaged MiniLM: compile time, then peak memory."""
    model = cases.minilm_file()
    if model is None:
        return [{"name": "minilm-l3 compile time", "skipped": "the model's package is missing"}]
    if shutil.which(attn_command()) is None:
        return [{"name": "minilm-l3 compile time", "skipped": "the command 'attn' is not built"}]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        library = str(Path(folder) / "model.so")
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            done = subprocess.run(
                [attn_command(), "compile", str(model), "-o", library],
                capture_output=True, text=True,
            )
            times.append(time.perf_counter() - start)
            if done.returncode:
                return [{"name": "minilm-l3 compile time", "skipped": done.stderr.strip()}]
        rows.append({
            "name": "minilm-l3 compile time", "seconds": sorted(times)[repeats // 2],
            "goal_seconds": COMPILE_GOAL_SECONDS,
        })
        size = model.stat().st_size
        for sequence in (128, 512):
            name = f"minilm-l3 1x{sequence} peak memory"
            inputs = [
                "--input", f"input_ids=1x{sequence}xi64:random(0,30000)",
                "--input", f"attention_mask=1x{sequence}xi64:ones",
            ]
            command = [attn_command(), "run", library, *inputs, "--threads", str(threads)]
            try:
                peak = peak_bytes(command)
            except RuntimeError as error:
                rows.append({"name": name, "skipped": str(error)})
                continue
            rows.append({
                "name": name, "bytes": peak, "file_bytes": size,
                "times_file": peak / size, "goal_times_file": MEMORY_GOAL,
            })
    return rows
