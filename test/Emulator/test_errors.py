# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small wrong kernels: each error of the emulator, with what it says."""

import re

import numpy as np
import pytest
from attn.testing.emulate import run
from attn.testing.gpu_code import GLOBAL, MAP, Code


def expect(folder, code, pattern, *arguments, **more):
    result = run(folder, code, *arguments, **more)
    assert result.error is not None, "no error"
    assert re.search(pattern, result.error), result.error


def kernel(threads=64, shared=256, more=()):
    c = Code("k", [("x", GLOBAL), *more], threads, shared)
    return c, c.register("tid.x")


X = np.arange(64, dtype=np.float32)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("fault", [False, True])
def test_shared_bounds(tmp_path, fault, seed):
    """One byte beyond the 64 that the block has."""
    c, tid = kernel(shared=64)
    at = c.add(tid, 1) if fault else tid
    c.store(c.const(1, "i8"), c.smem(at), "i8")
    if not fault:
        assert run(tmp_path, c, X, seed=seed).error is None
        return
    expect(tmp_path, c, "thread 63 at llvm.store .*: writes 1 bytes at shared address 1088, out of bounds: "
                        "the block's memory ends at 1088|race", X, seed=seed)


@pytest.mark.parametrize("fault", [False, True])
def test_global_bounds(tmp_path, fault):
    """One byte beyond the 256 of the buffer."""
    c, tid = kernel()
    at = c.add(c.mul(tid, 4), 1) if fault else c.mul(tid, 4)
    value = c.load(c.at("%x", at, 1), "vector<4xi8>", 1, align=1)
    c.store(value, c.at("%x", c.mul(tid, 4), 1), "vector<4xi8>", 1, align=1)
    if not fault:
        assert run(tmp_path, c, X).error is None
        return
    expect(tmp_path, c, "thread 63 at llvm.load .*: reads 4 bytes at global address .*, out of bounds: byte 253 of the "
                        "nearest piece, which has 256", X)


@pytest.mark.parametrize("space", [1, 3])
def test_misaligned(tmp_path, space):
    c, tid = kernel(1)
    at = c.at("%x", 4, 1) if space == 1 else c.smem(4)
    c.store(c.op("llvm.mlir.zero : vector<2xf32>"), at, "vector<2xf32>", space)
    expect(tmp_path, c, "misaligned: writes 8 bytes at address .* not a multiple of 8", X)


def test_uninitialised(tmp_path):
    c, tid = kernel(1)
    c.store(c.const("1.0", "f32"), c.smem(0), "f32")
    c.load(c.smem(0), "f32")
    value = c.load(c.smem(4), "f32")
    c.store(value, c.at("%x", 0, 1), "f32", 1)
    expect(tmp_path, c, "reads shared byte 1028, which nobody has written", X)


def exchange(order):
    """Each thread writes a word and reads that of its neighbour."""
    c, tid = kernel()
    c.store(tid, c.smem(c.mul(tid, 4)), "i32")
    order(c)
    value = c.load(c.smem(c.mul(c.xor(tid, 1), 4)), "i32")
    c.store(value, c.at("%x", tid, 1, "i32"), "i32", 1)
    return c


ORDERS = {
    "barrier": lambda c: c.barrier(),
    "warp": lambda c: c.do(f"nvvm.bar.warp.sync {c.const(-1)} : i32"),
    "named": lambda c: c.barrier(3, 64),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("seed", [0, 1])
def test_ordered(tmp_path, order, seed):
    result = run(tmp_path, exchange(ORDERS[order]), X.astype(np.int32), seed=seed)
    assert result.error is None
    assert np.array_equal(result.outputs[0], np.arange(64) ^ 1)


@pytest.mark.parametrize("seed", [0, 1])
def test_race(tmp_path, seed):
    """A shuffle orders no memory accesses."""
    def shuffle(c):
        minus = c.const(-1)
        c.op(f"nvvm.shfl.sync bfly {minus}, {c.const(0)}, {c.const(1)}, {c.const(31)} : i32 -> i32")
    expect(tmp_path, exchange(shuffle), "race: reads shared byte .* that thread .* wrote at llvm.store .*, and nothing "
                                        "orders the two", X, seed=seed)


def test_race_of_writes(tmp_path):
    c, tid = kernel()
    c.store(tid, c.smem(0), "i32")
    expect(tmp_path, c, "race: writes shared byte 1024 that thread 0 wrote", X)


def test_race_of_a_write_with_reads(tmp_path):
    c, tid = kernel()
    c.only_if(c.equal(tid, 0), lambda: c.store(tid, c.smem(0), "i32"))
    c.barrier()
    value = c.load(c.smem(0), "i32")
    c.store(value, c.at("%x", tid, 1, "i32"), "i32", 1)
    # The last at the barrier, thread 63, goes on first; then the others do.
    c.only_if(c.equal(tid, 5), lambda: c.store(tid, c.smem(0), "i32"))
    expect(tmp_path, c, "thread 5 .*race: writes shared byte 1024 that thread .* read", X)


def test_deadlock_of_named_barriers(tmp_path):
    """The count is that of three warps; there are two."""
    c, tid = kernel(96)
    c.only_if(c.less(tid, 64), lambda: c.barrier(1, 96))
    expect(tmp_path, c, "deadlock: no thread can go on; threads 0-63 wait at nvvm.barrier .* on barrier 1, which 64 of "
                        "96 threads have reached; 32 threads have returned", X)


def test_counts_of_a_barrier_differ(tmp_path):
    c, tid = kernel(96)
    c.only_if(c.less(tid, 32), lambda: c.barrier(1, 64))
    c.only_if(c.less(c.sub(tid, 32), 32), lambda: c.barrier(1, 96))
    expect(tmp_path, c, "barrier 1 expects 96 threads here and 64", X)


def test_parted_warp(tmp_path):
    c, tid = kernel(32)
    minus = c.const(-1)

    def vote(_=None):
        c.op(f"nvvm.vote.sync any {minus}, {c.op('llvm.mlir.constant(true) : i1')} -> i1")

    c.count += 1
    c.do(f"llvm.cond_br {c.less(tid, 16)}, ^low, ^high")
    for name in ("low", "high"):
        c.block(name)
        vote()
        c.branch("end")
    c.block("end")
    expect(tmp_path, c, "the lanes of warp 0 have parted", X)


def test_returned_lanes(tmp_path):
    c, tid = kernel(32)
    c.only_if(c.less(tid, 16), lambda: c.do(f"nvvm.bar.warp.sync {c.const(-1)} : i32"))
    expect(tmp_path, c, "deadlock|names lanes .* which have returned", X)


def test_arrives_too_often(tmp_path):
    c, tid = kernel(32)
    c.only_if(c.equal(tid, 0), lambda: c.init(0, 16))
    c.barrier()
    c.expect(0, 64)
    expect(tmp_path, c, "arrives 1 times at an mbarrier that awaits 0 more arrivals in this phase", X)


def test_no_mbarrier(tmp_path):
    c, tid = kernel(32)
    c.arrive(8)
    expect(tmp_path, c, "uses shared address 1032 as an mbarrier, but none was initialised there", X)


def test_mbarrier_without_barrier(tmp_path):
    c, tid = kernel(64)
    c.only_if(c.equal(tid, 0), lambda: c.init(0, 64))
    c.arrive(0)
    expect(tmp_path, c, "race: uses an mbarrier that thread 0 initialised", X)


def test_overwritten_mbarrier(tmp_path):
    c, tid = kernel(1)
    c.init(0, 1)
    c.store(tid, c.smem(4), "i32")
    expect(tmp_path, c, "writes shared byte 1028, which is part of an mbarrier", X)


def filled_wgmma(fenced):
    """Operands of wgmma by plain stores; the threads hold one row of each."""
    c, tid = kernel(128, 4096)
    for tile in (0, 2048):
        at = c.add(c.mul(tid, 16), tile)
        c.store(c.op("llvm.mlir.zero : vector<4xi32>"), c.smem(at), "vector<4xi32>")
    if fenced:
        c.proxy_fence()
    c.barrier()
    c.do("attn_nv.wgmma_fence")
    a, b = c.descriptor(0, 1024, 128, 0), c.descriptor(2048, 1024, 128, 0)
    s = c.op(f"attn_nv.wgmma bf16 {a}, {b} : i64 -> vector<32xf32>")
    c.do("nvvm.wgmma.commit.group.sync.aligned")
    s = c.op(f"attn_nv.wgmma_wait 0 ({s} : vector<32xf32>)")
    c.store(c.extract(s, 0, "vector<32xf32>"), c.at("%x", 0, 1), "f32", 1)
    return c


def test_proxy_fence(tmp_path):
    assert run(tmp_path, filled_wgmma(True), X).error is None
    expect(tmp_path, filled_wgmma(False), "through the asynchronous proxy, but thread .* wrote it at llvm.store .* as a "
                                          "generic access and there is no fence.proxy.async between", X)


def test_proxy_fence_of_a_store(tmp_path):
    """TMA reads what threads wrote."""
    def store(fenced, waited=True):
        c, tid = kernel(32, 512, [("m", MAP)])
        c.store(c.op("llvm.mlir.zero : vector<4xi32>"), c.smem(c.mul(tid, 16)), "vector<4xi32>")
        if fenced:
            c.proxy_fence()
        c.barrier()
        zero = c.const(0)

        def send():
            c.do(f"nvvm.cp.async.bulk.tensor.global.shared.cta %m, {c.smem(0)}, box[{zero}, {zero}] "
                 ": !llvm.ptr, !llvm.ptr<3>")
            c.do("nvvm.cp.async.bulk.commit.group")
            if waited:
                c.do("nvvm.cp.async.bulk.wait_group 0 {read}")

        c.only_if(c.equal(tid, 0), send)
        return c

    x = np.ones((16, 16), np.float32)
    result = run(tmp_path, store(True), x, "map:0:box=16x8:swizzle=0")
    assert result.error is None
    assert np.array_equal(result.outputs[0], np.repeat([0, 1], 8)[:, None] * np.ones((1, 16)))
    expect(tmp_path, store(False), "there is no fence.proxy.async between", x, "map:0:box=16x8:swizzle=0")
    expect(tmp_path, store(True, False), "cp.async.bulk.wait_group is missing", x, "map:0:box=16x8:swizzle=0")


def test_registers(tmp_path):
    c, tid = kernel(512)
    c.do("nvvm.setmaxregister increase 136")
    expect(tmp_path, c, "the warps of the block now ask for .* registers; there are 65536", X)


def test_inline_assembly(tmp_path):
    c, tid = kernel()
    c.do('llvm.inline_asm has_side_effects "bar.sync 0;", "" : () -> ()')
    source = tmp_path / "k.mlir"
    with pytest.raises(AssertionError, match="cannot be emulated: each target instruction must be an operation"):
        run(tmp_path, c, X)
    assert source.exists()


@pytest.mark.parametrize("options, pattern", [
    ({"threads": 32}, "the block has 32 threads; the kernel requires 64"),
    ({"shared": 300000}, "the block has 300000 bytes of shared memory; at most 232448"),
    ({"grid": "1,70000"}, "dimension 1 of the grid is 70000; it must be 1 to 65535"),
])
def test_launches(tmp_path, options, pattern):
    c, tid = kernel()
    expect(tmp_path, c, pattern, X, **options)


BLOCKS = {
    "writes": ("writes global address .*, which block number 0 wrote in this launch", lambda c, b: c.store(
        b, c.at("%x", 0, 1), "i32", 1)),
    "reads": ("reads global address .*, which block number 0 wrote in this launch", lambda c, b: c.only_if(
        c.equal(b, 0), lambda: c.store(b, c.at("%x", 0, 1), "i32", 1)) or c.load(c.at("%x", 0, 1), "i32", 1)),
    "writes what was read": ("writes global address .*, which another block reads in this launch",
        lambda c, b: c.load(c.at("%x", 0, 1), "i32", 1) and c.only_if(c.equal(b, 1), lambda: c.store(
            b, c.at("%x", 0, 1), "i32", 1))),
    "atomics": (None, lambda c, b: c.op(f"llvm.atomicrmw add %x, {b} monotonic : !llvm.ptr<1>, i32")),
    "neighbours": (None, lambda c, b: c.store(c.const(1, "i16"), c.at("%x", b, 1, "i16"), "i16", 1)),
}


@pytest.mark.parametrize("case", BLOCKS)
def test_blocks(tmp_path, case):
    """No block may count on another one of its launch."""
    pattern, body = BLOCKS[case]
    c, tid = kernel(1)
    body(c, c.register("ctaid.x"))
    if pattern:
        expect(tmp_path, c, pattern, X, grid=2)
    else:
        assert run(tmp_path, c, X, grid=2).error is None


@pytest.mark.parametrize("synchronised", [True, False])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_lane_waits(tmp_path, synchronised, seed):
    """What one lane waited for is visible to its warp after bar.warp.sync."""
    c, tid = kernel(32, 1024, [("m", MAP)])

    def load():
        c.init(512, 1)
        c.do("nvvm.fence.mbarrier.init")
        c.expect(512, 512)
        c.tma(0, "m", [0, 0], 512)
        c.wait(512, 0)

    c.only_if(c.equal(tid, 0), load)
    if synchronised:
        c.do(f"nvvm.bar.warp.sync {c.const(-1)} : i32")
    struct = "!llvm.struct<(i32, i32, i32, i32)>"
    value = c.op(f"nvvm.ldmatrix {c.smem(c.mul(tid, 16))} {{num = 4 : i32, layout = #nvvm.mma_layout<row>, "
                 "shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} "
                 f": (!llvm.ptr<3>) -> {struct}")
    c.store(c.field(value, 0, struct), c.at("%x", tid, 1, "i32"), "i32", 1)
    x = np.zeros((32, 8), np.int16)
    if synchronised:
        assert run(tmp_path, c, x, "map:0:box=8x32", seed=seed).error is None
    else:
        expect(tmp_path, c, "thread [1-9].* an asynchronous copy wrote .*nothing orders the two", x, "map:0:box=8x32",
               seed=seed)
