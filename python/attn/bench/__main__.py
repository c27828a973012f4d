# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Measures this project against its peers, as ratios in one run.

`python -m attn.bench mechanisms` measures what sparsity saves instead, and
`python -m attn.bench gpu` the kernels for GPUs.
"""

import argparse
import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path

from attn.bench import cases, compare, gpu, mechanisms, resources


def machine():
    """Processor, cores and the versions of everything that is compared."""
    model = platform.processor()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    versions = {}
    for name in ("onnxruntime", "torch", "numpy"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {"processor": model, "cores": os.cpu_count(), "versions": versions}


def print_machine(info):
    print(f"{info['processor']}, {info['cores']} cores, {platform.platform()}")
    print(", ".join(f"{name} {version}" for name, version in info["versions"].items()))
    print()


def print_comparison(row):
    if "skipped" in row:
        print(f"{row['name']:22} skipped: {row['skipped']}")
        return
    speed = f"{row['gflops']:6.0f}" if "gflops" in row else "      "
    verdict = "ok" if good(row) else "LOW"
    print(
        f"{row['name']:22} {row['ours_ms']:9.2f} {row['peer_ms']:9.2f}  {row['ratio']:5.2f} "
        f"{row['goal']:5.2f}  {verdict:4} {speed}  {row['difference']:8.1e}  {row['peer']}"
    )


def print_resource(row):
    if "skipped" in row:
        print(f"{row['name']:30} skipped: {row['skipped']}")
    elif "seconds" in row:
        verdict = "ok" if good(row) else "HIGH"
        print(f"{row['name']:30} {row['seconds']:6.2f} s   goal {row['goal_seconds']} s  {verdict}")
    else:
        verdict = "ok" if good(row) else "HIGH"
        print(
            f"{row['name']:30} {row['bytes'] / 1e6:6.0f} MB  = {row['times_file']:.2f} x the "
            f"model file, goal {row['goal_times_file']}  {verdict}"
        )


def good(row):
    """Whether a row meets its goal; a skipped row meets none and misses none."""
    if "skipped" in row:
        return True
    if "ratio" in row:
        return row["ratio"] >= row["goal"] and row["difference"] <= row["tolerance"]
    if "seconds" in row:
        return row["seconds"] <= row["goal_seconds"]
    return row["times_file"] <= row["goal_times_file"]


def main():
    if sys.argv[1:2] == ["mechanisms"]:
        return mechanisms.main(sys.argv[2:])
    if sys.argv[1:2] == ["gpu"]:
        return gpu.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m attn.bench", description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of both sides")
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each side")
    parser.add_argument("--seconds", type=float, default=0.4, help="of one turn")
    parser.add_argument("--json", metavar="FILE", help="write the results here as well")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a goal is missed")
    arguments = parser.parse_args()
    info = machine()
    print_machine(info)
    rows = []
    print(f"{'case':22} {'ours ms':>9} {'peer ms':>9}  {'ratio':>5} {'goal':>5}       GFLOP/s      diff")
    for index, case in enumerate(cases.CASES):
        if arguments.only in case.name:
            rows.append(
                compare.compare(index, arguments.threads, arguments.seconds, arguments.rounds)
            )
            print_comparison(rows[-1])
            sys.stdout.flush()
    for row in rows:
        for side, settings in row.get("settings", {}).items():
            print(f"  {row['name']}: {side}: {settings}")
    print()
    if arguments.only in "compile time, peak memory":
        for row in resources.measure(arguments.threads):
            rows.append(row)
            print_resource(row)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"machine": info, "rows": rows}, indent=1))
    return 1 if arguments.check and not all(map(good, rows)) else 0


if __name__ == "__main__":
    sys.exit(main())
