# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Repeats recorded calls of mechanisms (see record.py) on another target.

    python -m attn.testing.replay FOLDER --target sm_80 [--only TEXT] [--shapes N]

compiles each function for the GPU, runs it by emulation, one process each, and
compares with what was recorded.
"""

import argparse
import json
import multiprocessing
import sys
from pathlib import Path

import numpy as np

import attn


def read_calls(folder):
    """The entries of calls.json: path, entry, data."""
    return json.loads((Path(folder) / "calls.json").read_text())


def name_of(call):
    path = Path(call["path"])
    return f"{path.parent.name}/{path.stem}" + (f"@{call['entry']}" if call["entry"] else "")


def compare(call, folder, model, tolerance):
    """What is wrong with the results of `model` on a recorded call, or None."""
    data = np.load(Path(folder) / call["data"])
    results = model.run({n[3:]: data[n] for n in data.files if n.startswith("in:")})
    for name, result in results.items():
        wanted, result = data[f"out:{name}"], np.asarray(result)
        if result.shape != wanted.shape:
            return f"{name} has shape {result.shape}, not {wanted.shape}"
        if not np.issubdtype(wanted.dtype, np.floating):
            if not np.array_equal(result, wanted):
                return f"{name} differs"
            continue
        finite = np.isfinite(wanted)
        if not np.array_equal(np.isfinite(result), finite):
            return f"{name} is finite in other places"
        scale = max(1.0, np.abs(wanted[finite]).max(initial=0.0))
        difference = np.abs(result[finite].astype(np.float64) - wanted[finite]).max(initial=0.0) / scale
        if difference > tolerance:
            return f"{name} differs by {difference:.3g} of the largest, more than {tolerance}"
    return None


def load(call, **options):
    return attn.load(call["path"], entry=call["entry"], **options)


def functions(folder, shapes):
    """The smallest calls of each function, as lists."""
    found = {}
    for call in read_calls(folder):
        found.setdefault((call["path"], call["entry"]), []).append(call)

    def size(call):
        return (Path(folder) / call["data"]).stat().st_size

    return [sorted(calls, key=size)[:shapes] for calls in found.values()]


def check(calls, folder, target, tolerance, answer=None):
    """What is wrong with the results of one function on `target`, or None."""
    try:
        model = load(calls[0], target=target, emulate=True)
        problems = [compare(call, folder, model, tolerance) for call in calls]
        problem = next((p for p in problems if p), None)
    except attn.Error as error:
        problem = str(error)
    if answer:
        answer.put(problem)
    return problem


def check_alone(*arguments, timeout=300):
    """The same in a process of its own, which may crash or hang."""
    context = multiprocessing.get_context("fork")
    answer = context.SimpleQueue()
    process = context.Process(target=check, args=(*arguments, answer))
    process.start()
    process.join(timeout)
    if process.is_alive():
        process.kill()
        return f"no end within {timeout} seconds"
    return f"the process ended with code {process.exitcode}" if answer.empty() else answer.get()


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m attn.testing.replay", description=__doc__)
    parser.add_argument("folder", help="of calls.json")
    parser.add_argument("--target", default="sm_80")
    parser.add_argument("--only", default="", help="part of a function's name")
    parser.add_argument("--shapes", type=int, default=1, help="calls of each function")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="of the largest result")
    options = parser.parse_args(arguments)
    total = failed = 0
    for calls in functions(options.folder, options.shapes):
        if options.only not in name_of(calls[0]):
            continue
        problem = check_alone(calls, options.folder, options.target, options.tolerance)
        total, failed = total + 1, failed + bool(problem)
        print(f"{name_of(calls[0])}: {problem or 'ok'}", flush=True)
    print(f"{total - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
