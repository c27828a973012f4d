# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The bundle for GPU machines: what it holds, and what runs without a GPU."""

import json
import os
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from attn.bench import gpu_cases
from attn.gpu import programs
from attn.testing import cubin

KNOWN = [*programs.check_programs(), *gpu_cases.programs()]


@pytest.mark.parametrize("program", KNOWN, ids=lambda program: program.name)
def test_program_is_valid_mlir(build, program):
    tool = build / "bin" / "attn-opt"
    done = subprocess.run([str(tool)], input=program.text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    arguments = program.text.split(") -> ")[0]
    for name in program.inputs:
        assert f"%{name}: tensor<" in arguments


def test_names_are_unique():
    names = [program.name for program in KNOWN]
    assert len(set(names)) == len(names)
    cases = {case.name for case in gpu_cases.CASES}
    assert all(case.ours in cases for case in gpu_cases.CASES if case.ours)


SMALL = [
    program for program in programs.check_programs() if program.name in
    ("causal f32", "lengths differ", "grouped heads", "sink and window", "kinds of heads",
     "block lists of 64, not causal", "routed rows", "bias", "decode", "linear")
]


@pytest.mark.parametrize("program", SMALL, ids=lambda program: program.name)
def test_reference_agrees_with_the_processor(program, tmp_path):
    """The programs' references in PyTorch, by the compiler's own definition on the CPU."""
    torch = pytest.importorskip("torch")
    import attn

    source = tmp_path / "program.mlir"
    source.write_text(program.text)
    inputs = program.tensors(torch, "cpu")
    arrays = {
        name: (x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).numpy()
        for name, x in inputs.items()
    }
    result = np.array(attn.load(source).run(arrays)["o"])
    if result.dtype.name not in ("float32", "float16"):
        result = (result.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    wanted = program.reference(torch, inputs).numpy()
    assert np.abs(result.astype(np.float32) - wanted).max() <= program.allowed(np.abs(wanted).max())


def environment(root, build, **more):
    return {**os.environ, "PYTHONPATH": str(root / "python"), "ATTN_LIB_DIR": str(build / "lib"), **more}


@pytest.mark.parametrize("module", ["attn.bench", "attn.gpu.check"])
def test_without_a_gpu_one_line_says_so(root, build, module):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    command = [sys.executable, "-m", module] + (["gpu"] if module == "attn.bench" else [])
    done = subprocess.run(command, env=environment(root, build), capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
    assert done.stdout.endswith("PyTorch finds no GPU\n")


@pytest.fixture(scope="module")
def bundle(root, build, tmp_path_factory):
    """A small bundle, unpacked."""
    if cubin.ptxas() is None:
        pytest.skip("ptxas is not on this machine")
    if not (build / "lib" / "lean" / "libAttnRuntime.so").exists():
        pytest.skip("the lean runtime is not built")
    folder = tmp_path_factory.mktemp("bundle")
    done = subprocess.run(
        ["bash", str(root / "tools" / "gpu-check.sh"), "pack", str(folder / "b.tar.gz"),
         "--only", "causal bf16", "--no-mechanisms"],
        env=environment(root, build, PYTHON=sys.executable), capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "b.tar.gz").stat().st_size < 64 << 20
    with tarfile.open(folder / "b.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "attn-gpu"


def test_lean_runtime_stands_alone(bundle):
    done = subprocess.run(
        ["readelf", "-d", str(bundle / "lib" / "libAttnRuntime.so")], capture_output=True, text=True
    )
    needed = [line for line in done.stdout.splitlines() if "NEEDED" in line]
    assert needed and not any(
        name in line for line in needed for name in ("LLVM", "MLIR", "dnnl", "gomp", "stdc++")
    )


def test_bundle_holds_programs(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    names = sorted(entry["name"] for entry in manifest["libraries"].values())
    assert names == ["causal bf16 (sm_80)", "causal bf16 (sm_90a)"]
    for entry in manifest["libraries"].values():
        assert "error" not in entry, entry
        assert (bundle / entry["file"]).exists()


def test_bundle_runs_its_loader(bundle, build):
    """A bundle's program on the stub driver, without this build's libraries."""
    stub = build / "test" / "lib" / "libattn-stub-cuda.so"
    script = (
        "import numpy as np, attn\n"
        "from attn.gpu import programs, store\n"
        "program = next(p for p in programs.check_programs() if p.name == 'causal bf16')\n"
        "model = store.Store().load(program.text, 'sm_90a')\n"
        "inputs = {n: attn.bfloat16(np.ones(sizes)) for n, (sizes, _) in program.inputs.items()}\n"
        "print(model.run(inputs)['o'].shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=bundle, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(bundle / "python"), "ATTN_LIB_DIR": str(bundle / "lib"),
             "ATTN_BUNDLE": str(bundle), "ATTN_CUDA_LIBRARY": str(stub)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(1, 4, 320, 128)\n"


def test_bundle_script_without_a_gpu(bundle, tmp_path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = subprocess.run(
        ["bash", str(bundle / "gpu-check.sh")], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHON": sys.executable},
    )
    assert done.returncode == 1
    assert "not checked: PyTorch finds no GPU" in done.stdout
    assert "not measured: PyTorch finds no GPU" in done.stdout


@pytest.mark.parametrize(
    "arguments, message",
    [([], "usage:"), (["frob"], "unknown command 'frob'"), (["run", "/nowhere"], "is no bundle"),
     (["run", "--frob"], "unknown option '--frob'")],
)
def test_wrong_usage_of_the_script(root, arguments, message):
    script = root / "tools" / "gpu-check.sh"
    done = subprocess.run(["bash", str(script), *arguments], capture_output=True, text=True)
    assert done.returncode == 2 and message in done.stderr


def test_recorder_keeps_calls(root, build, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib",
         "-p", "attn.testing.record", f"--record-calls={tmp_path / 'calls'}",
         str(root / "test" / "Mechanisms" / "sqa")],
        env=environment(root, build, ATTN_BUILD_DIR=str(build)), capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout
    calls = json.loads((tmp_path / "calls" / "calls.json").read_text())
    assert calls and all("/sqa/" in call["path"] for call in calls)
    data = np.load(tmp_path / "calls" / calls[0]["data"])
    assert any(n.startswith("in:") for n in data.files) and any(n.startswith("out:") for n in data.files)
