# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the tests of the command have in common."""

import os
import subprocess

import pytest


@pytest.fixture
def attn(build, tmp_path):
    """Runs the command in a folder of its own; returns (code, stdout, stderr)."""
    program = build / "bin" / "attn"
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
