# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The benchmark program: its cases are valid, its measures measure."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ATTN_BUILD_DIR", ROOT / "build"))
sys.path.insert(0, str(ROOT / "python"))

from attn.bench import __main__ as program  # noqa: E402
from attn.bench import cases, compare, mechanisms, resources, sides  # noqa: E402

ATTENTION = [case for case in cases.CASES if case.kind == "attention"]


@pytest.mark.parametrize("case", ATTENTION, ids=lambda case: case.name)
def test_our_side_is_valid_mlir(case):
    tool = BUILD / "bin" / "attn-opt"
    if not tool.exists():
        pytest.skip("attn-opt is not built")
    done = subprocess.run(
        [str(tool)], input=cases.attention_text(case), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("attn.attention") == 1


def test_work_of_the_causal_half():
    full, causal = (
        cases.flops(case) for case in (ATTENTION[0], ATTENTION[1])
    )
    assert full == 4 * 8 * 2048 * 2048 * 128
    assert causal == full * 2049 / 4096


def test_bf16_bits_become_floats():
    bits = np.array([0x3F80, 0xC000, 0x7F80], np.uint16)
    assert sides.from_bf16_bits(bits).tolist() == [1.0, -2.0, float("inf")]


def test_peak_memory_is_that_of_the_program_alone():
    # The parent is far larger than the child; only the child may count.
    ballast = np.ones(300_000_000, np.uint8)
    child = [sys.executable, "-S", "-c", "x = bytearray(100_000_000)"]
    peak = resources.peak_bytes(child)
    assert 100e6 < peak < 150e6
    assert ballast[0] == 1


def test_peak_memory_reports_failure():
    with pytest.raises(RuntimeError, match="exit code 3"):
        resources.peak_bytes([sys.executable, "-S", "-c", "raise SystemExit(3)"])


def test_difference_of_outputs(tmp_path):
    left, right = tmp_path / "left.npz", tmp_path / "right.npz"
    np.savez(left, a=np.zeros((2, 3)), b=np.ones(4))
    np.savez(right, b=np.ones(4), a=np.full((2, 3), 0.25))
    assert compare.difference(left, right) == 0.25


@pytest.mark.parametrize(
    "row, good",
    [
        ({"ratio": 1.1, "goal": 1.05, "difference": 1e-6, "tolerance": 1e-4}, True),
        ({"ratio": 1.0, "goal": 1.05, "difference": 1e-6, "tolerance": 1e-4}, False),
        ({"ratio": 1.1, "goal": 1.05, "difference": 1e-2, "tolerance": 1e-4}, False),
        ({"seconds": 2.0, "goal_seconds": 3.0}, True),
        ({"seconds": 4.0, "goal_seconds": 3.0}, False),
        ({"times_file": 2.6, "goal_times_file": 2.5}, False),
        ({"skipped": "no peer"}, True),
    ],
)
def test_goals(row, good):
    assert program.good(row) is good


@pytest.mark.parametrize("case", mechanisms.CASES, ids=lambda case: case.name)
def test_mechanism_runs_on_a_small_size(case):
    size = mechanisms.Size(heads=8, rows=min(case.size.rows, 256), keys=1280)
    size = size if size.rows == 1 else mechanisms.Size(8, 256, 256)
    text, more = case.build(size)
    output = mechanisms.load(text, 1).run({**size.inputs(), **more})["result0"]
    assert output.shape == (1, 8, size.rows, mechanisms.WIDTH)
    assert np.isfinite(output).all() and np.abs(output).max() > 0


def test_mechanism_that_misses_a_goal_is_not_good():
    row = {"ratio": 2.0, "goal": 1.5}
    assert mechanisms.good(row)
    assert not mechanisms.good({**row, "goal": 2.5})
    assert not mechanisms.good({**row, "peer_ratio": 1.0, "peer_goal": 1.1})


CHOICES = [case for case in mechanisms.CASES if case.choice]


@pytest.mark.parametrize("case", CHOICES, ids=lambda case: case.name)
def test_what_chooses_runs_alone(case):
    size = mechanisms.Size(8, 1, 1280) if case.size.rows == 1 else mechanisms.Size(8, 256, 256)
    _, more = case.build(size)
    model = mechanisms.load(case.build(size, only_choice=True), 1)
    outputs = model.run({**size.inputs(), **more})
    assert len(outputs) >= 2 and all(x.size for x in outputs.values())


def test_growth_is_fitted_and_judged():
    case = mechanisms.Mechanism(
        "growth", mechanisms.streaming, 3.0, mechanisms.Size(1), lengths=(256, 512)
    )
    row = mechanisms.measure(case, 1, 1)
    assert len(row["all_ms"]) == 2 and np.isfinite(row["exponent"])
    assert mechanisms.good({**row, "exponent": 1.5, "goal": 1.6})
    assert not mechanisms.good({**row, "exponent": 1.7, "goal": 1.6})
    assert "256" in mechanisms.line_of(row)
