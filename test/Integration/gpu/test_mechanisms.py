# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every mechanism through the kernels for GPUs, by emulation.

The calls are those that the mechanisms' own tests make: `test/run_suites.py` keeps
them while it runs these, else they are recorded here first.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from attn.testing import replay

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("ATTN_BUILD_DIR", ROOT / "build"))
FOLDER = BUILD / "test" / "calls"
# Results are compared in float32, in which softmax and states are computed. The
# steps of conjugate gradients multiply roundings by the condition of their systems.
TOLERANCE = 1e-3
OF_SOLVERS = 1e-2
SHAPES = 2  # of each function, the smallest


def read_calls():
    if not (FOLDER / "calls.json").exists():
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
             "--import-mode=importlib", "-p", "attn.testing.record", f"--record-calls={FOLDER}",
             str(ROOT / "test" / "Mechanisms")],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
    functions = {}
    for call in replay.read_calls(FOLDER):
        functions.setdefault((call["path"], call["entry"]), []).append(call)
    size = lambda call: (FOLDER / call["data"]).stat().st_size
    return [sorted(calls, key=size)[:SHAPES] for calls in functions.values()]


@pytest.mark.parametrize("target", ["sm_80", "sm_90a"])
@pytest.mark.parametrize("calls", read_calls(), ids=lambda calls: replay.name_of(calls[0]))
def test_mechanism(calls, target):
    model = replay.load(calls[0], target=target, emulate=True)
    solves = "local-linear" in calls[0]["path"]
    for call in calls:
        assert replay.compare(call, FOLDER, model, OF_SOLVERS if solves else TOLERANCE) is None


def test_all_mechanisms_are_here():
    known = {path.parent.name for path in (ROOT / "test" / "Mechanisms").glob("*/*.mlir")}
    assert known == {Path(calls[0]["path"]).parent.name for calls in read_calls()}
