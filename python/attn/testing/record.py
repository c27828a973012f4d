# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Keeps what the tests of mechanisms call: a plugin of pytest.

    python -m pytest -p attn.testing.record --record-calls=FOLDER test/Mechanisms

Each call of `mechanisms.run` with small tensors becomes a file NUMBER.npz with its
inputs ("in:NAME") and results ("out:NAME"), and an entry of FOLDER/calls.json. A
function is kept with a few shapes only. Other machines and targets repeat them.
"""

import json
from pathlib import Path

import numpy as np

from . import mechanisms

MAX_BYTES = 1 << 18
MAX_SHAPES = 3


class Recorder:
    def __init__(self, folder, original):
        self.folder, self.original = Path(folder), original
        self.calls, self.shapes = [], {}
        self.folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, path, entry=None, attention="tiles", threads=2, **inputs):
        results = self.original(path, entry, attention, threads, **inputs)
        self.keep(Path(path), entry, inputs, results)
        return results

    def keep(self, path, entry, inputs, results):
        inputs = {name: np.ascontiguousarray(x) for name, x in inputs.items()}
        size = sum(x.nbytes for x in [*inputs.values(), *results.values()])
        key = tuple(sorted((name, x.shape) for name, x in inputs.items()))
        seen = self.shapes.setdefault((path, entry), [])
        if size > MAX_BYTES or key in seen or len(seen) >= MAX_SHAPES:
            return
        if any(0 in x.shape for x in results.values()):
            return
        seen.append(key)
        name = f"{len(self.calls)}.npz"
        np.savez(self.folder / name, **{f"in:{n}": x for n, x in inputs.items()},
                 **{f"out:{n}": x for n, x in results.items()})
        self.calls.append({"path": str(path.resolve()), "entry": entry, "data": name})
        (self.folder / "calls.json").write_text(json.dumps(self.calls, indent=1))


def pytest_addoption(parser):
    parser.addoption("--record-calls", metavar="FOLDER", help="keep calls of mechanisms here")


def pytest_configure(config):
    folder = config.getoption("--record-calls")
    if folder:
        mechanisms.run = Recorder(folder, mechanisms.run)
