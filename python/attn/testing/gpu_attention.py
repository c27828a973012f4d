# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attention for the emulator, the way of sm_90a: a producer warp, rings filled
by TMA, two consumer warpgroups that take turns, the next scores before this
softmax. Takes the names of faults to have."""

from attn.testing.gpu_code import GLOBAL, MAP, Code

ROWS, KEYS, DEPTH = 128, 64, 64
TILE = KEYS * DEPTH * 2
Q_AT, K_AT, V_AT = 0, ROWS * DEPTH * 2, ROWS * DEPTH * 2 + 2 * TILE
FULL_K = V_AT + 2 * TILE
FULL_V, EMPTY_K, EMPTY_V, FULL_Q = FULL_K + 16, FULL_K + 32, FULL_K + 48, FULL_K + 64
SUMS = "vector<32xf32>"
PART = "vector<4xi32>"


class Kernel(Code):
    """Words that the kernel needs besides those of every kernel."""

    def f32(self, value):
        return self.const(value, "f32")

    def fmul(self, a, b):
        return self.op(f"llvm.fmul {a}, {b} : f32")

    def fadd(self, a, b):
        return self.op(f"llvm.fadd {a}, {b} : f32")

    def fma(self, a, b, d):
        return self.op(f"llvm.intr.fma({a}, {b}, {d}) : (f32, f32, f32) -> f32")

    def fmax(self, a, b):
        return self.op(f"llvm.intr.maxnum({a}, {b}) : (f32, f32) -> f32")

    def across(self, value, combine):
        """Over the four lanes that hold a row."""
        for distance in (1, 2):
            other = self.op(f"nvvm.shfl.sync bfly {self.const(-1)}, {value}, {self.const(distance)}, {self.const(31)} "
                            ": f32 -> f32")
            value = combine(value, other)
        return value

    def mma(self, a, b, accumulator, of, flags=""):
        more = f", {accumulator}" if accumulator else ""
        return self.op(f"attn_nv.wgmma bf16 {a}, {b}{more}{flags} : {of} -> {SUMS}")

    def finish(self, pending, value):
        return self.op(f"attn_nv.wgmma_wait {pending} ({value} : {SUMS})")

    def commit(self):
        self.do("nvvm.wgmma.commit.group.sync.aligned")

    def stage(self, base, j, size):
        """Where the ring's element for tile j starts."""
        return self.add(self.mul(self.mod(j, 2), size), base)

    def phase(self, j):
        return self.mod(self.div(j, 2), 2)

    def wait_at(self, barrier, parity):
        self.do(f"attn_nv.mbarrier_wait {self.smem(barrier)}, {self.value(parity)}")

    def release(self, barrier, lead):
        self.do(f"attn_nv.mbarrier_arrive {self.smem(barrier)} if {lead}")


def attention(faults=()):
    """o [128, 64] = softmax(scale q k^T) v over `tiles` tiles of 64 keys, for
    one block of 384 threads; scale includes log2(e)."""
    names = [("o", GLOBAL), ("tiles", "i32"), ("scale", "f32"), ("qm", MAP), ("km", MAP), ("vm", MAP)]
    c = Kernel("attention", [("q", GLOBAL), ("k", GLOBAL), ("v", GLOBAL), *names], 384, FULL_Q + 8)
    tid = c.register("tid.x")
    warp = c.op(f"nvvm.shfl.sync idx {c.const(-1)}, {c.div(tid, 32)}, {c.const(0)}, {c.const(31)} : i32 -> i32")
    group, lane = c.div(warp, 4), c.mod(tid, 32)

    def start():
        for stage in (0, 8):
            for full in (FULL_K, FULL_V):
                c.init(full + stage, 1)
            for empty in (EMPTY_K, EMPTY_V):
                c.init(empty + stage, 8)
        c.init(FULL_Q, 1)
        c.do("nvvm.fence.mbarrier.init")

    c.only_if(c.equal(tid, 0), start)
    c.barrier()
    c.do(f"llvm.cond_br {c.equal(group, 0)}, ^producer, ^consumer")
    c.block("producer")
    c.do("nvvm.setmaxregister decrease 24")
    c.do(f"llvm.cond_br {c.equal(warp, 0)}, ^first, ^end")
    c.block("first")
    c.do(f"llvm.cond_br {c.op('nvvm.elect.sync -> i1')}, ^fill, ^end")
    c.block("fill")
    produce(c)
    c.block("consumer")
    c.do("nvvm.setmaxregister increase 240")
    consume(c, group, warp, lane, faults)
    c.block("end")
    return c


def produce(c):
    c.expect(FULL_Q, ROWS * DEPTH * 2)
    c.tma(Q_AT, "qm", [0, 0], FULL_Q)
    c.do(f"llvm.br ^fetch({c.const(0)} : i32)")
    c.block("fetch(%pj: i32)")
    row = c.mul("%pj", KEYS)
    # The first pass over a ring finds it empty.
    parity = c.xor(c.phase("%pj"), 1)
    for base, name, full, empty in ((K_AT, "km", FULL_K, EMPTY_K), (V_AT, "vm", FULL_V, EMPTY_V)):
        c.wait_at(c.stage(empty, "%pj", 8), parity)
        full = c.stage(full, "%pj", 8)
        c.expect(full, TILE)
        c.tma(c.stage(base, "%pj", TILE), name, [0, row], full)
    following = c.add("%pj", 1)
    c.do(f"llvm.cond_br {c.less(following, '%tiles')}, ^fetch({following} : i32), ^end")


def consume(c, group, warp, lane, faults):
    consumer = c.sub(group, 1)
    lead = c.equal(lane, 0)
    zero = c.f32("0.0")
    q_at = c.add(c.mul(consumer, 64 * DEPTH * 2), Q_AT)

    def scores(j):
        at, s = c.stage(K_AT, j, TILE), None
        c.do("attn_nv.wgmma_fence")
        for k in range(DEPTH // 16):
            q = c.descriptor(c.add(q_at, 32 * k), 16, 1024, 128)
            key = c.descriptor(c.add(at, 32 * k), 16, 1024, 128)
            s = c.mma(q, key, s, "i64")
        c.commit()
        return s

    def values(j, p, o):
        at = c.stage(V_AT, j, TILE)
        c.do("attn_nv.wgmma_fence")
        for k in range(KEYS // 16):
            v = c.descriptor(c.add(at, 2048 * k), TILE, 1024, 128)
            o = c.mma(p[k], v, o, PART, " {trans_b}")
        c.commit()
        return o

    def softmax(s, m):
        """The new maxima, the factors of what was before, the weights, their
        sums in this thread."""
        element = [c.extract(s, i, SUMS) for i in range(32)]
        rows = [[e for i, e in enumerate(element) if i // 2 % 2 == r] for r in (0, 1)]
        top, factor, sums, weights = [], [], [], {}
        for r in (0, 1):
            best = m[r]
            for e in rows[r]:
                best = c.fmax(best, e)
            top.append(c.across(best, c.fmax))
            shift = c.op(f"llvm.fneg {c.fmul(top[r], '%scale')} : f32")
            factor.append(c.op(f"attn_nv.exp2 {c.fma(m[r], '%scale', shift)}"))
            total = None
            for i in range(32):
                if i // 2 % 2 == r:
                    weights[i] = c.op(f"attn_nv.exp2 {c.fma(element[i], '%scale', shift)}")
                    total = c.fadd(total, weights[i]) if total else weights[i]
            sums.append(total)
        return top, factor, [weights[i] for i in range(32)], sums

    def pack(w):
        words = []
        for i in range(16):
            pair = c.op(f"nvvm.convert.f32x2.to.bf16x2 {w[2 * i + 1]}, {w[2 * i]} {{rnd = #nvvm.fp_rnd_mode<rn>}} "
                        ": vector<2xbf16>")
            words.append(c.op(f"llvm.bitcast {pair} : vector<2xbf16> to i32"))
        parts = []
        for k in range(4):
            part = c.op(f"llvm.mlir.poison : {PART}")
            for r in range(4):
                part = c.insert(part, words[4 * k + r], r, PART)
            parts.append(part)
        return parts

    def rescale(o, factor):
        for i in range(32):
            o = c.insert(o, c.fmul(c.extract(o, i, SUMS), factor[i // 2 % 2]), i, SUMS)
        return o

    # The second consumer lets the first one go ahead.
    c.only_if(c.equal(consumer, 1), lambda: c.do(f"nvvm.barrier.arrive id = {c.const(1)} number_of_threads = {c.const(256)}"))
    c.wait_at(FULL_Q, 0)
    c.wait_at(FULL_K, 0)
    s = c.finish(0, scores(c.const(0)))
    c.release(EMPTY_K, lead)
    low = c.f32("0xFF800000")
    m, _, w, l = softmax(s, [low, low])
    p = pack(w)
    empty = c.op(f"llvm.mlir.zero : {SUMS}")
    types = ", ".join(["i32", SUMS] + [PART] * 4 + ["f32"] * 4)
    names = ["j", "o", "p0", "p1", "p2", "p3", "m0", "m1", "l0", "l1"]

    def state(j, o, p, m, l):
        return f"({', '.join([j, o, *p, *m, *l])} : {types})"

    begin = state(c.const(1), empty, p, m, l)
    c.do(f"llvm.cond_br {c.less(c.const(1), '%tiles')}, ^loop{begin}, ^last{begin}")
    c.block("loop(" + ", ".join(f"%{n}: {t}" for n, t in zip(names, types.split(", "))) + ")")
    j, o, p, m, l = "%j", "%o_", [f"%p{i}" for i in range(4)], ["%m0", "%m1"], ["%l0", "%l1"]
    c.lines[-1] = c.lines[-1].replace("%o:", "%o_:")
    c.wait_at(c.stage(FULL_K, j, 8), c.phase(j))
    c.barrier(c.add(consumer, 1), 256)
    s = scores(j)
    before = c.sub(j, 1)
    if "missing-v-wait" not in faults:
        c.wait_at(c.stage(FULL_V, before, 8), c.phase(before))
    o = values(before, p, o)
    c.do(f"nvvm.barrier.arrive id = {c.sub(2, consumer)} number_of_threads = {c.const(256)}")
    s = c.finish(1, s)
    if "o-too-early" in faults:
        o = c.finish(1, o)
    c.release(c.stage(EMPTY_K, j, 8), lead)
    if "early-v-release" in faults:
        c.release(c.stage(EMPTY_V, before, 8), lead)
    m, factor, w, sums = softmax(s, m)
    l = [c.fma(l[r], factor[r], sums[r]) for r in (0, 1)]
    o = c.finish(0, o)
    if not {"missing-v-release", "early-v-release"} & set(faults):
        c.release(c.stage(EMPTY_V, before, 8), lead)
    o = rescale(o, factor)
    p = pack(w)
    following = c.add(j, 1)
    again = state(following, o, p, m, l)
    c.do(f"llvm.cond_br {c.less(following, '%tiles')}, ^loop{again}, ^last{again}")
    c.block("last(" + ", ".join(f"%e{n}: {t}" for n, t in zip(names, types.split(", "))) + ")")
    last = c.sub("%tiles", 1)
    c.wait_at(c.stage(FULL_V, last, 8), c.phase(last))
    o = c.finish(0, values(last, [f"%ep{i}" for i in range(4)], "%eo"))
    share = []
    for r in (0, 1):
        total = c.across(f"%el{r}", c.fadd)
        share.append(c.op(f"attn_nv.rcp {total}"))
    # Each turn but the first consumer's first was announced once.
    c.only_if(c.equal(consumer, 0), lambda: c.barrier(1, 256))
    row = c.add(c.add(c.mul(c.sub(warp, 4), 16), c.div(lane, 4)), 0)
    for i in range(32):
        place = c.add(c.mul(c.add(row, 8 * (i // 2 % 2)), DEPTH), c.add(c.mul(c.mod(lane, 4), 2), 8 * (i // 4) + i % 2))
        value = c.fmul(c.extract(o, i, SUMS), share[i // 2 % 2])
        c.store(value, c.at("%o", place, 1, "f32"), "f32", 1)
    c.branch("end")
