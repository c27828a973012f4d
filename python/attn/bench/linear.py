# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How fast the recurrences run: `python -m attn.bench.linear`.

Counted are the products of a chunked algorithm with whole chunks: queries and
keys with keys, weights with values, queries (and keys) with the state, and the
update of the state. What a delta rule spends on inverses is not counted.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import attn

HEADS, DIM, CHUNK = 8, 128, 64


@dataclass(frozen=True)
class LinearBench:
    name: str
    length: int
    decay: str = None  # "constant", "head" or "feature"
    delta: bool = False
    goal: float = 0.0  # least share of FMA peak

    def text(self):
        q = f"tensor<1x{HEADS}x{self.length}x{DIM}xf32>"
        state = f"tensor<1x{HEADS}x{DIM}x{DIM}xf32>"
        types = {"q": q, "k": q, "v": q, "state": state}
        clauses = [f"state(%state : {state})"]
        attributes = [f"chunk_size = {CHUNK}"]
        if self.decay == "constant":
            rates = ", ".join(str(-(2.0 ** (-8 * (h + 1) / HEADS))) for h in range(HEADS))
            attributes.append(f"log_decay = array<f64: {rates}>")
        elif self.decay:
            more = f"x{DIM}" if self.decay == "feature" else ""
            types["decay"] = f"tensor<1x{HEADS}x{self.length}{more}xf32>"
            clauses.append(f"decay(%decay : {types['decay']})")
        if self.delta:
            types["beta"] = f"tensor<1x{HEADS}x{self.length}xf32>"
            clauses.append(f"beta(%beta : {types['beta']})")
        arguments = ", ".join(f'%{n}: {t} {{attn.name = "{n}"}}' for n, t in types.items())
        return (
            f"func.func @main({arguments})\n"
            f'    -> ({q} {{attn.name = "o"}}, {state} {{attn.name = "next"}}) {{\n'
            f"  %o, %s = attn.linear_attention %q, %k, %v {' '.join(clauses)} "
            f"{{{', '.join(attributes)}}}\n    : {q}, {q}, {q} -> {q}, {state}\n"
            f"  return %o, %s : {q}, {state}\n}}\n"
        )

    def inputs(self):
        random = np.random.default_rng(0)
        shape = (1, HEADS, self.length, DIM)
        result = {n: random.standard_normal(shape, dtype=np.float32) for n in "qkv"}
        result["k"] /= np.linalg.norm(result["k"], axis=-1, keepdims=True)
        result["state"] = np.zeros((1, HEADS, DIM, DIM), np.float32)
        if self.decay in ("head", "feature"):
            last = shape if self.decay == "feature" else shape[:3]
            result["decay"] = -random.random(last, dtype=np.float32)
        if self.delta:
            result["beta"] = random.random(shape[:3], dtype=np.float32)
        return result

    def flops(self):
        chunk = min(CHUNK, self.length)
        one_by_one = chunk * chunk * DIM  # products of the tokens of a chunk
        with_state = chunk * DIM * DIM
        products = 2 * one_by_one + 2 * with_state
        if self.delta:
            products += 1.5 * one_by_one + with_state
        return 2.0 * HEADS * products * self.length / chunk


CASES = [
    LinearBench("decay 8k", 8192, "constant", goal=0.5),
    LinearBench("gated 8k", 8192, "head", goal=0.5),
    LinearBench("delta 8k", 8192, None, delta=True, goal=0.25),
    LinearBench("gated delta 8k", 8192, "head", delta=True, goal=0.25),
    LinearBench("decay 1k", 1024, "constant"),
    LinearBench("decay 32k", 32768, "constant"),
    LinearBench("decay 128k", 131072, "constant"),
    LinearBench("feature decay 8k", 8192, "feature", goal=0.3),
    LinearBench("feature gated delta 8k", 8192, "feature", delta=True, goal=0.25),
    LinearBench("decode, decay", 1, "constant"),
    LinearBench("decode, gated delta", 1, "head", delta=True),
]


def measure(case, threads, seconds=1.0):
    """Milliseconds of the fastest run and GFLOP/s."""
    with tempfile.TemporaryDirectory(prefix="attn-bench-") as folder:
        path = Path(folder) / "case.mlir"
        path.write_text(case.text())
        model = attn.load(path)
    model.set_threads(threads)
    inputs = case.inputs()
    model.run(inputs)
    best, begin, runs = float("inf"), time.perf_counter(), 0
    while time.perf_counter() - begin < seconds or runs < 3:
        start = time.perf_counter()
        model.run(inputs)
        best = min(best, time.perf_counter() - start)
        runs += 1
    return {
        "name": case.name, "length": case.length, "threads": threads, "ms": best * 1e3,
        "gflops": case.flops() / best / 1e9, "us_per_token": best * 1e6 / case.length,
        "peak_bytes": model.peak_bytes,
    }


def main():
    parser = argparse.ArgumentParser(prog="python -m attn.bench.linear", description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--peak", type=float, default=285.0, help="GFLOP/s of one core")
    parser.add_argument("--json", action="store_true", help="one line for each case")
    arguments = parser.parse_args()
    # The runtime keeps results of up to 128 MB for the next ones. Larger ones, of
    # 128k tokens, would cost a third of the time in pages that the system clears.
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        kept = dict(os.environ, MALLOC_MMAP_THRESHOLD_=str(1 << 32), MALLOC_TRIM_THRESHOLD_=str(1 << 34))
        sys.exit(subprocess.run([sys.executable, "-m", "attn.bench.linear", *sys.argv[1:]], env=kept).returncode)
    for case in CASES:
        if arguments.only not in case.name:
            continue
        row = measure(case, arguments.threads)
        if arguments.json:
            print(json.dumps(row), flush=True)
            continue
        share = row["gflops"] / (arguments.peak * arguments.threads)
        verdict = "" if not case.goal else "ok" if share >= case.goal else "LOW"
        print(
            f"{case.name:22} {row['ms']:10.3f} ms {row['us_per_token']:8.3f} us/token "
            f"{row['gflops']:6.0f} GFLOP/s  {share:5.2f} of peak  {verdict}",
            flush=True,
        )


if __name__ == "__main__":
    main()
