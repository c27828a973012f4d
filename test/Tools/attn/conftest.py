# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the tests of the command have in common."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("ATTN_BUILD_DIR", ROOT / "build"))
INPUTS = Path(__file__).resolve().parent / "Inputs"
LLVM_BIN = Path("/usr/lib/llvm-22/bin")


@pytest.fixture
def attn(tmp_path):
    """Runs the command in a folder of its own; returns (code, stdout, stderr)."""
    program = BUILD / "bin" / "attn"
    if not program.exists():
        pytest.skip("the command 'attn' is not built")

    def run(*arguments, environment=None, timeout=300):
        done = subprocess.run(
            [str(program), *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def refuse(attn, tmp_path):
    """Runs the command, which must end with `code`, one line of error that
    holds every part, and no file that was not there before."""

    def run(code, parts, *arguments, **keywords):
        before = sorted(tmp_path.rglob("*"))
        status, out, err = attn(*arguments, **keywords)
        assert status == code, (status, out, err)
        lines = err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: "), err
        for part in [parts] if isinstance(parts, str) else parts:
            assert part in err
        assert sorted(tmp_path.rglob("*")) == before
        return err

    return run


@pytest.fixture(scope="session")
def compile_artifact(tmp_path_factory):
    """Compiles the hand-made module for a target; returns the library."""
    folder = tmp_path_factory.mktemp("artifact")

    def compile(target):
        library = folder / f"{target or 'any'}.so"
        if not library.exists():
            subprocess.run(
                [LLVM_BIN / "clang", "-shared", "-fPIC", "-O1", f'-DTARGET="{target}"',
                 INPUTS / "artifact.c", "-o", library],
                check=True,
            )
        return library

    return compile


@pytest.fixture
def artifact(compile_artifact, tmp_path):
    """A compiled module model.so with its weight file, in the test's folder."""
    library = tmp_path / "model.so"
    library.write_bytes(compile_artifact("").read_bytes())
    weights = np.array([0, 10, 20, 30], np.float32)
    (tmp_path / "weights.bin").write_bytes(weights.tobytes())
    return library
