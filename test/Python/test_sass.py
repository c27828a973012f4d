# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The reader of GPU machine code, on kernels that are assembled here and on text."""

import pytest

from attn.testing import cubin, sass

HEAD = """
.version 8.8
.target {chip}
.address_size 64
.visible .entry {name}(.param .u64 a, .param .u32 n) {threads} {{
  .reg .b32 %r<20>; .reg .f32 %f<20>; .reg .pred %p<3>; .reg .b64 %rd<5>;
  .shared .align 16 .b8 tile[4096];
  ld.param.u64 %rd1, [a]; ld.param.u32 %r1, [n];
  mov.u32 %r2, 0; mov.u64 %rd2, 64; mov.u32 %r3, %tid.x;
  mov.f32 %f1, 0f00000000; mov.f32 %f2, %f1; mov.f32 %f3, %f1; mov.f32 %f4, %f1; mov.f32 %f9, %f1;
  mov.u32 %r8, tile; shl.b32 %r9, %r3, 4; add.u32 %r8, %r8, %r9;
"""
TAIL = """
  st.global.f32 [%rd1], %f1; st.global.f32 [%rd1+4], %f2;
  st.global.f32 [%rd1+8], %f3; st.global.f32 [%rd1+12], %f4;
  ret;
}
"""
NEXT = "add.u32 %r2, %r2, 1; setp.lt.u32 %p1, %r2, %r1;"
EXP2 = "".join(f"ex2.approx@FORM@.f32 %f{i}, %f{i};" for i in range(5, 9))
MMA = "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
SYNC_LOOP = f"""
L:
  .pragma "nounroll";
  ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{%r4,%r5,%r6,%r7}}, [%r8];
  {MMA} {{%f5,%f6,%f7,%f8}}, {{%r4,%r5,%r6,%r7}}, {{%r4,%r5}}, {{%f9,%f9,%f9,%f9}};
  {EXP2}
  cvt.rn.bf16x2.f32 %r10, %f5, %f6; cvt.rn.bf16x2.f32 %r11, %f7, %f8;
  {MMA} {{%f1,%f2,%f3,%f4}}, {{%r10,%r11,%r10,%r11}}, {{%r6,%r7}}, {{%f1,%f2,%f3,%f4}};
  {NEXT}
  @%p1 bra L;
"""
WGMMA = "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f5,%f6,%f7,%f8}, %rd2, %rd2,"
GROUP_LOOP = f"""
  @START@
L:
  .pragma "nounroll";
  wgmma.fence.sync.aligned;
  {WGMMA} 0, 1, 1, 0, 0;
  {WGMMA} 1, 1, 1, 0, 0;
  {WGMMA} 1, 1, 1, 0, 0;
  {WGMMA} 1, 1, 1, 0, 0;
  wgmma.commit_group.sync.aligned;
  @WAIT@
  {EXP2.replace("@FORM@", ".ftz")}
  add.f32 %f1, %f1, %f5; add.f32 %f2, %f2, %f6; add.f32 %f3, %f3, %f7; add.f32 %f4, %f4, %f8;
  {NEXT}
  @%p1 bra L;
"""


def group_loop(start="", wait="wgmma.wait_group.sync.aligned 0;"):
    return GROUP_LOOP.replace("@START@", start).replace("@WAIT@", wait)


def needs_tools():
    if cubin.ptxas() is None:
        pytest.skip("ptxas is not on this machine")
    if cubin.nvdisasm() is None:
        pytest.skip("nvdisasm is not on this machine (package nvidia-cuda-nvdisasm)")


def build(tmp_path, body, chip, name="kernel", threads=".reqntid 128"):
    needs_tools()
    text = HEAD.format(chip=chip, name=name, threads=threads) + body + TAIL
    _, remarks = cubin.assemble(text, chip, tmp_path / "kernel.cubin")
    return sass.read(tmp_path / "kernel.cubin")[name], remarks[name]


def test_loop_of_mma_sync(tmp_path):
    kernel, remarks = build(tmp_path, SYNC_LOOP.replace("@FORM@", ".ftz"), "sm_80")
    loop = kernel.main_loop
    assert loop.tensor_forms == {"16x8x16": 2}
    # A tile of 16 x 8 scores on 32 threads.
    assert loop.elements == 4
    assert loop.histogram["exp2"] == 4 and loop.histogram["pack"] == 2
    assert loop.histogram["tensor"] == 2 and loop.count("LDSM") == 1
    assert loop.per_element == (len(loop.instructions) - 2) / 4
    assert loop.float_per_element == 6 / 4
    assert not loop.is_serialised
    assert kernel.threads == 128 and kernel.shared_bytes == 4096
    assert kernel.registers == remarks.registers > 8
    assert kernel.spills == remarks.spill_stores == 0
    assert loop.order().startswith("matrix-load | fresh tensor | {exp2")


def test_exponential_that_keeps_denormals_costs_more(tmp_path):
    good, _ = build(tmp_path, SYNC_LOOP.replace("@FORM@", ".ftz"), "sm_80")
    bad, _ = build(tmp_path, SYNC_LOOP.replace("@FORM@", ""), "sm_80")
    assert bad.main_loop.float_per_element >= good.main_loop.float_per_element + 2
    assert bad.main_loop.histogram["float select"] == 4


def test_loop_of_wgmma(tmp_path):
    kernel, remarks = build(tmp_path, group_loop(), "sm_90a")
    loop = kernel.main_loop
    assert loop.tensor_forms == {"64x8x16 A=shared": 4}
    assert loop.elements == 4
    assert not loop.is_serialised and remarks.codes == []
    assert loop.order().startswith("fresh tensor x4 | wait-tensor 0x0 | {exp2")


def test_missing_wait_is_remarked(tmp_path):
    _, remarks = build(tmp_path, group_loop(wait=""), "sm_90a")
    assert remarks.codes and all(code.startswith("C75") for code in remarks.codes)


def test_register_counts_of_roles(tmp_path):
    start = "setmaxnreg.inc.sync.aligned.u32 240;"
    known = ".reqntid 384 .minnctapersm 1"
    kernel, remarks = build(tmp_path, group_loop(start), "sm_90a", threads=known)
    assert kernel.setmaxnreg == [240] and remarks.codes == []
    _, remarks = build(tmp_path, group_loop(start), "sm_90a")
    assert remarks.codes == ["C7508"]


def test_spills_are_counted(tmp_path):
    many = range(100)
    body = ".reg .f32 %x<100>;\n"
    body += "".join(f"ld.global.f32 %x{i}, [%rd1+{4 * i}];" for i in many) + "\nbar.sync 0;\n"
    body += "".join(f"st.global.f32 [%rd1+{4 * i}], %x{i};" for i in reversed(many))
    kernel, remarks = build(tmp_path, body, "sm_80", threads=".reqntid 128 .maxnreg 32")
    assert kernel.spills > 0 and remarks.spill_stores > 0
    assert kernel.main_loop is None


def test_refused_ptx_is_an_error():
    needs_tools()
    with pytest.raises(RuntimeError, match="ptxas refuses"):
        cubin.assemble(".version 8.8\n.target sm_80\nnonsense", "sm_80")


def line(address, text):
    return f"        /*{address:04x}*/                   {text} ;"


def listing(*lines):
    """A kernel in nvdisasm's form; a text that ends in a colon is a label."""
    out, address = [".text.k:"], 0
    for text in lines:
        if text.endswith(":"):
            out.append(text)
        else:
            out.append(line(address, text))
            address += 16
    code, labels = sass.parse("\n".join(out))["k"]
    return sass.Kernel("k", code, labels)


QK = "HGMMA.64x128x16.F32.BF16 R24, gdesc[UR4], RZ, !UPT"
PV = "HGMMA.64x128x16.F32.BF16 R88, R152, gdesc[UR4].tnspB, R88"
BACK = "@!P0 BRA `(.L_x_1)"


def test_slow_path_out_of_line_is_no_loop():
    kernel = listing(
        "MOV R1, RZ", ".L_x_1:", "SYNCS.PHASECHK.TRANS64.TRYWAIT P1, [UR4], R3", "@!P1 BRA `(.L_x_2)",
        ".L_x_3:", QK, "MUFU.EX2 R8, R8", PV, BACK, "EXIT",
        ".L_x_2:", "SYNCS.PHASECHK.TRANS64.TRYWAIT P1, [UR4], R3", "@P1 BRA `(.L_x_3)", "BRA `(.L_x_2)",
    )
    assert len(kernel.loops) == 1
    loop = kernel.main_loop
    assert loop.elements == 64
    assert len(loop.instructions) == 6 and len(loop.side) == 3
    assert loop.tensor_forms == {"64x128x16 A=shared": 1, "64x128x16 A=registers": 1}


def test_branch_in_the_loop_is_aside():
    kernel = listing(
        ".L_x_1:", QK, "@P2 BRA `(.L_x_2)", "FMUL R1, R1, R2", "FMUL R2, R1, R2", ".L_x_2:", PV, BACK, "EXIT",
    )
    loop = kernel.main_loop
    assert loop.histogram["multiply"] == 0 and len(loop.side) == 2


def test_main_loop_is_the_one_without_masks():
    kernel = listing(
        ".L_x_1:", QK, "FSEL R1, R2, R3, P1", "MUFU.EX2 R8, R8", PV, BACK,
        ".L_x_4:", QK, "MUFU.EX2 R8, R8", PV, "@!P0 BRA `(.L_x_4)", "EXIT",
    )
    assert len(kernel.innermost) == 2
    assert kernel.main_loop.histogram["float select"] == 0
    assert kernel.masked_loop.histogram["float select"] == 1


def test_serialised_loop():
    wait = "WARPGROUP.DEPBAR.LE gsb0, 0x0"
    kernel = listing(".L_x_1:", QK, wait, PV, wait, PV, wait, BACK, "EXIT")
    assert kernel.main_loop.is_serialised


def test_tensor_float_32_and_filled_accumulators():
    mma = "HMMA.1688.F32.TF32 R8, R4, R6, R8"
    kernel = listing(".L_x_1:", mma, "F2FP.BF16.PACK_AB R1, R2, R3", BACK, "EXIT")
    assert kernel.main_loop.tensor_forms == {"16x8x8": 1}
    # No accumulator begins empty: what is packed counts.
    assert kernel.main_loop.elements == 2


def test_not_a_cubin():
    with pytest.raises(ValueError, match="not a cubin"):
        cubin.read_resources(b"MZ")
