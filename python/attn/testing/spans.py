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
            q[:, 1, :, 0] = np.nan
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
            logits[:, 1, :, 0] = np.nan
            logits[:, 2] = np.nan
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
    special: bool = False

    def arguments(self):
        result = [self._tensor("q", "BHSD", self.dtype), self._tensor("k", "BGLD", self.dtype),
                  self._tensor("lse", "BHS", self.wide)]
        if self.kv_lengths is not None:
            result.append(self._tensor("lengths", "B", self.index_type))
        return result + self._per_batch()

    def results(self):
        heads = "H" if self.heads == "each" else "G"
        return [self._tensor("importance", f"B{heads}L", self.wide)]

    def body(self):
        types = {a.name: a.type for a in self.arguments()}
        clauses = f" mask({masks.text(self.mask)})" if self.mask else ""
        if "lengths" in types:
            clauses += f" kv_lengths(%lengths : {types['lengths']})"
        clauses += self._clauses()
        if self.scale is not None:
            clauses += f" {{softmax_scale = {self.scale:.17e} : f64}}"
        return (f"%r0 = attn.key_importance {self.rows}, {self.heads} %q, %k, %lse{clauses} : "
                f"{types['q']}, {types['k']}, {types['lse']} -> {self.results()[0].type}")

    def _kept(self):
        kept = np.ones((self.B, self.H, self.S, self.L), bool)
        if self.mask:
            offset = np.broadcast_to(0 if self.query_offset is None else self.query_offset,
                                     (self.B,))
            positions = offset[:, None] + np.arange(self.S)
            kept &= masks.keep(self.mask, self.H, positions, self.L, iter(()))
        return kept

    def values(self, rng):
        q, k = (rng.standard_normal(a.shape) for a in self.arguments()[:2])
        value = np.zeros((*k.shape[:3], 1))
        kept = self._kept()
        if self.kv_lengths is not None:
            kept &= np.arange(self.L) < np.array(self.kv_lengths)[:, None, None, None]
        _, lse = attention(q, k, value, kept=kept, softmax_scale=self.scale)
        if self.special:
            lse[:, 0, ::2] = -np.inf
        numbers = [np.array(self.kv_lengths)] if self.kv_lengths is not None else []
        return [q, k, lse, *numbers, *self._numbers(rng)]

    def expected(self, values):
        named = {a.name: v for a, v in zip(self.arguments(), values)}
        result = selection.key_importance(
            named["q"], named["k"], named["lse"], self.rows, self.heads, kept=self._kept(),
            kv_lengths=named.get("lengths"), softmax_scale=self.scale)
        u = ROUNDOFF[self.wide]
        scale = self.scale if self.scale is not None else self.D**-0.5
        size = abs(scale) * self.D * np.abs(named["q"]).max(initial=0) * np.abs(
            named["k"]).max(initial=0)
        lse = np.abs(np.where(np.isfinite(named["lse"]), named["lse"], 0)).max(initial=0)
        relative = np.expm1((self.D + 8) * u * (size + lse)) + (self.S + self.H + 32) * u
        return [(result, relative * result + self.S * TINY[self.wide])]


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
    for rows in ("sum", "max"):
        for heads in ("sum", "max", "each"):
            for dynamic in (False, True):
                yield C(rows=rows, heads=heads, dynamic=dynamic, kv_lengths=(12, 5))
    yield C(mask=None, query_offset=None, scale=0.4)
    yield C(mask=("window", 3, 0), special=True, query_offset=(3, 0))
    for rows, keys in [(1, 1), (1, 40), (70, 135), (0, 3), (3, 0)]:
        yield C(S=rows, L=keys, query_offset=keys - rows, dynamic=True)


GROUPS = {
    "SpanSearch": search_cases,
    "SpanBounds": bounds_cases,
    "SpanAttention": span_attention_cases,
    "KeyImportance": importance_cases,
}
