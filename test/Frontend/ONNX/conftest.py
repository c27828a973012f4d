# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the tests of the ONNX importer have in common."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("ATTN_BUILD_DIR", ROOT / "build"))


@pytest.fixture(scope="session")
def importer():
    """Runs attn-test-import; returns (code, stdout, stderr)."""
    program = BUILD / "bin" / "attn-test-import"
    assert program.exists(), f"{program} is not built"

    def run(*arguments, timeout=300):
        done = subprocess.run(
            [str(program), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def module(importer, tmp_path):
    """Saves a model given in ONNX's text form and returns its module."""
    import onnx.parser

    def run(text, change=None):
        model = onnx.parser.parse_model(text)
        if change:
            change(model)
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString())
        code, out, err = importer(path)
        assert code == 0, err
        return out

    return run


@pytest.fixture
def refused(importer, tmp_path):
    """Saves a model that must be refused; returns the message."""
    import onnx.parser

    def run(text, change=None):
        model = onnx.parser.parse_model(text)
        if change:
            change(model)
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString())
        code, out, err = importer(path)
        assert code == 1 and out.strip() == "", (code, out, err)
        assert err.startswith(f"error: {path}: "), err
        return err.removeprefix(f"error: {path}: ").rstrip("\n")

    return run
