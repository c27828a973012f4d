# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Each instruction of the emulator against what PTX says it does."""

import numpy as np
import pytest
from attn.testing.emulate import bf16, f32, run
from attn.testing.gpu_code import GLOBAL, MAP, Code


def kernel(threads=32, shared=4096, more=()):
    c = Code("k", [("x", GLOBAL), ("y", GLOBAL), *more], threads, shared)
    return c, c.register("tid.x")


def words(folder, body, count=32, x=None, threads=32, more=(), arguments=(), **options):
    """Runs body(code, thread, word x[thread]), which gives the word to store
    in y[thread]."""
    c, tid = kernel(threads, more=more)
    value = c.load(c.at("%x", tid, 1, "i32"), "i32", 1)
    result = body(c, tid, value)
    c.store(result, c.at("%y", tid, 1, "i32"), "i32", 1)
    x = np.arange(count, dtype=np.int32) * 7 - 50 if x is None else x
    done = run(folder, c, x, np.zeros(count, np.int32), *arguments, **options)
    assert done.error is None
    return x, done.outputs[1]


LANES = np.arange(32)
SHUFFLES = {
    ("bfly", 5, 31): LANES ^ 5,
    ("up", 3, 0): np.where(LANES >= 3, LANES - 3, LANES),
    ("down", 3, 31): np.where(LANES + 3 <= 31, LANES + 3, LANES),
    ("idx", 9, 31): np.full(32, 9),
    # Segments of eight lanes.
    ("down", 3, 0x181F): np.where(LANES % 8 + 3 <= 7, LANES + 3, LANES),
    ("idx", 2, 0x181F): LANES // 8 * 8 + 2,
    ("up", 2, 0x1800): np.where(LANES % 8 >= 2, LANES - 2, LANES),
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", SHUFFLES)
def test_shuffle(tmp_path, kind, seed):
    mode, lane, clamp = kind
    x, y = words(tmp_path, lambda c, t, v: c.op(
        f"nvvm.shfl.sync {mode} {c.const(-1)}, {v}, {c.const(lane)}, {c.const(clamp)} : i32 -> i32"), seed=seed)
    assert np.array_equal(y, x[SHUFFLES[kind]])


def test_shuffle_tells_whether_inside(tmp_path):
    def body(c, t, v):
        pair = c.op(f"nvvm.shfl.sync down {c.const(-1)}, {v}, {c.const(4)}, {c.const(31)} "
                    "{return_value_and_is_valid} : i32 -> !llvm.struct<(i32, i1)>")
        inside = c.op(f"llvm.extractvalue {pair}[1] : !llvm.struct<(i32, i1)>")
        return c.op(f"llvm.zext {inside} : i1 to i32")
    assert np.array_equal(words(tmp_path, body)[1], (LANES + 4 <= 31))


def test_votes(tmp_path):
    def body(c, t, v):
        low = c.less(t, 5)
        ballot = c.op(f"nvvm.vote.sync ballot {c.const(-1)}, {low} -> i32")
        any = c.op(f"nvvm.vote.sync any {c.const(-1)}, {low} -> i1")
        all = c.op(f"nvvm.vote.sync all {c.const(-1)}, {low} -> i1")
        uniform = c.op(f"nvvm.vote.sync uni {c.const(-1)}, {low} -> i1")
        result = ballot
        for bit, flag in ((8, any), (9, all), (10, uniform)):
            wide = c.op(f"llvm.zext {flag} : i1 to i32")
            result = c.add(result, c.mul(wide, 1 << bit))
        return result
    assert np.all(words(tmp_path, body)[1] == 31 + 256)


REDUCTIONS = {
    "add": lambda x: x.sum(), "min": lambda x: x.min(), "max": lambda x: x.max(),
    "umin": lambda x: x.view(np.uint32).min(), "umax": lambda x: x.view(np.uint32).max(),
    "and": np.bitwise_and.reduce, "or": np.bitwise_or.reduce, "xor": np.bitwise_xor.reduce,
}


@pytest.mark.parametrize("kind", REDUCTIONS)
def test_redux(tmp_path, kind):
    x, y = words(tmp_path, lambda c, t, v: c.op(f"nvvm.redux.sync {kind} {v}, {c.const(-1)} : i32 -> i32"))
    assert np.all(y == np.array(REDUCTIONS[kind](x)).astype(np.int32))


def test_match(tmp_path):
    x = np.array([i // 3 % 4 for i in range(32)], np.int32)
    _, y = words(tmp_path, lambda c, t, v: c.op(f"nvvm.match.sync any {c.const(-1)}, {v} : i32 -> i32"), x=x)
    masks = [sum(1 << j for j in range(32) if x[j] == x[i]) for i in range(32)]
    assert np.array_equal(y.view(np.uint32), masks)


def test_elect(tmp_path):
    def body(c, t, v):
        chosen = c.op("nvvm.elect.sync -> i1")
        return c.op(f"llvm.zext {chosen} : i1 to i32")
    assert np.array_equal(words(tmp_path, body, 64, threads=64)[1], np.arange(64) % 32 == 0)


def test_barrier_reduction(tmp_path):
    def body(c, t, v):
        low = c.op(f"llvm.zext {c.less(t, 5)} : i1 to i32")
        return c.op(f"nvvm.barrier #nvvm.reduction<popc> {low} -> i32")
    assert np.all(words(tmp_path, body, 64, threads=64)[1] == 5)


PERMUTATIONS = [("default", 0x3210), ("default", 0x7531), ("default", 0xB0A1), ("f4e", 1), ("b4e", 1), ("rc8", 2),
                ("ecl", 1), ("ecr", 2), ("rc16", 1)]


def permuted(mode, selector, a, b):
    """From the tables of the PTX manual."""
    data = list(a.tobytes() + b.tobytes())
    s = selector & 3
    tables = {
        "f4e": [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 6]],
        "b4e": [[0, 7, 6, 5], [1, 0, 7, 6], [2, 1, 0, 7], [3, 2, 1, 0]],
        "rc8": [[0] * 4, [1] * 4, [2] * 4, [3] * 4],
        "ecl": [[0, 1, 2, 3], [1, 1, 2, 3], [2, 2, 2, 3], [3, 3, 3, 3]],
        "ecr": [[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 2, 2], [0, 1, 2, 3]],
        "rc16": [[0, 1, 0, 1], [2, 3, 2, 3], [0, 1, 0, 1], [2, 3, 2, 3]],
    }
    if mode != "default":
        return bytes(data[i] for i in tables[mode][s])
    result = []
    for i in range(4):
        nibble = selector >> 4 * i & 15
        byte = data[nibble & 7]
        result.append((0xFF if byte & 0x80 else 0) if nibble & 8 else byte)
    return bytes(result)


@pytest.mark.parametrize("mode, selector", PERMUTATIONS)
def test_permute(tmp_path, mode, selector):
    def body(c, t, v):
        other = f", {c.const(0x44332211)}" if mode in ("default", "f4e", "b4e") else ""
        return c.op(f"nvvm.prmt #nvvm.permute_mode<{mode}> {c.const(selector)}, {v}{other} : i32")
    x, y = words(tmp_path, body)
    high = np.int32(0x44332211)
    assert all(y[i].tobytes() == permuted(mode, selector, x[i], high) for i in range(32))


def test_approximations(tmp_path):
    """Against the accuracy that the operations promise."""
    x = np.linspace(-3, 3, 32).astype(np.float32)
    functions = {"exp2": np.exp2, "log2": lambda v: np.log2(np.abs(v)), "tanh": np.tanh, "rcp": lambda v: 1 / v}
    for name, function in functions.items():
        def body(c, t, v):
            number = c.op(f"llvm.bitcast {v} : i32 to f32")
            if name == "log2":
                number = c.op(f"llvm.intr.fabs({number}) : (f32) -> f32")
            return c.op(f"llvm.bitcast {c.op(f'attn_nv.{name} {number}')} : f32 to i32")
        y = words(tmp_path, body, x=x.view(np.int32))[1].view(np.float32)
        expected = function(x.astype(np.float64))
        bound = 2.0**-11 if name == "tanh" else 2.0**-22
        assert np.all(np.abs(y - expected) <= bound * np.maximum(np.abs(expected), 1))


def test_exp2_flushes(tmp_path):
    x = np.full(32, -130, np.float32)
    y = words(tmp_path, lambda c, t, v: c.op(
        f"llvm.bitcast {c.op('attn_nv.exp2 ' + c.op(f'llvm.bitcast {v} : i32 to f32'))} : f32 to i32"),
        x=x.view(np.int32))[1]
    assert np.all(y == 0)


@pytest.mark.parametrize("rounding", ["rna", "rn"])
def test_tf32(tmp_path, rounding):
    x = (np.int32(0x3F800000) + np.arange(32, dtype=np.int32) * 0x0800)
    _, y = words(tmp_path, lambda c, t, v: c.op(
        f"nvvm.convert.float.to.tf32 {c.op(f'llvm.bitcast {v} : i32 to f32')} "
        f"{{rnd = #nvvm.fp_rnd_mode<{rounding}>}}"), x=x)
    steps = x / 0x2000
    nearest = np.floor(steps + 0.5) if rounding == "rna" else np.rint(steps)
    assert np.array_equal(y & ~0x1FFF, (nearest * 0x2000).astype(np.int64).astype(np.int32))


ATTRIBUTES = ("shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, "
              "eltType = #nvvm.ld_st_matrix_elt_type<b16>")
I32S = {1: "i32", 2: "!llvm.struct<(i32, i32)>", 4: "!llvm.struct<(i32, i32, i32, i32)>"}


@pytest.mark.parametrize("layout", ["row", "col"])
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("store", [False, True])
def test_matrices(tmp_path, count, layout, store):
    """ldmatrix after plain stores, or plain loads after stmatrix."""
    c, tid = kernel()
    matrix = np.arange(count * 64, dtype=np.uint16).reshape(count, 8, 8)
    row = c.smem(c.mul(c.mod(tid, 8 * count), 16))
    if store:
        parts = [c.load(c.at("%x", c.add(tid, 32 * m), 1, "i32"), "i32", 1) for m in range(count)]
        types = ", ".join(["!llvm.ptr<3>"] + ["i32"] * count)
        c.do(f"nvvm.stmatrix {row}, {', '.join(parts)} {{layout = #nvvm.mma_layout<{layout}>, {ATTRIBUTES}}} : {types}")
        c.do(f"nvvm.bar.warp.sync {c.const(-1)} : i32")
    else:
        for m in range(count):
            word = c.load(c.at("%x", c.add(tid, 32 * m), 1, "i32"), "i32", 1)
            c.store(word, c.smem(c.add(c.mul(tid, 4), 128 * m)), "i32")
        c.do(f"nvvm.bar.warp.sync {c.const(-1)} : i32")
        value = c.op(f"nvvm.ldmatrix {row} {{num = {count} : i32, layout = #nvvm.mma_layout<{layout}>, {ATTRIBUTES}}} "
                     f": (!llvm.ptr<3>) -> {I32S[count]}")
    for m in range(count):
        if store:
            word = c.load(c.smem(c.add(c.mul(tid, 4), 128 * m)), "i32")
        else:
            word = c.field(value, m, I32S[count]) if count > 1 else value
        c.store(word, c.at("%y", c.add(tid, 32 * m), 1, "i32"), "i32", 1)
    done = run(tmp_path, c, matrix, np.zeros_like(matrix))
    assert done.error is None
    expected = matrix.transpose(0, 2, 1) if layout == "col" else matrix
    assert np.array_equal(done.outputs[1], expected)


@pytest.mark.parametrize("type, k", [("f16", 16), ("f16", 8), ("bf16", 16), ("bf16", 8), ("tf32", 8), ("tf32", 4)])
def test_mma(tmp_path, type, k):
    """Fragments by the tables of the PTX manual, loaded word by word."""
    per = 1 if type == "tf32" else 2
    rng = np.random.default_rng(k)
    a, b = rng.standard_normal((16, k)).astype(np.float32), rng.standard_normal((8, k)).astype(np.float32)
    if type == "f16":
        x, y = a.astype(np.float16), b.astype(np.float16)
        a, b = x.astype(np.float64), y.astype(np.float64)
    elif type == "bf16":
        x, y = bf16(a), bf16(b)
        a, b = f32(x).astype(np.float64), f32(y).astype(np.float64)
    else:
        x, y = a, b
        a, b = ((v.view(np.int32) & ~0x1FFF).view(np.float32).astype(np.float64) for v in (a, b))
    c = Code("k", [("x", GLOBAL), ("y", GLOBAL), ("z", GLOBAL)], 32, 0)
    tid = c.register("tid.x")
    group, part = c.div(tid, 4), c.mod(tid, 4)
    row_words = k // per

    def fetch(name, rows, step):
        at = c.add(c.mul(c.add(group, rows), row_words), c.add(part, step))
        word = "vector<2xf16>" if type == "f16" else "i32"
        return c.load(c.at(f"%{name}", at, 1, "i32"), word, 1)

    halves = k // (4 * per)
    fa = [fetch("x", 8 * (r % 2), 4 * (r // 2)) for r in range(2 * halves)]
    fb = [fetch("y", 0, 4 * r) for r in range(halves)]
    zero = c.const("1.0", "f32")
    word = "vector<2xf16>" if type == "f16" else "i32"
    struct = "!llvm.struct<(f32, f32, f32, f32)>"
    ptx = "" if type == "f16" else (f"multiplicandAPtxType = #nvvm.mma_type<{type}>, "
                                    f"multiplicandBPtxType = #nvvm.mma_type<{type}>, ")
    d = c.op(f"nvvm.mma.sync A[{', '.join(fa)}] B[{', '.join(fb)}] C[{', '.join([zero] * 4)}] "
             f"{{layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, {ptx}"
             f"shape = #nvvm.shape<m = 16, n = 8, k = {k}>}} : ({word}, {word}, f32) -> {struct}")
    for i in range(4):
        at = c.add(c.mul(c.add(group, 8 * (i // 2)), 8), c.add(c.mul(part, 2), i % 2))
        c.store(c.field(d, i, struct), c.at("%z", at, 1, "f32"), "f32", 1)
    done = run(tmp_path, c, x, y, np.zeros((16, 8), np.float32))
    assert done.error is None
    assert np.allclose(done.outputs[2], a @ b.T + 1, rtol=2**-23, atol=1e-6)


def test_wgmma_transposed_a(tmp_path):
    """A and B as stored with M and N contiguous, one swizzle atom each."""
    c = Code("k", [("a", GLOBAL), ("b", GLOBAL), ("s", GLOBAL), ("am", MAP), ("bm", MAP)], 128, 3 * 8192)
    tid = c.register("tid.x")
    warp, lane = c.div(tid, 32), c.mod(tid, 32)

    def start():
        c.init(16384, 1)
        c.do("nvvm.fence.mbarrier.init")
        c.expect(16384, 4096)
        c.tma(0, "am", [0, 0], 16384)
        c.tma(8192, "bm", [0, 0], 16384)

    c.only_if(c.equal(tid, 0), start)
    c.barrier()
    c.wait(16384, 0)
    c.do("attn_nv.wgmma_fence")
    a, b = c.descriptor(0, 16, 1024, 128), c.descriptor(8192, 16, 1024, 128)
    s = c.op(f"attn_nv.wgmma f16 {a}, {b} {{trans_a, trans_b}} : i64 -> vector<32xf32>")
    c.do("nvvm.wgmma.commit.group.sync.aligned")
    s = c.op(f"attn_nv.wgmma_wait 0 ({s} : vector<32xf32>)")
    for i in range(32):
        row = c.add(c.add(c.mul(warp, 16), c.div(lane, 4)), 8 * (i // 2 % 2))
        column = c.add(c.mul(c.mod(lane, 4), 2), 8 * (i // 4) + i % 2)
        c.store(c.extract(s, i, "vector<32xf32>"), c.at("%s", c.add(c.mul(row, 64), column), 1, "f32"), "f32", 1)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((16, 64)).astype(np.float16) for _ in range(2))
    box = "box=64x16:swizzle=128"
    done = run(tmp_path, c, a, b, np.zeros((64, 64), np.float32), f"map:0:{box}", f"map:1:{box}")
    assert done.error is None
    assert np.allclose(done.outputs[2], a.T.astype(np.float64) @ b.astype(np.float64), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", [0, 3])
def test_tma_edges(tmp_path, seed):
    """A box that hangs over three edges: zeros outside, and all bytes count."""
    c, tid = kernel(32, 2048, [("m", MAP)])

    def start():
        c.init(1024, 1)
        c.do("nvvm.fence.mbarrier.init")
        c.expect(1024, 8 * 8 * 4)
        c.tma(0, "m", [-4, 6, 1], 1024)

    c.only_if(c.equal(tid, 0), start)
    c.barrier()
    c.wait(1024, 0)
    for i in range(2):
        index = c.add(tid, 32 * i)
        c.store(c.load(c.smem(c.mul(index, 4)), "i32"), c.at("%y", index, 1, "i32"), "i32", 1)
    x = np.arange(3 * 10 * 20, dtype=np.int32).reshape(3, 10, 20)
    done = run(tmp_path, c, x, np.zeros((8, 8), np.int32), "map:0:box=8x8x1", seed=seed)
    assert done.error is None
    expected = np.zeros((8, 8), np.int32)
    expected[:4, 4:] = x[1, 6:10, 0:4]
    assert np.array_equal(done.outputs[1], expected)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cp_async_fills_with_zeros_and_arrives(tmp_path, seed):
    """Source sizes 0, 4, 8, 12, 16; completion on an mbarrier."""
    c, tid = kernel(32, 1024)
    c.only_if(c.equal(tid, 0), lambda: c.init(512, 32))
    c.barrier()
    size = c.mul(c.mod(tid, 5), 4)
    c.cp_async(c.smem(c.mul(tid, 16)), c.at("%x", c.mul(tid, 16), 1), size)
    c.do(f"nvvm.cp.async.mbarrier.arrive {c.smem(512)} {{noinc = true}} : !llvm.ptr<3>")
    c.wait(512, 0)
    other = c.xor(tid, 7)
    value = c.load(c.smem(c.mul(other, 16)), "vector<4xi32>")
    c.store(value, c.at("%y", c.mul(other, 16), 1), "vector<4xi32>", 1)
    x = np.arange(1, 129, dtype=np.int32).reshape(32, 4)
    done = run(tmp_path, c, x, np.zeros_like(x), seed=seed)
    assert done.error is None
    assert np.array_equal(done.outputs[1], np.where(np.arange(4) < np.arange(32)[:, None] % 5, x, 0))


@pytest.mark.parametrize("seed", [0, 1])
def test_bulk_copies(tmp_path, seed):
    c, tid = kernel(32, 1024)

    def move():
        c.init(512, 1)
        c.do("nvvm.fence.mbarrier.init")
        c.expect(512, 128)
        wide = c.op(f"llvm.addrspacecast {c.smem(0)} : !llvm.ptr<3> to !llvm.ptr<7>")
        c.do(f"nvvm.cp.async.bulk.shared.cluster.global {wide}, %x, {c.smem(512)}, {c.const(128)} "
             ": !llvm.ptr<7>, !llvm.ptr<1>")
        c.wait(512, 0)
        c.do(f"nvvm.cp.async.bulk.global.shared.cta %y, {c.smem(0)}, {c.const(128)} : !llvm.ptr<1>, !llvm.ptr<3>")
        c.do("nvvm.cp.async.bulk.commit.group")
        c.do("nvvm.cp.async.bulk.wait_group 0")

    c.only_if(c.equal(tid, 0), move)
    x = np.arange(32, dtype=np.int32)
    done = run(tmp_path, c, x, np.zeros_like(x), seed=seed)
    assert done.error is None
    assert np.array_equal(done.outputs[1], x)


def test_generic_pointers(tmp_path):
    """A generic pointer to shared memory, one to memory of the thread."""
    def body(c, t, v):
        shared = c.op(f"llvm.addrspacecast {c.smem(c.mul(t, 4))} : !llvm.ptr<3> to !llvm.ptr")
        c.do(f"llvm.store {v}, {shared} : i32, !llvm.ptr")
        own = c.op(f"llvm.alloca {c.const(4)} x i32 : (i32) -> !llvm.ptr")
        word = c.op(f"llvm.load {shared} : !llvm.ptr -> i32")
        c.do(f"llvm.store {word}, {own} : i32, !llvm.ptr")
        return c.op(f"llvm.load {own} : !llvm.ptr -> i32")
    x, y = words(tmp_path, body)
    assert np.array_equal(x, y)


def test_atomics(tmp_path):
    def body(c, t, v):
        c.only_if(c.equal(t, 0), lambda: c.store(c.const(0), c.smem(0), "i32"))
        c.barrier()
        c.op(f"llvm.atomicrmw add {c.smem(0)}, {v} monotonic : !llvm.ptr<3>, i32")
        c.barrier()
        return c.load(c.smem(0), "i32")
    x, y = words(tmp_path, body, 64, threads=64)
    assert np.all(y == x.sum())


def test_registers_of_a_grid(tmp_path):
    c = Code("k", [("y", GLOBAL)], 64)
    r = c.register
    index = c.add(c.mul(c.add(c.mul(r("ctaid.y"), r("nctaid.x")), r("ctaid.x")), 64),
                  c.add(c.mul(r("tid.y"), r("ntid.x")), r("tid.x")))
    value = c.add(c.mul(r("laneid"), 100), r("warpid"))
    c.store(c.add(value, c.mul(r("ctaid.y"), 10000)), c.at("%y", index, 1, "i32"), "i32", 1)
    y = np.zeros((3, 2, 64), np.int32)
    done = run(tmp_path, c, y, grid="2,3", threads="16,4")
    assert done.error is None
    t = np.arange(64)
    assert np.array_equal(done.outputs[0], np.arange(3)[:, None, None] * 10000 + t % 32 * 100 + t // 32 + 0 * y)


@pytest.mark.parametrize("stride, wavefronts", [(4, 1), (8, 2), (128, 32), (0, 1)])
def test_bank_conflicts(tmp_path, stride, wavefronts):
    c, tid = kernel(32, 4096)
    if stride:
        c.store(tid, c.smem(c.mul(tid, stride)), "i32")
    else:
        c.only_if(c.equal(tid, 0), lambda: c.store(tid, c.smem(0), "i32"))
        c.do(f"nvvm.bar.warp.sync {c.const(-1)} : i32")
        c.store(c.load(c.smem(0), "i32"), c.at("%y", tid, 1, "i32"), "i32", 1)
    done = run(tmp_path, c, np.zeros(32, np.int32), np.zeros(32, np.int32), statistics=True)
    assert done.error is None
    counts = done.statistics
    extra = 0 if stride else 1
    assert counts["shared_requests"] == 1 + extra
    assert counts["shared_wavefronts"] == wavefronts + extra
    assert counts["shared_ideal"] == 1 + extra


@pytest.mark.parametrize("stride, sectors", [(1, 4), (2, 8), (8, 32)])
def test_sectors(tmp_path, stride, sectors):
    c, tid = kernel(32)
    c.load(c.at("%x", c.mul(tid, stride), 1, "i32"), "i32", 1)
    value = c.load(c.at("%x", c.mul(tid, stride), 1, "i32"), "i32", 1)
    c.store(value, c.at("%y", tid, 1, "i32"), "i32", 1)
    done = run(tmp_path, c, np.zeros(256, np.int32), np.zeros(32, np.int32), statistics=True)
    assert done.error is None
    assert done.statistics["global_sectors"] == 2 * sectors + 4
    assert done.statistics["global_requests"] == 3
    assert done.statistics["global_bytes"] == 3 * 128
