# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Cases of attn.merge, attn.rope, attn.scatter_rows and attn.kv_append."""

from dataclasses import dataclass

import numpy as np

from attn.reference import kv_append, merge, rope, scatter_rows

from .cases import Argument, Case
from .dtypes import ROUNDOFF, TINY


def _wide(dtype):
    return "f64" if dtype == "f64" else "f32"


@dataclass(frozen=True)
class MergeCase(Case):
    parts: int = 2
    B: int = 2
    H: int = 2
    S: int = 3
    V: int = 5
    dtype: str = "f32"
    empty: str = None  # "one": a part without keys; "all": a row without keys
    dynamic: bool = False
    seed: int = 0

    def _types(self):
        dynamic = frozenset({0, 2} if self.dynamic else ())
        shape = (self.B, self.H, self.S)
        return (
            Argument("output", self.dtype, (*shape, self.V), dynamic),
            Argument("lse", _wide(self.dtype), shape, dynamic),
        )

    def arguments(self):
        return [
            Argument(f"{name}{i}", a.dtype, a.shape, a.dynamic)
            for i in range(self.parts)
            for name, a in zip("ol", self._types())
        ]

    def results(self):
        return list(self._types())

    def body(self):
        parts = ", ".join(f"(%o{i}, %l{i})" for i in range(self.parts))
        output, lse = self._types()
        return f"%r0, %r1 = attn.merge {parts} : {output.type}, {lse.type}"

    def values(self, rng):
        values = [rng.standard_normal(a.shape) for a in self.arguments()]
        if self.empty == "one":
            values[1][:, 0] = -np.inf
            values[0][:, 0] = np.nan
        elif self.empty == "all":
            for lse in values[1::2]:
                lse[:, :, 0] = -np.inf
        return values

    def expected(self, values):
        outputs, lses = values[0::2], values[1::2]
        output, lse = merge(outputs, lses)
        u = ROUNDOFF[_wide(self.dtype)]
        # exp of a difference of logarithms: its error is that of the
        # arguments, about 1 + |lse|, times the weight, at most 1.
        size = np.nan_to_num(np.abs(lses), posinf=0).max(axis=0)
        relative = (8 * self.parts + 8 * (1 + size)) * u
        largest = np.nan_to_num(np.abs(outputs)).sum(axis=0)
        tolerance = largest * relative[..., None]
        tolerance = tolerance + ROUNDOFF[self.dtype] * np.abs(output) + TINY[self.dtype]
        return [(output, tolerance), (lse, relative)]


@dataclass(frozen=True)
class RopeCase(Case):
    B: int = 2
    H: int = 3
    S: int = 4
    D: int = 8
    R: int = 8
    dtype: str = "f32"
    angle_dtype: str = None
    angle_batch: int = None  # None: one table without a batch dimension
    interleaved: bool = False
    dynamic: bool = False
    seed: int = 0

    def arguments(self):
        shape, dynamic = (self.S, self.R // 2), {0}
        if self.angle_batch is not None:
            shape, dynamic = (self.angle_batch, *shape), {0, 1}
        angles = [
            Argument(
                name, self.angle_dtype or self.dtype, shape,
                frozenset(dynamic if self.dynamic else ()),
            )
            for name in ("cos", "sin")
        ]
        return [*self.results(), *angles]

    def results(self):
        dynamic = frozenset({0, 2} if self.dynamic else ())
        return [Argument("x", self.dtype, (self.B, self.H, self.S, self.D), dynamic)]

    def body(self):
        x, cos, _ = self.arguments()
        word = "interleaved " if self.interleaved else ""
        return f"%r0 = attn.rope %x, %cos, %sin {word}: {x.type}, {cos.type}"

    def values(self, rng):
        x, cos, _ = self.arguments()
        angle = rng.uniform(-20, 20, cos.shape)
        return [rng.standard_normal(x.shape), np.cos(angle), np.sin(angle)]

    def expected(self, values):
        result = rope(*values, interleaved=self.interleaved)
        # Two products and a sum, each of numbers below |x| + |y|.
        size = 2 * np.abs(values[0]).max(initial=0)
        u = ROUNDOFF[_wide(self.dtype)]
        return [(result, 4 * u * size + ROUNDOFF[self.dtype] * np.abs(result))]


@dataclass(frozen=True)
class ScatterCase(Case):
    B: int = 2
    H: int = 3
    S: int = 7
    N: int = 5
    D: int = 6
    dtype: str = "f32"
    row_heads: str = "H"
    weights: str = None  # their element type
    index_type: str = "i64"
    dynamic: str = ""
    seed: int = 0

    def _tensor(self, name, dims, dtype):
        shape = tuple(1 if d == "1" else getattr(self, d) for d in dims)
        return Argument(
            name, dtype, shape, frozenset(i for i, d in enumerate(dims) if d in self.dynamic)
        )

    def arguments(self):
        heads = "B" + self.row_heads
        result = [
            self._tensor("x", "BHND", self.dtype),
            self._tensor("rows", heads + "N", self.index_type),
            self._tensor("counts", heads, self.index_type),
        ]
        if self.weights:
            result.append(self._tensor("weights", heads + "N", self.weights))
        return [*result, self._tensor("init", "BHSD", self.dtype)]

    def results(self):
        return [self._tensor("result", "BHSD", self.dtype)]

    def body(self):
        types = {a.name: a.type for a in self.arguments()}
        weights = f" weights(%weights : {types['weights']})" if self.weights else ""
        return (
            f"%r0 = attn.scatter_rows %x, %rows, %counts{weights} into %init : "
            f"{types['x']}, {types['rows']}, {types['counts']} into {types['init']}"
        )

    def values(self, rng):
        values = []
        for argument in self.arguments():
            if argument.name == "rows":
                values.append(rng.integers(-1, self.S + 1, argument.shape))
            elif argument.name == "counts":
                values.append(rng.integers(-1, self.N + 2, argument.shape))
            else:
                values.append(rng.standard_normal(argument.shape))
        return values

    def expected(self, values):
        x, rows, counts, *weights, init = values
        weights = weights[0] if weights else None
        result = scatter_rows(x, rows, counts, weights, init)
        sizes = scatter_rows(
            np.abs(x), rows, counts, None if weights is None else np.abs(weights), np.abs(init)
        )
        # Each sum is rounded to the element type, each product before it.
        u = ROUNDOFF[self.dtype] + 2 * ROUNDOFF[_wide(self.dtype)]
        return [(result, (self.N + 1) * u * sizes + TINY[self.dtype])]


@dataclass(frozen=True)
class AppendCase(Case):
    B: int = 2
    G: int = 2
    L: int = 6
    S: int = 2
    D: int = 3
    dtype: str = "f32"
    at: tuple = None  # a number for each batch entry, or a tuple of them
    circular: bool = False
    dynamic: bool = False
    index_type: str = "i64"
    page: int = 0  # L is then a multiple of it
    P: int = 4  # pages in memory
    seed: int = 0

    def _tensor(self, name, length):
        if self.page and name != "update":
            dynamic = frozenset({0} if self.dynamic else ())
            return Argument(name, self.dtype, (self.P, self.G, self.page, self.D), dynamic)
        dynamic = frozenset({0, 2} if self.dynamic else ())
        return Argument(name, self.dtype, (self.B, self.G, length, self.D), dynamic)

    def arguments(self):
        result = [self._tensor("cache", self.L), self._tensor("update", self.S)]
        if self.at is not None:
            dynamic = frozenset({0} if self.dynamic else ())
            result.append(Argument("at", self.index_type, np.shape(self.at), dynamic))
        if self.page:
            dynamic = frozenset({0, 1} if self.dynamic else ())
            shape = (self.B, self.L // self.page)
            result.append(Argument("table", self.index_type, shape, dynamic))
        return result

    def results(self):
        return [self._tensor("result", self.L + (self.S if self.at is None else 0))]

    def body(self):
        arguments = self.arguments()
        at = f" at(%at : {arguments[2].type})" if self.at is not None else ""
        if self.page:
            at += f" pages(%table : {arguments[3].type})"
        mode = " {mode = #attn.cache_mode<circular>}" if self.circular else ""
        return (
            f"%r0 = attn.kv_append %cache, %update{at}{mode} : {arguments[0].type}, "
            f"{arguments[1].type} -> {self.results()[0].type}"
        )

    def values(self, rng):
        # Whole numbers, so that every type holds them.
        cache, update = (
            rng.integers(-99, 100, a.shape).astype(float) for a in self.arguments()[:2]
        )
        result = [cache, update] + ([np.array(self.at)] if self.at is not None else [])
        if self.page:
            # Some numbers are no page, entries may share one.
            result.append(rng.integers(-1, self.P + 2, self.arguments()[3].shape))
        return result

    def expected(self, values):
        at = values[2] if self.at is not None else None
        table = values[3].astype(int) if self.page else None
        return [(kv_append(values[0], values[1], at, self.circular, table), 0)]
