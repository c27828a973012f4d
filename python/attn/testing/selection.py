# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Cases of the operations that choose heads, keys and parts of a sequence."""

from dataclasses import dataclass

import numpy as np

from attn.reference import selection

from .cases import Argument, Case
from .dtypes import ROUNDOFF, TINY


def _text(number):
    return f"{number:.17e}"


def _attributes(**values):
    parts = []
    for name, value in values.items():
        if value is True:
            parts.append(name)
        elif isinstance(value, float):
            parts.append(f"{name} = {_text(value)}")
        elif value not in (None, False):
            parts.append(f"{name} = {value} : i64")
    return " {" + ", ".join(parts) + "}" if parts else ""


@dataclass(frozen=True)
class TopKCase(Case):
    lead: tuple = (2, 3)
    N: int = 9
    K: int = 4
    dtype: str = "f32"
    index_type: str = "i32"
    by: str = None
    bound: float = None
    first: int = 0
    last: int = 0
    # Each of these: None, a number (operand of type index), or a shape.
    budget: object = None
    limits: object = None
    own: object = None
    levels: int = 0  # this many distinct scores, for ties; 0: all differ
    special: bool = False  # NaN, infinities and both zeros among the scores
    dynamic: bool = False
    dynamic_K: bool = False
    capacity: int = None  # the operand, if it is not K
    seed: int = 0

    def _lead(self, name, dtype, *more, dynamic=()):
        rank = len(self.lead)
        dims = set(range(rank)) if self.dynamic else set()
        return Argument(name, dtype, (*self.lead, *more), frozenset(dims | set(dynamic)))

    def _rows(self, name):
        given = getattr(self, name)
        if given is None:
            return []
        if isinstance(given, int):
            return [Argument(name, "index")]
        dims = frozenset(range(len(given)) if self.dynamic else ())
        return [Argument(name, self.index_type, given, dims)]

    def arguments(self):
        last = {len(self.lead)} if self.dynamic else set()
        result = [self._lead("scores", self.dtype, self.N, dynamic=last)]
        for name in ("budget", "limits", "own"):
            result += self._rows(name)
        if self.dynamic_K:
            result.append(Argument("capacity", "index"))
        return result

    def results(self):
        last = {len(self.lead)} if self.dynamic_K else set()
        return [self._lead("indices", self.index_type, self.K, dynamic=last),
                self._lead("counts", self.index_type)]

    def body(self):
        types = {a.name: a.type for a in self.arguments()}
        clauses = "".join(f" {n}(%{n} : {types[n]})" for n in ("budget", "limits", "own")
                          if n in types)
        if self.dynamic_K:
            clauses += " capacity(%capacity)"
        by = f" by {self.by}" if self.by else ""
        attributes = _attributes(bound=self.bound, forced_first=self.first, forced_last=self.last)
        results = ", ".join(r.type for r in self.results())
        return (f"%r0, %r1 = attn.top_k %scores{by}{clauses}{attributes} : "
                f"{types['scores']} -> {results}")

    def values(self, rng):
        shape = (*self.lead, self.N)
        if self.levels:
            scores = rng.integers(-self.levels // 2, self.levels // 2 + 1, shape).astype(float)
        else:
            # Numbers that every type holds and that all differ.
            count = int(np.prod(self.lead))
            rows = [rng.permutation(self.N) - self.N // 3 for _ in range(count)]
            scores = np.array(rows, float).reshape(shape) / 8
        if self.special:
            pick = rng.integers(0, 8, shape)
            for i, number in enumerate((np.nan, -np.inf, np.inf, 0.0, -0.0)):
                scores[pick == i] = number
        values = [scores]
        for name in ("budget", "limits", "own"):
            given = getattr(self, name)
            if isinstance(given, int):
                values.append(np.array(given))
            elif given is not None:
                top = self.K if name == "budget" else self.N
                values.append(rng.integers(-1, top + 2, given))
        if self.dynamic_K:
            values.append(np.array(self.K if self.capacity is None else self.capacity))
        return values

    def expected(self, values):
        named = {a.name: v for a, v in zip(self.arguments(), values)}
        indices, counts = selection.top_k(
            named["scores"], self.K, budget=named.get("budget"), limits=named.get("limits"),
            own=named.get("own"), by=self.by or "count", bound=self.bound,
            forced_first=self.first, forced_last=self.last)
        return [(indices, 0), (counts, 0)]


@dataclass(frozen=True)
class RouteCase(Case):
    kind: str = "linear"
    B: int = 2
    S: int = 5
    C: int = 6
    H: int = 6  # all heads
    E: int = 4  # routed ones
    k: int = 2
    shared: bool = False
    alpha: bool = False
    renormalize: bool = False
    hard: bool = False
    scales: tuple = (1.0, 1.0, 1.0)  # routed, shared, alpha
    dtype: str = "f32"
    levels: int = 0
    special: bool = False
    dynamic: bool = False
    seed: int = 0

    def arguments(self):
        def tensor(name, shape, dims):
            return Argument(name, self.dtype, shape, frozenset(dims if self.dynamic else ()))

        if self.kind == "qnorm":
            return [tensor("x", (self.B, self.H, self.S, self.C), {0, 2})]
        heads = {"shared": self.H - self.E, "alpha": 2}
        present = [name for name in heads if getattr(self, name)]
        if self.kind == "logits":
            return [tensor("x", (self.B, self.S, self.E), {0, 1})] + [
                tensor(name, (self.B, self.S, heads[name]), {0, 1}) for name in present]
        return [tensor("x", (self.B, self.S, self.C), {0, 1}),
                tensor("routed", (self.E, self.C), ())] + [
            tensor(name, (heads[name], self.C), ()) for name in present]

    def results(self):
        return [Argument("gates", self.dtype, (self.B, self.S, self.H),
                         frozenset({0, 1} if self.dynamic else ()))]

    def body(self):
        types = {a.name: a.type for a in self.arguments()}
        clauses = "".join(f" {n}(%{n} : {t})" for n, t in types.items() if n != "x")
        routed, shared, alpha = self.scales
        attributes = _attributes(
            top_k=self.k, renormalize=self.renormalize, hard=self.hard, routed_scale=routed,
            shared_scale=shared, alpha_scale=alpha,
            num_shared=self.H - self.E if self.kind == "qnorm" else None)
        if "top_k" not in attributes:
            attributes = " {top_k = 0 : i64," + attributes[2:]
        return (f"%r0 = attn.route_heads {self.kind} %x{clauses}{attributes} : "
                f"{types['x']} -> {self.results()[0].type}")

    def values(self, rng):
        values = []
        for argument in self.arguments():
            if self.levels:
                value = rng.integers(0, self.levels, argument.shape).astype(float)
            elif argument.name == "x" and self.kind == "logits":
                # Logits far enough apart that rounding does not change places.
                value = rng.permuted(np.tile(np.arange(self.E) / 4, (self.B, self.S, 1)), axis=2)
            else:
                value = rng.integers(-8, 9, argument.shape) / 4
            if self.special and argument.name == "x":
                pick = rng.integers(0, 6, value.shape)
                value[pick == 0] = np.nan
                value[pick == 1] = -np.inf
            values.append(value)
        return values

    def expected(self, values):
        named = {a.name: v for a, v in zip(self.arguments(), values)}
        routed, shared, alpha = self.scales
        gates = selection.route_heads(
            self.kind, named["x"], heads=self.H, top_k_heads=self.k, routed=named.get("routed"),
            shared=named.get("shared"), alpha=named.get("alpha"), num_shared=self.H - self.E,
            renormalize=self.renormalize, hard=self.hard, routed_scale=routed,
            shared_scale=shared, alpha_scale=alpha)
        # Logits are exact sums of products of small fractions; norms round.
        u = ROUNDOFF["f64" if self.dtype == "f64" else "f32"]
        error = (32 + 8 * self.H + 4 * self.C) * u * np.abs(gates)
        if self.kind == "qnorm" and not self.hard:
            error = error + 64 * (self.C + self.H) * u * np.abs(gates)
        return [(gates, error + ROUNDOFF[self.dtype] * np.abs(gates) + TINY[self.dtype])]


@dataclass(frozen=True)
class ListRowsCase(Case):
    B: int = 2
    S: int = 7
    H: int = 3
    dtype: str = "f32"
    index_type: str = "i32"
    share: float = 0.5
    special: bool = False
    dynamic: bool = False
    seed: int = 0

    def arguments(self):
        dims = frozenset({0, 1, 2} if self.dynamic else ())
        return [Argument("gates", self.dtype, (self.B, self.S, self.H), dims)]

    def results(self):
        dims = frozenset({0, 1, 2} if self.dynamic else ())
        return [Argument("rows", self.index_type, (self.B, self.H, self.S), dims),
                Argument("counts", self.index_type, (self.B, self.H), dims - {2}),
                Argument("weights", self.dtype, (self.B, self.H, self.S), dims)]

    def body(self):
        results = ", ".join(r.type for r in self.results())
        return (f"%r0, %r1, %r2 = attn.list_rows %gates : {self.arguments()[0].type} -> "
                f"{results}")

    def values(self, rng):
        gates = rng.integers(1, 9, (self.B, self.S, self.H)) / 4
        gates[rng.random(gates.shape) >= self.share] = 0
        if self.special:
            gates[:, ::3] = np.nan
        return [gates]

    def expected(self, values):
        return [(x, 0) for x in selection.list_rows(values[0])]


@dataclass(frozen=True)
class PoolCase(Case):
    kind: str = "mean"
    B: int = 2
    H: int = 2
    S: int = 10
    D: int = 5
    block: int = None
    bounds: tuple = None  # rows of bounds: 1 or B
    lengths: object = None  # a number, or one for each batch entry
    dtype: str = "f32"
    index_type: str = "i64"
    dynamic: bool = False
    seed: int = 0

    def arguments(self):
        dims = frozenset({0, 2} if self.dynamic else ())
        result = [Argument("x", self.dtype, (self.B, self.H, self.S, self.D), dims)]
        if self.bounds:
            shape = (len(self.bounds), len(self.bounds[0]))
            dims = frozenset({0, 1} if self.dynamic else ())
            result.append(Argument("bounds", self.index_type, shape, dims))
        if isinstance(self.lengths, int):
            result.append(Argument("lengths", "index"))
        elif self.lengths is not None:
            dims = frozenset({0} if self.dynamic else ())
            result.append(Argument("lengths", self.index_type, (self.B,), dims))
        return result

    def results(self):
        parts = len(self.bounds[0]) - 1 if self.bounds else -(-self.S // self.block)
        dims = frozenset({0, 2} if self.dynamic else ())
        return [Argument("output", self.dtype, (self.B, self.H, parts, self.D), dims)]

    def body(self):
        types = {a.name: a.type for a in self.arguments()}
        clauses = "".join(f" {n}(%{n} : {t})" for n, t in types.items() if n != "x")
        return (f"%r0 = attn.pool {self.kind} %x{clauses}{_attributes(block=self.block)} : "
                f"{types['x']} -> {self.results()[0].type}")

    def values(self, rng):
        values = [rng.standard_normal((self.B, self.H, self.S, self.D))]
        if self.bounds:
            values.append(np.array(self.bounds))
        if self.lengths is not None:
            values.append(np.array(self.lengths))
        return values

    def expected(self, values):
        named = {a.name: v for a, v in zip(self.arguments(), values)}
        given = {n: named.get(n) for n in ("bounds", "lengths")}
        output = selection.pool(self.kind, named["x"], block=self.block, **given)
        u = ROUNDOFF["f64" if self.dtype == "f64" else "f32"]
        size = self.S * np.abs(named["x"]).max(initial=0)
        return [(output, (self.S + 4) * u * size + ROUNDOFF[self.dtype] * np.abs(output))]


@dataclass(frozen=True)
class SegmentCase(Case):
    B: int = 2
    L: int = 20
    cuts: int = 4
    distance: int = 2
    threshold: float = 0.0
    levels: int = 0
    special: bool = False
    operand: bool = False  # the number of cuts is one
    dtype: str = "f32"
    index_type: str = "i32"
    dynamic: bool = False
    seed: int = 0

    def arguments(self):
        dims = frozenset({0, 1} if self.dynamic else ())
        result = [Argument("logits", self.dtype, (self.B, self.L), dims)]
        return result + ([Argument("cuts", "index")] if self.operand else [])

    def results(self):
        dims = frozenset({0} if self.dynamic else ())
        of_bounds = dims | {1} if self.operand else dims
        shape = (self.B, max(self.cuts, 0) + 2)
        return [Argument("bounds", self.index_type, shape, of_bounds),
                Argument("counts", self.index_type, (self.B,), dims)]

    def body(self):
        results = ", ".join(r.type for r in self.results())
        most = "" if self.operand else f", max_cuts = {self.cuts}"
        attributes = f"{{threshold = {_text(self.threshold)}, distance = {self.distance}{most}}}"
        operand = "cuts(%cuts) " if self.operand else ""
        return (f"%r0, %r1 = attn.segment %logits {operand}{attributes} : "
                f"{self.arguments()[0].type} -> {results}")

    def values(self, rng):
        if self.levels:
            logits = rng.integers(-1, self.levels, (self.B, self.L)).astype(float)
        else:
            logits = np.array([rng.permutation(self.L) - self.L // 3 for _ in range(self.B)]) / 8
        logits = logits.reshape(self.B, self.L)
        if self.special:
            logits[:, ::4] = np.nan
            logits[:, 1::5] = np.inf
        return [logits] + ([np.array(self.cuts)] if self.operand else [])

    def expected(self, values):
        found = selection.segment(values[0], self.threshold, self.distance, max(self.cuts, 0))
        return [(x, 0) for x in found]


@dataclass(frozen=True)
class GatherCase(Case):
    B: int = 2
    H: int = 3
    S: int = 6
    D: int = 4
    rows: tuple = (2, 3, 5)
    dtype: str = "f32"
    index_type: str = "i32"
    dynamic: bool = False
    seed: int = 0

    def arguments(self):
        dims = frozenset({0, 2} if self.dynamic else ())
        row_dims = frozenset({0, 1, 2} if self.dynamic else ())
        return [Argument("x", self.dtype, (self.B, self.H, self.S, self.D), dims),
                Argument("rows", self.index_type, self.rows, row_dims)]

    def results(self):
        dims = frozenset({0, 2} if self.dynamic else ())
        return [Argument("output", self.dtype, (self.B, self.H, self.rows[2], self.D), dims)]

    def body(self):
        x, rows = self.arguments()
        return (f"%r0 = attn.gather_rows %x, %rows : {x.type}, {rows.type} -> "
                f"{self.results()[0].type}")

    def values(self, rng):
        return [rng.integers(-9, 10, (self.B, self.H, self.S, self.D)).astype(float),
                rng.integers(-2, self.S + 2, self.rows)]

    def expected(self, values):
        return [(selection.gather_rows(*values), 0)]


def top_k_cases():
    T = TopKCase
    for dtype in ("f64", "f32", "f16", "bf16"):
        yield T(dtype=dtype)
        yield T(dtype=dtype, levels=3, special=True, dynamic=True, N=40, K=7)
    for n, k in [(0, 0), (0, 3), (1, 1), (1, 4), (5, 0), (7, 7), (7, 9), (33, 5), (130, 64)]:
        yield T(N=n, K=k, levels=4, dynamic=n % 2 == 1)
        yield T(N=n, K=k, dynamic=n % 2 == 0, dynamic_K=True, index_type="i64")
    for lead in [(), (1,), (5,), (2, 2, 3)]:
        for dynamic in (False, True):
            yield T(lead=lead, levels=5, dynamic=dynamic, limits=7, budget=3, own=2)
            if not lead:  # arrays of rank 0 are numbers to the executor
                continue
            yield T(lead=lead, levels=5, dynamic=dynamic, limits=lead, budget=lead,
                    own=(1,) * len(lead), index_type="index", seed=1)
    for seed in range(3):
        common = dict(N=21, K=6, levels=6, special=True, seed=seed)
        yield T(first=2, last=3, limits=(2, 1), **common)
        yield T(first=4, last=4, budget=(1, 3), **common)
        yield T(first=1, own=(2, 3), limits=(2, 3), dynamic=True, **common)
        yield T(by="threshold", bound=0.5, first=1, limits=(2, 3), **common)
        yield T(by="mass", bound=0.7, N=21, K=21, levels=9, seed=seed)
        yield T(by="mass", bound=0.63, N=21, K=4, first=1, last=1, limits=(2, 3), seed=seed)
        yield T(by="top_p", bound=0.61, N=21, K=21, levels=3, seed=seed)
        yield T(by="top_p", bound=0.9, N=21, K=12, own=(2, 3), dynamic=True, seed=seed)
    yield T(K=0, dynamic_K=True, capacity=-3, dynamic=True)
    yield T(by="top_p", bound=0.0, N=5, K=5)
    yield T(by="top_p", bound=1.0, N=5, K=5, levels=1)
    yield T(by="mass", bound=1.0, N=0, K=2)


def route_cases():
    R = RouteCase
    moh = dict(shared=True, alpha=True, renormalize=True, scales=(2.0, 2.0, 2.0))
    for dtype in ("f64", "f32", "f16", "bf16"):
        yield R("logits", dtype=dtype, **moh)
        yield R("logits", dtype=dtype, dynamic=True, levels=2, **moh)
        yield R("qnorm", dtype=dtype, hard=True)
    yield R("linear", **moh)
    yield R("linear", dynamic=True, dtype="f64", **moh)
    yield R("linear", dtype="f64", H=4, k=1)
    yield R("linear", dtype="f64", H=4, k=4, renormalize=True, scales=(4.0, 1.0, 1.0))
    yield R("linear", dtype="f64", k=9, shared=True)
    yield R("qnorm", dtype="f64", k=3)
    yield R("qnorm", hard=True, levels=1)
    yield R("qnorm", hard=True, dynamic=True, H=3, E=3, special=True)
    yield R("qnorm", H=2, E=1, k=1, renormalize=True)
    yield R("logits", special=True, H=4, renormalize=True)
    yield R("logits", special=True, hard=True, levels=2, dynamic=True)
    yield R("logits", k=0, H=5)
    yield R("logits", S=0, dynamic=True)
    for kind in ("linear", "qnorm", "logits"):
        yield R(kind, S=0, hard=True)
    yield R("qnorm", H=9, E=1, k=1, C=1, hard=True, special=True, S=20)


def list_rows_cases():
    L = ListRowsCase
    for dtype in ("f64", "f32", "f16", "bf16"):
        yield L(dtype=dtype)
    for index_type in ("i64", "index"):
        yield L(index_type=index_type, dynamic=True, S=33)
    for size in ({"S": 0}, {"S": 1}, {"B": 0}, {"H": 1}):
        yield L(dynamic=True, **size)
    yield L(share=0)
    yield L(share=1)
    yield L(special=True)


def pool_cases():
    P = PoolCase
    ragged = ((0, 3, 3, 4, 10), (2, -1, 8, 7, 99))
    for kind in ("mean", "sum", "sqrt_sum", "min", "max"):
        for dynamic in (False, True):
            yield P(kind, block=4, dynamic=dynamic)
            yield P(kind, block=4, lengths=(9, 3), dynamic=dynamic)
            yield P(kind, bounds=ragged, dynamic=dynamic)
            yield P(kind, bounds=ragged[:1], lengths=7, dynamic=dynamic)
    for dtype in ("f64", "f16", "bf16"):
        yield P(dtype=dtype, block=3)
        yield P(dtype=dtype, bounds=ragged, index_type="i32")
    for rows, block in [(0, 4), (1, 1), (64, 64), (65, 64), (5, 64)]:
        yield P(S=rows, block=block, D=33, dynamic=rows == 0)
    yield P(bounds=((0,),))
    yield P(S=0, bounds=((0, 2),), dynamic=True)


def segment_cases():
    S = SegmentCase
    for dtype in ("f64", "f32", "f16", "bf16"):
        yield S(dtype=dtype)
    for distance in (0, 1, 7, 30):
        yield S(distance=distance, levels=3, dynamic=True)
    for length, cuts in [(0, 2), (1, 2), (2, 5), (40, 0), (5, 9)]:
        yield S(L=length, cuts=cuts, distance=0, dynamic=length != 2, index_type="index")
    for cuts in (-3, 0, 3, 30):
        yield S(cuts=cuts, operand=True, dynamic=cuts == 3, levels=4, distance=1)
    yield S(special=True, L=33)
    yield S(threshold=-9.0, cuts=40, distance=0)


def gather_cases():
    G = GatherCase
    for dtype in ("f64", "f32", "f16", "bf16"):
        yield G(dtype=dtype)
    for rows in [(1, 1, 4), (2, 1, 4), (1, 3, 0), (2, 3, 9)]:
        for dynamic in (False, True):
            yield G(rows=rows, dynamic=dynamic, index_type="i64")
    yield G(S=0, dynamic=True)
    yield G(S=0)


GROUPS = {
    "TopK": top_k_cases,
    "RouteHeads": route_cases,
    "ListRows": list_rows_cases,
    "Pool": pool_cases,
    "Segment": segment_cases,
    "GatherRows": gather_cases,
}
