# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Artifacts for GPUs: stages, code, and runs on a driver without a GPU."""

import ctypes
import json
import os
from pathlib import Path

import numpy as np
import pytest

from attn.testing import cubin

SCALE = Path(__file__).parent / "Inputs" / "scale.mlir"
needs_ptxas = pytest.mark.skipif(cubin.ptxas() is None, reason="ptxas is not on this machine")
INPUTS = ["--input", "arg0=5xf32:iota", "--input", "arg1=1xf32:ones"]


@pytest.fixture
def stub(build):
    """Environment in which the driver is the stub, with settings."""
    library = build / "test" / "lib" / "libattn-stub-cuda.so"
    if not library.exists():
        pytest.skip("the stub driver is not built")

    def settings(**values):
        text = ",".join(f"{name}={value}" for name, value in values.items())
        return {"ATTN_CUDA_LIBRARY": str(library), "ATTN_STUB_CUDA": text}

    return settings


@pytest.mark.parametrize("chip", ["sm_80", "sm_90a"])
def test_ptx(attn, tmp_path, chip):
    code, _, err = attn("compile", SCALE, "--target", chip, "-o", "k.ptx")
    assert code == 0, err
    text = (tmp_path / "k.ptx").read_text()
    assert f".target {chip}\n" in text
    assert ".visible .entry twice(" in text and ".reqntid 128" in text
    # Denormals are flushed, which makes exponentials one instruction.
    assert ".ftz.f32" in text


@needs_ptxas
def test_cubin(attn, tmp_path):
    code, _, err = attn("compile", SCALE, "--target", "sm_90a", "-o", "k.cubin")
    assert code == 0, err
    kernels = cubin.read_resources((tmp_path / "k.cubin").read_bytes())
    assert {name: kernel.threads for name, kernel in kernels.items()} == {"twice": 128, "add": 32}


def metadata(library):
    return json.loads(ctypes.c_char_p.from_buffer(
        ctypes.c_void_p(ctypes.addressof(ctypes.c_char.in_dll(library, "attn_metadata")))
    ).value)


@needs_ptxas
@pytest.mark.parametrize("chip", ["sm_80", "sm_90a"])
def test_artifact(attn, build, tmp_path, chip):
    code, _, err = attn("compile", SCALE, "--target", chip, "-o", "model.so")
    assert code == 0, err
    ctypes.CDLL(str(build / "lib" / "libAttnRuntime.so"), mode=ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL(str(tmp_path / "model.so"))
    gpu = metadata(library)["gpu"]
    assert gpu["chip"] == chip and gpu["cuda"] >= 12000
    assert [kernel["name"] for kernel in gpu["kernels"]] == ["twice", "add"]
    assert all(kernel["registers"] > 0 and kernel["spills"] == 0 for kernel in gpu["kernels"])
    assert (ctypes.c_char * 4).in_dll(library, "attn_gpu_cubin").raw == b"\x7fELF"
    assert b".target" in (ctypes.c_char * 400).in_dll(library, "attn_gpu_ptx").raw


@needs_ptxas
def test_run_on_the_stub(attn, stub):
    code, _, err = attn("compile", SCALE, "--target", "sm_80", "-o", "model.so")
    assert code == 0, err
    code, out, err = attn("run", "model.so", *INPUTS, environment=stub(capability=80))
    assert code == 0 and "result0: float32 [5]" in out, err
    # Compiled in memory, too.
    code, out, err = attn(
        "run", SCALE, "--target", "sm_80", *INPUTS, environment=stub(capability=80)
    )
    assert code == 0 and "result0: float32 [5]" in out, err


@needs_ptxas
@pytest.mark.parametrize(
    "settings, parts",
    [
        (dict(capability=70), ["compiled for sm_90a but GPU 0 (stub) is sm_70", "--target"]),
        (dict(cuInit=100), ["finds no GPU", "CUDA_ERROR_NO_DEVICE", "--emulate"]),
        (dict(devices=0), ["finds no GPU", "--emulate"]),
        (
            dict(version=12040, cubin=200, ptx=222),
            ["supports CUDA 12.4", "made with CUDA 13", "update the driver"],
        ),
        (dict(memory=30), ["out of memory on GPU 0 (stub)"]),
        (dict(threads=64), ["kernel 'twice' wants 128 threads but can have 64"]),
        (dict(shared=100), ["kernel 'add' wants 256 bytes of shared memory", "has 100"]),
        (dict(cuLaunchKernel=719), ["launching kernel 'twice' failed: CUDA_ERROR_LAUNCH_FAILED"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_failures_of_the_driver(attn, refuse, stub, settings, parts):
    attn("compile", SCALE, "--target", "sm_90a", "-o", "model.so")
    refuse(1, parts, "run", "model.so", *INPUTS, environment=stub(**settings))


@needs_ptxas
def test_no_driver(attn, refuse):
    attn("compile", SCALE, "--target", "sm_80", "-o", "model.so")
    missing = {"ATTN_CUDA_LIBRARY": "libcuda-of-nobody.so"}
    parts = ["no CUDA driver: libcuda-of-nobody.so", "install NVIDIA's driver"]
    refuse(1, parts, "run", "model.so", *INPUTS, environment=missing)
    other = {"ATTN_CUDA_LIBRARY": "libm.so.6"}
    refuse(1, "no CUDA driver that this runtime can use", "run", "model.so", *INPUTS,
           environment=other)


def test_no_assembler(refuse):
    without = {"ATTN_PTXAS": "/nowhere/ptxas"}
    parts = ["'/nowhere/ptxas', which is no program", "--emit ptx"]
    refuse(1, parts, "compile", SCALE, "--target", "sm_80", "-o", "x.so", environment=without)
    refuse(1, parts, "compile", SCALE, "--target", "sm_80", "-o", "x.cubin", environment=without)


def test_assembler_that_refuses(refuse, tmp_path_factory):
    program = tmp_path_factory.mktemp("bin") / "ptxas"
    program.write_text("#!/bin/sh\necho 'ptxas fatal   : no such chip' >&2\nexit 255\n")
    os.chmod(program, 0o755)
    refuse(1, ["refuses the code of sm_80", "no such chip"], "compile", SCALE, "--target", "sm_80",
           "-o", "x.so", environment={"ATTN_PTXAS": str(program)})


def test_stages_belong_to_targets(refuse):
    refuse(2, "no such stage", "compile", SCALE, "--target", "x86-64-v3", "-o", "x.ptx")
    refuse(2, "known are host, x86-64-v3, x86-64-v4, sm_80 and sm_90a", "compile", SCALE,
           "--target", "sm_75", "-o", "x.ptx")


@pytest.mark.parametrize("chip", ["sm_80", "sm_90a"])
@pytest.mark.parametrize("size", [1, 5, 300])
def test_emulation(root, chip, size):
    import attn as package

    model = package.load(SCALE, target=chip, emulate=True)
    x = np.arange(size, dtype=np.float32)
    wanted = 2 * x
    wanted[::2] += 3
    result = model.run(arg0=x, arg1=np.array([3], np.float32))["result0"]
    assert result.tolist() == wanted.tolist()
    assert json.loads(model.metadata)["gpu"]["chip"] == chip


def test_emulation_from_the_command(attn, tmp_path):
    np.savez(tmp_path / "expected.npz", result0=np.array([1, 2, 5, 6, 9], np.float32))
    arguments = ["--target", "sm_80", *INPUTS, "--expect", "expected.npz"]
    code, out, err = attn("run", SCALE, "--emulate", *arguments)
    assert code == 0 and "result0: agrees" in out, err


def test_emulation_finds_faults(attn, tmp_path):
    # The bound of the second kernel is lifted: it writes behind the tensor.
    text = SCALE.read_text()
    wrong = text.replace("%sum, %to : f32", "%sum, %beyond : f32").replace(
        "%sum = llvm.fadd",
        "%beyond = llvm.getelementptr %to[1000] : (!llvm.ptr<1>) -> !llvm.ptr<1>, f32\n"
        "      %sum = llvm.fadd",
    )
    assert wrong != text
    (tmp_path / "wrong.mlir").write_text(wrong)
    code, _, err = attn("run", "wrong.mlir", "--emulate", "--target", "sm_80", *INPUTS)
    assert code == 1 and len(err.splitlines()) == 1
    assert "kernel 'add'" in err and "out of bounds" in err


def test_emulation_wants_a_gpu(refuse):
    refuse(2, "--target sm_80 or sm_90a", "run", SCALE, "--emulate", *INPUTS)


def test_explain_lists_kernels(attn):
    code, out, err = attn("explain", SCALE, "--target", "sm_90a")
    assert code == 0, err
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert rows["kernel"] == ["threads", "registers", "shared", "bytes", "spills"]
    assert rows["twice"][0] == "128" and rows["add"][0] == "32"
    if cubin.ptxas():
        assert int(rows["twice"][1]) > 0 and rows["twice"][3] == "0"
    else:
        assert rows["twice"][1] == "?" and "ptxas" in out


UNWAITED = """
module attributes {gpu.container_module} {
  gpu.module @kernels {
    llvm.func @hasty(%y: !llvm.ptr<1>)
        attributes {gpu.kernel, nvvm.kernel, nvvm.reqntid = array<i32: 128>} {
      %d = llvm.mlir.constant(64 : i64) : i64
      nvvm.wgmma.fence.aligned
      %r = llvm.inline_asm has_side_effects asm_dialect = att
        "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {$0,$1,$2,$3}, $4, $4, 0, 1, 1, 0, 0;",
        "=f,=f,=f,=f,l" %d : (i64) -> !llvm.struct<(f32, f32, f32, f32)>
      nvvm.wgmma.commit.group.sync.aligned
      %x = llvm.extractvalue %r[0] : !llvm.struct<(f32, f32, f32, f32)>
      llvm.store %x, %y : f32, !llvm.ptr<1>
      llvm.return
    }
  }
  func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}
"""


@needs_ptxas
def test_explain_shows_lost_speed(attn, tmp_path):
    (tmp_path / "hasty.mlir").write_text(UNWAITED)
    code, out, err = attn("explain", "hasty.mlir", "--target", "sm_90a")
    assert code == 0, err
    row = next(line for line in out.splitlines() if line.startswith("hasty"))
    assert "slow: C75" in row


ATTENTION = """
func.func @main(%q: tensor<1x2x40x64xbf16>, %k: tensor<1x1x40x64xbf16>,
                %v: tensor<1x1x40x64xbf16>) -> tensor<1x2x40x64xbf16> {
  %o = attn.attention %q, %k, %v mask(#attn.causal)
    : tensor<1x2x40x64xbf16>, tensor<1x1x40x64xbf16>, tensor<1x1x40x64xbf16>
    -> tensor<1x2x40x64xbf16>
  return %o : tensor<1x2x40x64xbf16>
}
"""


@pytest.mark.parametrize("chip", ["sm_80", "sm_90a"])
def test_stages_of_attention(attn, tmp_path, chip):
    (tmp_path / "a.mlir").write_text(ATTENTION)
    found = {"tiles": "scf.forall", "gpu": "attn_gpu.launch", "nvvm": "nvvm.kernel",
             "bufferized": "call @attn_gpu_launch", "llvm-dialect": "attn_packed_main"}
    for stage, part in found.items():
        code, _, err = attn("compile", "a.mlir", "--target", chip, "--emit", stage, "-o", "x.mlir")
        assert code == 0, err
        assert part in (tmp_path / "x.mlir").read_text(), stage
    code, _, err = attn("compile", "a.mlir", "--target", chip, "-o", "x.ptx")
    assert code == 0 and ".entry" in (tmp_path / "x.ptx").read_text(), err


@pytest.mark.parametrize("chip", ["sm_80", "sm_90a"])
def test_emulated_attention(attn, tmp_path, chip):
    """The emulated kernels against code for the processor, on the same inputs."""
    (tmp_path / "a.mlir").write_text(ATTENTION)
    inputs = [
        part for i, heads in enumerate((2, 1, 1))
        for part in ("--input", f"arg{i}=1x{heads}x40x64xbf16:random(-1,1)")
    ]
    code, _, err = attn("run", "a.mlir", *inputs, "--outputs", "cpu.npz")
    assert code == 0, err
    code, out, err = attn("run", "a.mlir", "--target", chip, "--emulate", *inputs,
                          "--expect", "cpu.npz", "--atol", "0.02", "--rtol", "0.02")
    assert code == 0 and "agrees" in out, out + err


def test_explain_names_tiles(attn, tmp_path):
    (tmp_path / "a.mlir").write_text(ATTENTION)
    code, out, err = attn("explain", "a.mlir", "--target", "sm_80")
    assert code == 0, err
    assert any(line.split()[-1:] == ["tiles"] for line in out.splitlines()), out


def test_tiles_that_do_not_fit(attn, tmp_path):
    """No launch that the GPU would refuse: an error, or a slower way that fits."""
    text = ATTENTION.replace("x64x", "x512x").replace("x64x", "x512x")
    (tmp_path / "wide.mlir").write_text(text)
    code, _, err = attn("compile", "wide.mlir", "--target", "sm_90a", "-o", "wide.ptx")
    assert code == 0 or (len(err.splitlines()) == 1 and "wide.mlir" in err), err
