# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs the tool attn-emulate on kernels and arrays."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np

BUILD = Path(os.environ.get("ATTN_BUILD_DIR", Path(__file__).parents[3] / "build"))


def bf16(x):
    """The bits of the nearest bf16 numbers."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def f32(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


class Result:
    def __init__(self, answer, outputs):
        self.error, self.statistics = answer["error"], answer["statistics"]
        self.outputs = outputs


def run(folder, code, *arguments, grid=1, seed=0, statistics=False, shared=None, threads=None):
    """`arguments` are arrays, or the texts that the tool takes. Outputs are
    the arrays afterwards."""
    source = folder / f"{code.name}.mlir"
    source.write_text(code.text())
    command = [BUILD / "bin" / "attn-emulate", source, code.name]
    arrays = []
    for i, argument in enumerate(arguments):
        if isinstance(argument, str):
            command.append(argument)
            continue
        path = folder / f"in{i}.npy"
        np.save(path, argument)
        arrays.append(folder / f"out{i}.npy")
        command.append(f"{path}={arrays[-1]}")
    shared = code.shared if shared is None else shared
    command += [f"--grid={grid}", f"--block={threads or code.threads}", f"--shared={shared}", f"--seed={seed}"]
    if statistics:
        command.append("--statistics")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, 1), f"{done.returncode}: {done.stderr}"
    return Result(json.loads(done.stdout), [np.load(path) for path in arrays])
