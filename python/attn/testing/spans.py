# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Cases of the operations on spans and of attn.key_importance."""

from dataclasses import dataclass

import numpy as np

from attn.reference import attention, selection

from . import masks
from .cases import Argument, Case
from .dtypes import ROUNDOFF, TINY


@dataclass(frozen=True)
class SpanCase(Case):
    """What these cases share; dimensions as in AttentionCase."""

    B: int = 2
    H: int = 4
    G: int = 2
    S: int = 9
    L: int = 12
    D: int = 8
    K: int = 3  # anchors, spans
    dtype: str = "f32"
    index_type: str = "i32"
    query_offset: object = 3
    starts: object = None
    dynamic: bool = False
    seed: int = 0

    @property
    def wide(self):
        return "f64" if self.dtype == "f64" else "f32"

    def _tensor(self, name, dims, dtype):
        shape = tuple(d if isinstance(d, int) else getattr(self, d) for d in dims)
        dynamic = {i for i, d in enumerate(dims) if d in ("B", "S", "L", "A")}
        return Argument(name, dtype, shape, frozenset(dynamic if self.dynamic else ()))

    def _per_batch(self):
        result = []
        for name in ("query_offset", "starts"):
            given = getattr(self, name)
            if isinstance(given, int):
                result.append(Argument(name, "index"))
            elif given is not None:
                result.append(self._tensor(name, "B", self.index_type))
        return result

    def _clauses(self):
        return "".join(f" {a.name}(%{a.name} : {a.type})" for a in self._per_batch())

    def _numbers(self, rng):
        return [np.array(getattr(self, a.name)) for a in self._per_batch()]


@dataclass(frozen=True)
class SearchCase(SpanCase):
    offsets: tuple = (1, 2, 4, 9)
    levels: int = 2  # of the numbers in queries and keys: products are exact
    special: bool = False

    @property
    def A(self):
        return len(self.offsets)

    def arguments(self):
        return [self._tensor("q", "BHSD", self.dtype), self._tensor("k", "BGLD", self.dtype),
                self._tensor("table", "A", self.index_type), *self._per_batch()]

    def results(self):
        return [self._tensor("anchors", "BHSK", self.index_type),
                self._tensor("logits", "BHSK", self.wide)]

    def body(self):
        types = {a.name: a.type for a in self.arguments()}
        results = ", ".join(r.type for r in self.results())
        return (f"%r0, %r1 = attn.span_search %q, %k, %table{self._clauses()} : "
                f"{types['q']}, {types['k']}, {types['table']} -> {results}")

    def values(self, rng):
        q = rng.integers(-self.levels, self.levels + 1, (self.B, self.H, self.S, self.D))
        k = rng.integers(-self.levels, self.levels + 1, (self.B, self.G, self.L, self.D))
        q, k = q.astype(float), k.astype(float)
        if self.special:
            k[:, :, ::3, 0] = np.nan
            q[:, 1:2, :, 0] = np.nan
        return [q, k, np.array(self.offsets), *self._numbers(rng)]

    def expected(self, values):
        named = {a.name: v for a, v in zip(self.arguments(), values)}
        anchors, logits = selection.span_search(
            named["q"], named["k"], self.offsets, self.K,
            query_offset=named.get("query_offset"), starts=named.get("starts"))
        return [(anchors, 0), (logits, 0)]


@dataclass(frozen=True)
class BoundsCase(SpanCase):
    backward: float = 2.0
    forward: float = 1.0
    power: float = 0.5

    def arguments(self):
        return [self._tensor("anchors", "BHSK", self.index_type), *self._per_batch()]

    def results(self):
        return [self._tensor(name, "BHSK", self.index_type) for name in ("begins", "ends")]

    def body(self):
        attributes = ", ".join(f"{n} = {getattr(self, n):.17e}"
                               for n in ("backward", "forward", "power"))
        return (f"%r0, %r1 = attn.span_bounds %anchors{self._clauses()} {{{attributes}}} : "
                f"{self.arguments()[0].type}")

    def values(self, rng):
        return [rng.integers(-1, self.S + 4, (self.B, self.H, self.S, self.K)),
                *self._numbers(rng)]

    def expected(self, values):
        named = {a.name: v for a, v in zip(self.arguments(), values)}
        found = selection.span_bounds(
            named["anchors"], self.backward, self.forward, self.power,
            query_offset=named.get("query_offset"), starts=named.get("starts"))
        return [(x, 0) for x in found]


@dataclass(frozen=True)
class SpanAttentionCase(SpanCase):
    V: int = 5
    window: int = 4
    scale: float = None
    special: str = None  # "none": no span anywhere; "logits": NaN and infinities

    def arguments(self):
        return [self._tensor("q", "BHSD", self.dtype), self._tensor("k", "BGLD", self.dtype),
                self._tensor("v", "BGLV", self.dtype),
                self._tensor("begins", "BHSK", self.index_type),
                self._tensor("ends", "BHSK", self.index_type),
                self._tensor("logits", "BHSK", self.wide), *self._per_batch()]

    def results(self):
        return [self._tensor("output", "BHSV", self.dtype)]

    def body(self):
        types = {a.name: a.type for a in self.arguments()}
        attributes = f"window = {self.window} : i64"
        if self.scale is not None:
            attributes += f", softmax_scale = {self.scale:.17e} : f64"
        return (f"%r0 = attn.span_attention %q, %k, %v spans(%begins, %ends, %logits : "
                f"{types['begins']}, {types['logits']}){self._clauses()} {{{attributes}}} : "
                f"{types['q']}, {types['k']}, {types['v']} -> {self.results()[0].type}")

    def values(self, rng):
        q, k, v = (rng.standard_normal(a.shape) for a in self.arguments()[:3])
        shape = (self.B, self.H, self.S, self.K)
        begins = rng.integers(-2, self.L + 2, shape)
        ends = begins + rng.integers(-1, 6, shape)
        logits = rng.standard_normal(shape)
        if self.special == "none":
            begins, ends = 0 * begins, 0 * ends
        elif self.special == "logits":
            logits[:, 0, ::2] = -np.inf
            logits[:, 1:2, :, 0] = np.nan
            logits[:, 2:3] = np.nan
        return [q, k, v, begins, ends, logits, *self._numbers(rng)]

    def expected(self, values):
        named = {a.name: v for a, v in zip(self.arguments(), values)}
        output = selection.span_attention(
            *(named[n] for n in ("q", "k", "v", "begins", "ends", "logits")), self.window,
            query_offset=named.get("query_offset"), starts=named.get("starts"),
            softmax_scale=self.scale)
        # As in AttentionCase, against the largest value; gates add a few u.
        u = ROUNDOFF[self.wide]
        scale = self.scale if self.scale is not None else self.D**-0.5
        size = abs(scale) * self.D * np.abs(named["q"]).max(initial=0) * np.abs(
            named["k"]).max(initial=0)
        relative = np.expm1(2 * (self.D + 4) * u * size) + (2 * self.L + 64) * u
        error = relative * np.abs(named["v"]).max(initial=0)
        # The results that are merged may be rounded, too.
        error = error + 2 * ROUNDOFF[self.dtype] * np.abs(named["v"]).max(initial=0)
        return [(output, error + TINY[self.dtype])]


@dataclass(frozen=True)
class ImportanceCase(SpanCase):
    rows: str = "sum"
    heads: str = "each"
    mask: tuple = ("causal",)
    kv_lengths: tuple = None
    scale: float = None
    special: str = None  # "lse": rows without probabilities; "nan": some keys are NaN
    given: bool = True  # the lse is an operand
    N: int = -1  # entries of a row list; none below 0
    row_heads: str = "H"

    @property
    def E(self):
        """Entries: the rows of a head."""
        return self.S if self.N < 0 else self.N

    def arguments(self):
        result = [self._tensor("q", "BHSD", self.dtype), self._tensor("k", "BGLD", self.dtype)]
        if self.given:
            result.append(self._tensor("lse", "BHE", self.wide))
        if self.kv_lengths is not None:
            result.append(self._tensor("lengths", "B", self.index_type))
        result += self._per_batch()
        if self.N >= 0:
            of = self.H if self.row_heads == "H" else 1
            result += [self._tensor("rows", ("B", of, "E"), self.index_type),
                       self._tensor("counts", ("B", of), self.index_type)]
        return result + self._mask_operands()

    def _mask_leaves(self):
        """Each kind of the mask that reads operands, with its arguments."""
        sizes = {"B": self.B, "H": self.H, "G": self.G, "S": self.S, "K": self.L, "R": self.E}
        result, count = [], 0
        for leaf in masks.leaves(self.mask) if self.mask else []:
            own = []
            for dims, dtype in masks.operands(leaf, sizes, self.index_type):
                shape = tuple(d if isinstance(d, int) else sizes[d] for d in dims)
                own.append(Argument(f"m{count}", dtype, shape))
                count += 1
            if own:
                result.append((leaf, own, sizes))
        return result

    def _mask_operands(self):
        return [argument for _, own, _ in self._mask_leaves() for argument in own]

    def results(self):
        heads = "H" if self.heads == "each" else "G"
        return [self._tensor("importance", f"B{heads}L", self.wide)]

    def body(self):
        types = {a.name: a.type for a in self.arguments()}
        clauses = ""
        if self.mask:
            more = self._mask_operands()
            operands = ""
            if more:
                operands = (", " + ", ".join(f"%{a.name}" for a in more) + " : "
                            + ", ".join(a.type for a in more))
            clauses = f" mask({masks.text(self.mask)}{operands})"
        if "lengths" in types:
            clauses += f" kv_lengths(%lengths : {types['lengths']})"
        clauses += self._clauses()
        if "rows" in types:
            clauses += f" routing(%rows, %counts : {types['rows']}, {types['counts']})"
        if self.scale is not None:
            clauses += f" {{softmax_scale = {self.scale:.17e} : f64}}"
        names = ["q", "k"] + ["lse"] * self.given
        return (f"%r0 = attn.key_importance {self.rows}, {self.heads} "
                + ", ".join(f"%{n}" for n in names) + clauses + " : "
                + ", ".join(types[n] for n in names) + f" -> {self.results()[0].type}")

    def _lists(self, named):
        """Rows of each entry [B, H, E], and which entries have one."""
        shape = (self.B, self.H, self.E)
        if "rows" not in named:
            return np.broadcast_to(np.arange(self.S), shape), np.ones(shape, bool)
        rows = np.broadcast_to(named["rows"], shape)
        counts = np.broadcast_to(named["counts"], shape[:2])
        return rows, (rows >= 0) & (rows < self.S) & (np.arange(self.E) < counts[..., None])

    def _kept(self, named):
        rows, exists = self._lists(named)
        kept = np.broadcast_to(exists[..., None], (*exists.shape, self.L)).copy()
        if self.mask:
            offset = np.broadcast_to(0 if self.query_offset is None else self.query_offset,
                                     (self.B,))
            for h in range(self.H):
                operands = iter([named[a.name] for a in self._mask_operands()])
                own = masks.keep(self.mask, self.H, offset[:, None] + rows[:, h], self.L, operands)
                kept[:, h] &= np.broadcast_to(own, kept.shape)[:, h]
        return kept

    def values(self, rng):
        q, k = (rng.standard_normal(a.shape) for a in self.arguments()[:2])
        if self.special == "nan":
            k[:, :, ::5, 0] = np.nan
        named = {"q": q, "k": k}
        if self.kv_lengths is not None:
            named["lengths"] = np.array(self.kv_lengths)
        for argument in self._per_batch():
            named[argument.name] = np.array(getattr(self, argument.name))
        if self.N >= 0:
            of = self.H if self.row_heads == "H" else 1
            named["rows"] = rng.integers(-1, self.S + 1, (self.B, of, self.E))
            named["counts"] = rng.integers(0, self.E + 3, (self.B, of))
        for leaf, own, sizes in self._mask_leaves():
            of_leaf = masks.values(leaf, [a.shape for a in own], sizes, rng)
            named.update(zip([a.name for a in own], of_leaf))
        if self.given:
            lse = self._lse(named)
            if self.special == "lse":
                lse[:, 0, ::2] = -np.inf
            named["lse"] = lse
        return [named[a.name] for a in self.arguments()]

    def _queries(self, named):
        rows, _ = self._lists(named)
        return selection.gather_rows(named["q"], rows)

    def _lse(self, named):
        kept = self._kept(named)
        if self.kv_lengths is not None:
            kept &= np.arange(self.L) < np.array(self.kv_lengths)[:, None, None, None]
        value = np.zeros((*named["k"].shape[:3], 1))
        return attention(self._queries(named), named["k"], value, kept=kept,
                         softmax_scale=self.scale)[1]

    def expected(self, values):
        named = {a.name: v for a, v in zip(self.arguments(), values)}
        lse = named["lse"] if self.given else self._lse(named)
        result = selection.key_importance(
            self._queries(named), named["k"], lse, self.rows, self.heads,
            kept=self._kept(named), kv_lengths=named.get("lengths"), softmax_scale=self.scale)
        u = ROUNDOFF[self.wide]
        scale = self.scale if self.scale is not None else self.D**-0.5
        largest = [np.nan_to_num(np.abs(named[n])).max(initial=0) for n in ("q", "k")]
        size = abs(scale) * self.D * largest[0] * largest[1]
        lse = np.abs(np.where(np.isfinite(lse), lse, 0)).max(initial=0)
        # An lse that was computed has the error of its sum and of its scores.
        steps = 1 if self.given else 2
        relative = (np.expm1(steps * (self.D + 8) * u * (size + lse))
                    + (self.E + self.H + 32 + (0 if self.given else self.L)) * u)
        return [(result, relative * np.nan_to_num(result) + self.E * TINY[self.wide])]


def search_cases():
    C = SearchCase
    for dtype in ("f64", "f32", "f16", "bf16"):
        yield C(dtype=dtype)
        yield C(dtype=dtype, dynamic=True, starts=(0, 5), query_offset=(3, 1))
    for k in (1, 2, 4, 6):
        yield C(K=k, levels=1, index_type="i64", offsets=(9, 1, 4, 2, 2, 7))
    for rows, keys in [(1, 1), (1, 40), (70, 70), (64, 64), (130, 135), (0, 3), (3, 0)]:
        yield C(S=rows, L=keys, D=33, query_offset=keys - rows, offsets=tuple(
            (i + 2) ** 2 for i in range(9)), dynamic=rows % 2 == 0)
    yield C(offsets=(0, -3, 1, 100, 3), levels=1)
    yield C(offsets=(), dynamic=True)
    yield C(special=True)
    yield C(query_offset=20, S=5, L=12)
    yield C(query_offset=-4, S=80)
    yield C(starts=6, index_type="index")
    yield C(G=4)
    yield C(G=1)
    # One tile alone.
    yield C(B=1, H=1, G=1, S=64, L=16, D=64, query_offset=7)


def bounds_cases():
    C = BoundsCase
    for dynamic in (False, True):
        yield C(dynamic=dynamic)
        yield C(dynamic=dynamic, query_offset=(7, 0), starts=(2, 4), power=0.55)
    yield C(S=70, backward=3.0, power=0.3, index_type="i64")
    yield C(backward=0.0, forward=0.0, starts=3, query_offset=None)
    yield C(backward=1e30, forward=1e30)


def span_attention_cases():
    C = SpanAttentionCase
    for dtype in ("f64", "f32", "f16", "bf16"):
        yield C(dtype=dtype)
        yield C(dtype=dtype, dynamic=True, starts=(0, 5), query_offset=(3, 1))
    for window in (0, 1, 100):
        yield C(window=window, K=1)
        yield C(window=window, special="none", dynamic=True)
    yield C(special="logits")
    yield C(scale=0.3, G=1, starts=2)
    for rows, keys in [(1, 1), (1, 40), (70, 75), (0, 3), (3, 0)]:
        yield C(S=rows, L=keys, query_offset=keys - rows, dynamic=True)


def importance_cases():
    C = ImportanceCase
    for dtype in ("f64", "f32", "f16", "bf16"):
        yield C(dtype=dtype)
        yield C(dtype=dtype, given=False, S=70, L=75, query_offset=5, dynamic=True)
    for rows in ("sum", "max"):
        for heads in ("sum", "max", "each"):
            for dynamic in (False, True):
                yield C(rows=rows, heads=heads, dynamic=dynamic, kv_lengths=(12, 5))
            yield C(rows=rows, heads=heads, S=100, L=140, query_offset=40, special="nan")
            yield C(rows=rows, heads=heads, S=1, L=600, query_offset=599, D=33, H=8,
                    kv_lengths=(600, 130), given=False)
            yield C(rows=rows, heads=heads, S=3, L=140, query_offset=(20, 130), H=2, G=1,
                    mask=("window", 30, 0), special="nan")
    yield C(mask=None, query_offset=None, scale=0.4)
    yield C(mask=("window", 3, 0), special="lse", query_offset=(3, 0))
    yield C(mask=("window", 20, 0), S=200, L=200, query_offset=None, given=False, H=2)
    for rows, keys in [(1, 1), (1, 40), (70, 135), (130, 64), (0, 3), (3, 0)]:
        yield C(S=rows, L=keys, query_offset=keys - rows, dynamic=True)
        if rows and keys:
            yield C(S=rows, L=keys, query_offset=keys - rows, given=False, heads="sum")
    for rows in (1, 3, 40):
        yield C(B=1, H=1, G=1, S=rows, L=50, query_offset=50 - rows, given=False)
        yield C(B=1, H=1, G=1, N=rows, S=40, L=50, query_offset=10, given=False)
    for given in (False, True):
        for dynamic in (False, True):
            yield C(N=20, S=40, L=70, query_offset=30, given=given, dynamic=dynamic)
        yield C(N=0, row_heads="1", given=given, dynamic=True)
        yield C(N=150, S=100, L=100, query_offset=0, row_heads="1", given=given, heads="max")
        yield C(N=1, S=5, L=130, query_offset=100, given=given, rows="max", heads="sum")
        yield C(N=3, S=0, given=given, dynamic=True)
        block = ("blocks", 16, 32, "padded", 0, 0.4)
        both = ("all_of", ("causal",), ("any_of", block, ("sink", 3)))
        yield C(mask=both, S=100, L=140, query_offset=40, given=given)
        yield C(mask=both, S=1, L=140, query_offset=139, given=given, heads="sum")
        yield C(mask=("per_head", (("causal",), ("window", 9, 0)), (0, 1, 1, 0)), S=2, L=90,
                query_offset=88, given=given, heads="max")
        yield C(mask=("spans", 1, 40), S=100, L=140, N=70, given=given, query_offset=None)


GROUPS = {
    "SpanSearch": search_cases,
    "SpanBounds": bounds_cases,
    "SpanAttention": span_attention_cases,
    "KeyImportance": importance_cases,
}
