# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles models with the `attn` command and runs them beside ONNX Runtime."""

import os
import re
import subprocess
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ATTN_BUILD_DIR", ROOT / "build"))
ATTN = BUILD / "bin" / "attn"
COMPILER = BUILD / "lib" / "libAttnCompiler.so"
OUTPUT = BUILD / "test" / "models"
TOLERANCE = 1e-4


def command(*arguments, check=True):
    """Runs `attn` with the arguments; a failure shows what it said."""
    if not COMPILER.exists():
        pytest.skip("the compiler library is not built")
    done = subprocess.run(
        [str(ATTN), *map(str, arguments)], capture_output=True, text=True, timeout=600
    )
    if check and done.returncode != 0:
        pytest.fail(
            f"attn {' '.join(map(str, arguments))}: exit code {done.returncode}\n"
            f"{done.stderr[-3000:]}",
            pytrace=False,
        )
    return done


def recognised(model):
    """(attentions, softmaxes left) as `attn explain` counts them."""
    text = command("explain", model).stdout
    found = re.search(r"^(\d+) attentions? recognised, (\d+) softmax\w* left", text, re.MULTILINE)
    assert found, f"no summary line in the output of 'attn explain':\n{text[-2000:]}"
    return int(found[1]), int(found[2])


class Compiled:
    """A model compiled once; each call is a process of its own."""

    def __init__(self, model, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.library = folder / "model.so"
        command("compile", model, "-o", self.library)

    def __call__(self, inputs):
        source, target = self.folder / "inputs.npz", self.folder / "outputs.npz"
        np.savez(source, **inputs)
        target.unlink(missing_ok=True)
        command("run", self.library, "--inputs", source, "--outputs", target)
        with np.load(target) as data:
            return {name: data[name] for name in data.files}


class Peer:
    """The same model in ONNX Runtime."""

    def __init__(self, model):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        self.outputs = [output.name for output in self.session.get_outputs()]

    def __call__(self, inputs):
        wanted = {item.name for item in self.session.get_inputs()}
        feeds = {name: value for name, value in inputs.items() if name in wanted}
        return dict(zip(self.outputs, self.session.run(None, feeds)))


def largest_difference(got, expected):
    """Over all outputs; infinite where shape, type or NaN positions differ."""
    assert set(got) == set(expected), f"outputs {sorted(got)}, expected {sorted(expected)}"
    largest = 0.0
    for name, want in expected.items():
        have = got[name]
        assert have.dtype == want.dtype, f"'{name}' is {have.dtype}, expected {want.dtype}"
        assert have.shape == want.shape, f"'{name}' is {have.shape}, expected {want.shape}"
        if want.size == 0:
            continue
        if not np.array_equal(np.isnan(have), np.isnan(want)):
            return float("inf")
        difference = np.abs(have.astype(np.float64) - want.astype(np.float64))
        largest = max(largest, float(np.nanmax(difference, initial=0.0)))
    return largest


def package_file(package, ending):
    """A file that an installed package carries; skips if it is not there."""
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        pytest.skip(f"the package '{package}' is not installed")
    for entry in files:
        if str(entry).endswith(ending):
            return Path(entry.locate())
    pytest.fail(f"the package '{package}' has no file '{ending}'")


def padding_mask(random, batch, sequence):
    """Each sample keeps a random number of its first tokens, at least one."""
    lengths = random.integers(1, sequence + 1, size=batch)
    return (np.arange(sequence) < lengths[:, None]).astype(np.int64)
