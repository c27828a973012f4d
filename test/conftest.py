# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What tests in Python share: this build's libraries, and a module by hand."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("ATTN_BUILD_DIR", ROOT / "build"))
CLANG = "/usr/lib/llvm-22/bin/clang"

# Before a test imports the package: the checkout's, with this build's libraries.
os.environ.setdefault("ATTN_LIB_DIR", str(BUILD / "lib"))
sys.path.insert(0, str(ROOT / "python"))


@pytest.fixture(scope="session")
def root():
    """Folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def build():
    """Folder of the build."""
    return BUILD


@pytest.fixture(scope="session")
def compile_artifact(tmp_path_factory):
    """Compiles the hand-made module for a target; returns the library."""
    folder = tmp_path_factory.mktemp("artifact")
    source = ROOT / "test" / "Tools" / "attn" / "Inputs" / "artifact.c"

    def compile(target):
        library = folder / f"{target or 'any'}.so"
        if not library.exists():
            subprocess.run(
                [CLANG, "-shared", "-fPIC", "-O1", f'-DTARGET="{target}"', source, "-o", library],
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
