# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The kernels that run on the emulator are machine code for GPUs, too."""

import subprocess

import pytest
from attn.testing import cubin
from attn.testing.emulate import BUILD
from attn.testing.gpu_attention import attention
from attn.testing.gpu_gemms import layout_gemm, mma_gemm, wgmma_gemm

LLVM = "/usr/lib/llvm-22/bin"
HEAD = 'module attributes {llvm.target_triple = "nvptx64-nvidia-cuda"} {'
KERNELS = {
    "mma": (mma_gemm(), "sm_80"),
    "wgmma": (wgmma_gemm(values=128), "sm_90a"),
    "layouts": (layout_gemm(64), "sm_90a"),
    "attention": (attention(), "sm_90a"),
}


def assemble(code, chip, folder):
    """Machine code by way of LLVM; what ptxas remarks."""
    source = folder / "k.mlir"
    source.write_text(code.text().replace("module {", HEAD, 1))
    passes = ["--attn-nv-to-ptx", "--convert-nvvm-to-llvm", "--reconcile-unrealized-casts"]
    steps = [[BUILD / "bin" / "attn-opt", source, *passes], [f"{LLVM}/mlir-translate", "--mlir-to-llvmir"],
             [f"{LLVM}/llc", "-O3", f"-mcpu={chip}", "-mattr=+ptx88"]]
    text = None
    for step in steps:
        done = subprocess.run(step, input=text, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        text = done.stdout
    return cubin.assemble(text, chip)[1][code.name]


@pytest.mark.skipif(not cubin.ptxas(), reason="there is no ptxas")
@pytest.mark.parametrize("name", KERNELS)
def test_assembles(tmp_path, name):
    code, chip = KERNELS[name]
    remarks = assemble(code, chip, tmp_path)
    assert remarks.codes == []
    assert remarks.spill_stores == remarks.spill_loads == remarks.stack_bytes == 0
