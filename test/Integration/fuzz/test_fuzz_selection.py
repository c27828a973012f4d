# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random selections through the whole compiler against the NumPy oracle.

Each case runs by the definition in linalg and by loops and tile programs. A
seed makes a case; a failure names its seed. More and other cases:

    ATTN_FUZZ_CASES=1000 ATTN_FUZZ_FIRST=5000 python test/Integration/fuzz/test_fuzz_selection.py
"""

import multiprocessing
import os
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "python"))
BUILD = Path(os.environ.get("ATTN_BUILD_DIR", ROOT / "build"))
os.environ.setdefault("ATTN_LIB_DIR", str(BUILD / "lib"))

import attn  # noqa: E402
from attn.testing.dtypes import STORAGE  # noqa: E402
from attn.testing.random_selection import random_selection_case  # noqa: E402

CASES = int(os.environ.get("ATTN_FUZZ_CASES", "120"))
FIRST = int(os.environ.get("ATTN_FUZZ_FIRST", "0"))
CHUNK = 30  # cases in one process


def text(case):
    """The case as the only function of a module, on tensors alone."""
    lines, arguments = [], []
    for argument in case.arguments():
        name = argument.name
        if argument.shape is not None:
            arguments.append(f"%{name}: {argument.type}")
            continue
        arguments.append(f"%{name}_in: tensor<i64>")
        lines.append(f"%{name}_v = tensor.extract %{name}_in[] : tensor<i64>")
        lines.append(f"%{name} = arith.index_cast %{name}_v : i64 to index")
    results = case.results()
    types = ", ".join(r.type for r in results)
    names = ", ".join(f"%r{i}" for i in range(len(results)))
    return "\n  ".join([f"func.func @main({', '.join(arguments)}) -> ({types}) {{", *lines,
                        case.body(), f"return {names} : {types}\n}}\n"])


def run(case, folder, path):
    """None, or what is wrong."""
    source = Path(folder) / "case.mlir"
    source.write_text(text(case))
    inputs = case.inputs()
    try:
        model = attn.load(source, attention=path)
        model.set_threads(2)
        given = [np.asarray(x, np.int64) if a.shape is None else x
                 for a, x in zip(case.arguments(), inputs)]
        found = model.run({info.name: x for info, x in zip(model.inputs, given)})
    except attn.Error as error:
        return f"error: {error}"
    outputs = [np.asarray(x).view(STORAGE[r.dtype]) if r.dtype == "bf16" else np.asarray(x)
               for r, x in zip(case.results(), found.values())]
    return case.check(inputs, outputs)


def _run_seeds(seeds, connection):
    with tempfile.TemporaryDirectory(prefix="attn-fuzz-") as folder:
        for seed in seeds:
            try:
                case = random_selection_case(seed)
                problems = [(path, run(case, folder, path)) for path in ("plain", "tiles")]
                wrong = [f"{path}: {problem}" for path, problem in problems if problem]
                connection.send((seed, "; ".join(wrong)))
            except Exception as error:
                connection.send((seed, f"{type(error).__name__}: {error}"))


def run_seeds(seeds):
    """{seed: what is wrong}; a crash costs its own seed only."""
    context = multiprocessing.get_context("fork")
    problems, seeds = {}, list(seeds)
    while seeds:
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_run_seeds, args=(seeds, sender))
        child.start()
        sender.close()
        while True:
            try:
                seed, problem = receiver.recv()
            except EOFError:
                break
            problems[seed] = problem
        child.join()
        seeds = [seed for seed in seeds if seed not in problems]
        if seeds:
            problems[seeds[0]] = f"the process ended with exit code {child.exitcode}"
            seeds = seeds[1:]
    return problems


class TestFuzzSelection(unittest.TestCase):
    pass


def _add_test(first, seeds):
    def test(self):
        wrong = [f"seed {seed}: {problem}\n  {random_selection_case(seed)}"
                 for seed, problem in run_seeds(seeds).items() if problem]
        if wrong:
            self.fail("\n".join([f"{len(wrong)} of {len(seeds)} seeds failed", *wrong]))

    setattr(TestFuzzSelection, f"test_seeds_from_{first:06}", test)


for _first in range(FIRST, FIRST + CASES, CHUNK):
    _add_test(_first, range(_first, min(_first + CHUNK, FIRST + CASES)))

if __name__ == "__main__":
    unittest.main()
