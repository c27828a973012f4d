# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs the .mlir files of test/Mechanisms by every path.

A mechanism is a folder with .mlir files, `oracle.py` with its formulas in
NumPy, and a pytest file that compares both.
"""

import functools
import importlib.util
import json
import re
from pathlib import Path

import numpy as np

import attn

from .dtypes import ROUNDOFF

# The definition in plain linalg, and the tile programs.
PATHS = ("plain", "tiles")
# Standard deviations of rounding errors that a test allows.
LAMBDA = 7


def oracle(test_file):
    """The module `oracle.py` beside a test; each folder has one of this name."""
    path = Path(test_file).resolve().parent / "oracle.py"
    name = f"attn_mechanism_{path.parent.name.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.lru_cache(maxsize=None)
def load(path, entry=None, attention="tiles"):
    """The compiled function `entry` of an .mlir file."""
    return attn.load(Path(path), entry=entry, attention=attention)


def run(path, entry=None, attention="tiles", threads=2, **inputs):
    """Results by name of the function `entry` on named arrays."""
    model = load(path, entry, attention)
    model.set_threads(threads)
    return model.run({name: np.ascontiguousarray(x) for name, x in inputs.items()})


def run_all(path, entry=None, **inputs):
    """(path taken, results) for each way to compute a function."""
    for attention in PATHS:
        yield attention, run(path, entry, attention, **inputs)


def explain(path, entry=None):
    """The report of `attn explain`."""
    return attn.explain(Path(path), entry=entry)


def report(path, entry=None):
    """The report of `attn explain --json`, parsed."""
    return json.loads(attn.explain(Path(path), entry=entry, report="json"))


def entries(path):
    """Names of the functions of an .mlir file that can be compiled alone."""
    return re.findall(r"^func\.func @(\w+)", Path(path).read_text(), re.MULTILINE)


def tells_of_savings(report):
    """Whether a report says that work is saved: a share, or by which data."""
    shares = [a["saved"] for a in report["attentions"]]
    by_data = [a["saves_by"] for a in report["attentions"] if a["saved"] is None]
    return any(share and share > 0 for share in shares) or any(by_data) or bool(report["selections"])


def tolerance(length, magnitude=1.0, dtype="f32", depth=1):
    """Absolute bound of the rounding error of sums of `length` terms of size
    `magnitude` in `dtype`, through `depth` such stages one after the other.

    Rounding errors of a sum that are independent and centred add up like a
    random walk: its relative error exceeds `LAMBDA sqrt(n) u` with probability
    at most `2 exp(-LAMBDA^2 / 2)` (Higham and Mary, 2019), 1e-11 for an
    element. To this come a few roundings of each stage outside of its sums.
    """
    return depth * (LAMBDA * length**0.5 + 8) * ROUNDOFF[dtype] * magnitude


def assert_close(actual, wanted, atol, what=""):
    """Equal shapes, NaN and infinities in the same places, and close."""
    actual, wanted = np.asarray(actual), np.asarray(wanted)
    assert actual.shape == wanted.shape, f"{what}: {actual.shape}, expected {wanted.shape}"
    np.testing.assert_allclose(
        actual.astype(np.float64), wanted.astype(np.float64), rtol=0, atol=atol, err_msg=what
    )
