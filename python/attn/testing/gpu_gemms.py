# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Matrix products for the emulator: sm_80's way and sm_90a's way. Each takes
the names of faults to have."""

from attn.testing.gpu_code import GLOBAL, MAP, Code

STRUCT4 = "!llvm.struct<(i32, i32, i32, i32)>"
STRUCT2 = "!llvm.struct<(i32, i32)>"
SUMS = "!llvm.struct<(f32, f32, f32, f32)>"


def mma_gemm(steps=3, faults=()):
    """C [64, 32] = A [64, 32 steps] B [32, 32 steps]^T: cp.async into a ring of
    two stages, ldmatrix, mma.sync m16n8k16. Four warps of 16 rows."""
    c = Code("mma_gemm", [("a", GLOBAL), ("b", GLOBAL), ("c", GLOBAL)], 128, 2 * 6144)
    width = 32 * steps
    tid = c.register("tid.x")
    warp, lane = c.div(tid, 32), c.mod(tid, 32)

    def place(row, piece, swizzle=True):
        """The offset of 16 bytes in a tile with rows of 64."""
        if swizzle:
            piece = c.xor(piece, c.mod(c.div(row, 2), 4))
        return c.add(c.mul(row, 64), c.mul(piece, 16))

    def fetch(step):
        for tile, first in (("a", 0), ("a", 128), ("b", 0)):
            base = step % 2 * 6144 + (4096 if tile == "b" else 0)
            index = c.add(tid, first)
            row, piece = c.div(index, 4), c.mod(index, 4)
            element = c.add(c.mul(row, width), c.add(c.mul(piece, 8), 32 * step))
            if "global-bounds" in faults and tile == "b" and step == steps - 1:
                element = c.add(element, 8)
            to = c.add(place(row, piece), base)
            if "misaligned-copy" in faults:
                to = c.add(to, 8)
            c.cp_async(c.smem(to), c.at(f"%{tile}", element, 1, "bf16"))
        c.do("nvvm.cp.async.commit.group")

    bf = "#nvvm.mma_type<bf16>"
    shape = "shape = #nvvm.shape<m = 16, n = 8, k = 16>"
    zero = c.const("0.0", "f32")
    sums = [[zero] * 4 for _ in range(4)]
    fetch(0)
    for step in range(steps):
        if step + 1 < steps:
            fetch(step + 1)
        if "missing-wait" not in faults:
            c.do(f"nvvm.cp.async.wait.group {1 if step + 1 < steps else 0}")
        if "missing-barrier" not in faults:
            c.barrier()
        base = step % 2 * 6144
        plain = "wrong-swizzle" not in faults
        for k in range(2):
            row = c.add(c.mod(lane, 16), c.mul(warp, 16))
            piece = c.add(c.div(lane, 16), 2 * k)
            at = c.smem(c.add(place(row, piece, plain), base))
            a = c.op(f"nvvm.ldmatrix {at} {{num = 4 : i32, layout = #nvvm.mma_layout<row>, "
                     "shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} "
                     f": (!llvm.ptr<3>) -> {STRUCT4}")
            a = [c.field(a, i, STRUCT4) for i in range(4)]
            if "wrong-fragment" in faults:
                a[1], a[2] = a[2], a[1]
            for n in range(4):
                row = c.add(c.mod(lane, 8), 8 * n)
                piece = c.add(c.mod(c.div(lane, 8), 2), 2 * k)
                at = c.smem(c.add(place(row, piece), base + 4096))
                b = c.op(f"nvvm.ldmatrix {at} {{num = 2 : i32, layout = #nvvm.mma_layout<row>, "
                         "shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} "
                         f": (!llvm.ptr<3>) -> {STRUCT2}")
                b = [c.field(b, i, STRUCT2) for i in range(2)]
                types = "(i32, i32, f32)"
                d = c.op(f"nvvm.mma.sync A[{', '.join(a)}] B[{', '.join(b)}] C[{', '.join(sums[n])}] "
                         "{layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, "
                         f"multiplicandAPtxType = {bf}, multiplicandBPtxType = {bf}, {shape}}} : {types} -> {SUMS}")
                sums[n] = [c.field(d, i, SUMS) for i in range(4)]
        if "missing-second-barrier" not in faults:
            c.barrier()
    for n in range(4):
        for i in range(4):
            row = c.add(c.add(c.mul(warp, 16), c.div(lane, 4)), 8 * (i // 2))
            column = c.add(c.mul(c.mod(lane, 4), 2), 8 * n + i % 2)
            c.store(sums[n][i], c.at("%c", c.add(c.mul(row, 32), column), 1, "f32"), "f32", 1)
    return c


def wgmma_gemm(tiles=2, values=64, faults=()):
    """O [64, values] = sum over key tiles j of (Q K_j^T) V_j for tiles of 64
    keys and 64 columns of Q: TMA with a ring of one stage, filled by warp 4,
    emptied by warps 0 to 3; S by wgmma from shared memory, O by wgmma with S,
    rounded to bf16, in registers and V as stored."""
    half = 8192
    k_at, v_at, bars = half, 2 * half, 2 * half + values * 128
    full_q, full, empty = bars, bars + 8, bars + 16
    parameters = [("q", GLOBAL), ("k", GLOBAL), ("v", GLOBAL), ("o", GLOBAL),
                  ("qm", MAP), ("km", MAP), ("vm", MAP)]
    c = Code("wgmma_gemm", parameters, 160, bars + 64)
    tid = c.register("tid.x")
    warp, lane = c.div(tid, 32), c.mod(tid, 32)

    def start():
        c.init(full_q, 1)
        c.init(full, 2 if "arrive-count" in faults else 1)
        c.init(empty, 4)
        if "missing-init-fence" not in faults:
            c.do("nvvm.fence.mbarrier.init")

    c.only_if(c.equal(tid, 0), start)
    c.barrier()

    def produce():
        c.expect(full_q, half)
        c.tma(0, "qm", [0, 0], full_q)
        for j in range(tiles):
            if j and "missing-empty-wait" not in faults:
                c.wait(empty, (j - 1) % 2)
            size = half + values * 128
            c.expect(full, size - 16 if "wrong-bytes" in faults else size)
            c.tma(k_at, "km", [0, 64 * j], full)
            for part in range(values // 64):
                c.tma(v_at + half * part, "vm", [64 * part, 64 * j], full)

    def consume():
        swizzle = 64 if "wrong-swizzle" in faults else 128
        registers = values // 2
        s_type, o_type = "vector<32xf32>", f"vector<{registers}xf32>"
        sums = None
        c.wait(full_q, 0)
        for j in range(tiles):
            if "missing-full-wait" not in faults:
                c.wait(full, j % 2)
            if "missing-wgmma-fence" not in faults:
                c.do("attn_nv.wgmma_fence")
            s = None
            for k in range(4):
                q = c.descriptor(32 * k, 16, 1024, swizzle)
                key = c.descriptor(k_at + 32 * k, 16, 1024, 128)
                s = c.op(f"attn_nv.wgmma bf16 {q}, {key}{', ' + s if s else ''} : i64 -> {s_type}")
            c.do("nvvm.wgmma.commit.group.sync.aligned")
            if "missing-wgmma-wait" not in faults:
                s = c.op(f"attn_nv.wgmma_wait 0 ({s} : {s_type})")
            p = []
            for i in range(16):
                low, high = c.extract(s, 2 * i, s_type), c.extract(s, 2 * i + 1, s_type)
                pair = c.op(f"nvvm.convert.f32x2.to.bf16x2 {high}, {low} {{rnd = #nvvm.fp_rnd_mode<rn>}} : vector<2xbf16>")
                p.append(c.op(f"llvm.bitcast {pair} : vector<2xbf16> to i32"))
            c.do("attn_nv.wgmma_fence")
            for k in range(4):
                order = (0, 2, 1, 3) if "wrong-fragment" in faults else (0, 1, 2, 3)
                a = c.op("llvm.mlir.poison : vector<4xi32>")
                for r in range(4):
                    a = c.insert(a, p[4 * k + order[r]], r, "vector<4xi32>")
                v = c.descriptor(v_at + 2048 * k, half, 1024, 128)
                sums = c.op(f"attn_nv.wgmma bf16 {a}, {v}{', ' + sums if sums else ''} {{trans_b}} "
                            f": vector<4xi32> -> {o_type}")
            c.do("nvvm.wgmma.commit.group.sync.aligned")
            lead = c.equal(lane, 0)
            if "early-release" in faults:
                c.do(f"attn_nv.mbarrier_arrive {c.smem(empty)} if {lead}")
            pending = 1 if "wait-leaves-one" in faults else 0
            sums = c.op(f"attn_nv.wgmma_wait {pending} ({sums} : {o_type})")
            if "early-release" not in faults and "missing-release" not in faults:
                c.do(f"attn_nv.mbarrier_arrive {c.smem(empty)} if {lead}")
        for i in range(registers):
            row = c.add(c.add(c.mul(warp, 16), c.div(lane, 4)), 8 * (i // 2 % 2))
            column = c.add(c.mul(c.mod(lane, 4), 2), 8 * (i // 4) + i % 2)
            at = c.at("%o", c.add(c.mul(row, values), column), 1, "f32")
            c.store(c.extract(sums, i, o_type), at, "f32", 1)

    is_consumer = c.less(warp, 4)
    c.do(f"llvm.cond_br {is_consumer}, ^consumer, ^producer")
    c.block("producer")
    c.only_if(c.equal(tid, 128), produce)
    c.branch("end")
    c.block("consumer")
    consume()
    c.branch("end")
    c.block("end")
    return c


def layout_gemm(swizzle, faults=()):
    """S [64, 64] = Q K^T with as many columns as a row of the swizzle has (64
    without one): each swizzle of the tensor map against that of wgmma."""
    depth = swizzle // 2 or 64
    tile = 64 * depth * 2
    bar = 2 * tile
    parameters = [("q", GLOBAL), ("k", GLOBAL), ("s", GLOBAL), ("qm", MAP), ("km", MAP)]
    c = Code("layout_gemm", parameters, 128, bar + 16)
    tid = c.register("tid.x")
    warp, lane = c.div(tid, 32), c.mod(tid, 32)

    def start():
        c.init(bar, 1)
        c.do("nvvm.fence.mbarrier.init")
        c.expect(bar, 2 * tile)
        for at, name in ((0, "qm"), (tile, "km")):
            if swizzle:
                c.tma(at, name, [0, 0], bar)
            else:
                for part in range(8):
                    c.tma(at + 1024 * part, name, [8 * part, 0], bar)

    c.only_if(c.equal(tid, 0), start)
    c.barrier()
    c.wait(bar, 0)
    c.do("attn_nv.wgmma_fence")
    s = None
    for k in range(depth // 16):
        step, leading, stride = (32 * k, 16, 8 * swizzle) if swizzle else (2048 * k, 1024, 128)
        q = c.descriptor(step, leading, stride, swizzle)
        key = c.descriptor(tile + step, leading, stride, swizzle)
        s = c.op(f"attn_nv.wgmma bf16 {q}, {key}{', ' + s if s else ''} : i64 -> vector<32xf32>")
    c.do("nvvm.wgmma.commit.group.sync.aligned")
    s = c.op(f"attn_nv.wgmma_wait 0 ({s} : vector<32xf32>)")
    for i in range(32):
        row = c.add(c.add(c.mul(warp, 16), c.div(lane, 4)), 8 * (i // 2 % 2))
        column = c.add(c.mul(c.mod(lane, 4), 2), 8 * (i // 4) + i % 2)
        at = c.at("%s", c.add(c.mul(row, 64), column), 1, "f32")
        c.store(c.extract(s, i, "vector<32xf32>"), at, "f32", 1)
    return c
