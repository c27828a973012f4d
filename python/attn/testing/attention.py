# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Cases of attn.attention."""

from dataclasses import dataclass

import numpy as np

from attn.reference import attention
from attn.reference.attention import from_pages

from . import masks, scores
from .cases import Argument, Case
from .dtypes import ROUNDOFF, TINY


@dataclass(frozen=True)
class AttentionCase(Case):
    """Dimensions are named by letters: B batch, H heads, G kv heads, S query
    length, K key length, D head dimension, V value dimension, N entries of the
    lists of rows (-1: no lists). With `page`, keys and values lie in P pages of
    so many keys and K is a multiple of it; with head maps there are W heads of
    values."""

    B: int = 1
    H: int = 2
    G: int = 2
    S: int = 5
    K: int = 7
    D: int = 8
    V: int = 8
    N: int = -1
    row_heads: str = "H"  # or "1": all heads share a list
    dtype: str = "f32"
    mask: tuple = None
    bias: str = None  # such as "B1SK": which dimensions are not 1
    keep: str = None
    kv_lengths: tuple = None  # a number for each batch entry, or a tuple of them
    page: int = 0
    P: int = 3
    holes: float = 0.0  # share of the table's entries that are no page
    W: int = -1  # -1: as many as heads of keys
    key_map: tuple = None
    value_map: tuple = None
    query_offset: object = None  # a number, or one for each batch entry
    sinks: bool = False
    scale: float = None
    softcap: float = None
    bias_order: str = None
    score: str = None  # a kind of scores.KINDS
    precision: str = None
    lse: bool = False
    special: str = None  # what non-finite numbers lie where; see values()
    dynamic: str = ""  # letters of the dimensions that are dynamic in the IR
    dynamic_ones: bool = False  # broadcast dimensions are dynamic, too
    index_type: str = "i64"
    spread: float = 1.0  # standard deviation of queries and keys
    seed: int = 0

    def _tensor(self, name, dims, dtype):
        shape = tuple(
            d if isinstance(d, int) else 1 if d == "1" else getattr(self, d) for d in dims
        )
        dynamic = {
            i for i, d in enumerate(dims)
            if (isinstance(d, str) and self._named(d) in self.dynamic) or (d == "1" and self.dynamic_ones)
        }
        return Argument(name, dtype, shape, frozenset(dynamic))

    @property
    def R(self):
        """Rows of the results."""
        return self.S if self.N < 0 else self.N

    @property
    def M(self):
        """Pages of a batch entry."""
        return self.K // self.page

    def _named(self, letter):
        if letter == "M":
            return "K"
        return ("S" if self.N < 0 else "N") if letter == "R" else letter

    def _cache(self, name, heads, width):
        dims = ["P", heads, self.page, width] if self.page else ["B", heads, "K", width]
        return self._tensor(name, dims, self.dtype)

    @property
    def _wide(self):
        return "f64" if self.dtype == "f64" else "f32"

    @property
    def _compute(self):
        return self.precision or self._wide

    @property
    def _sizes(self):
        return {letter: getattr(self, letter) for letter in "BHGSKR"}

    def _mask_leaves(self):
        """Each kind of the mask that reads operands, with its arguments."""
        result, count = [], 0
        for leaf in masks.leaves(self.mask) if self.mask else []:
            own = []
            for dims, dtype in masks.operands(leaf, self._sizes, self.index_type):
                own.append(self._tensor(f"m{count}", dims, dtype))
                count += 1
            if own:
                result.append((leaf, own))
        return result

    def _mask_operands(self):
        return [argument for _, own in self._mask_leaves() for argument in own]

    def _score_operands(self):
        if not self.score:
            return []
        return [
            self._tensor(f"t{i}", dims, self._compute)
            for i, dims in enumerate(scores.operands(self.score, self._sizes))
        ]

    def arguments(self):
        result = [
            self._tensor("q", "BHSD", self.dtype),
            self._cache("k", "G", "D"),
            self._cache("v", "G" if self.W < 0 else self.W, "V"),
        ]
        if self.page:
            result.append(self._tensor("table", "BM", self.index_type))
        if self.bias:
            result.append(self._tensor("bias", self.bias, self.dtype))
        if self.keep:
            result.append(self._tensor("keep", self.keep, "i1"))
        if self.kv_lengths is not None:
            shape = np.shape(self.kv_lengths)[1:]
            result.append(self._tensor("lengths", ("B", *shape), self.index_type))
        if isinstance(self.query_offset, int):
            result.append(Argument("offset", "index"))
        elif self.query_offset is not None:
            result.append(self._tensor("offset", "B", self.index_type))
        if self.N >= 0:
            result.append(self._tensor("rows", "B" + self.row_heads + "N", self.index_type))
            result.append(self._tensor("counts", "B" + self.row_heads, self.index_type))
        if self.sinks:
            result.append(self._tensor("sinks", "H", "f32"))
        return result + self._score_operands() + self._mask_operands()

    def results(self):
        result = [self._tensor("output", "BHRV", self.dtype)]
        if self.lse:
            result.append(self._tensor("lse", "BHR", self._wide))
        return result

    def body(self):
        types = {a.name: a.type for a in self.arguments()}
        parts = []
        if self.mask:
            operands = [a.name for a in self._mask_operands()]
            part = masks.text(self.mask)
            if operands:
                part += ", " + ", ".join(f"%{name}" for name in operands)
                part += " : " + ", ".join(types[name] for name in operands)
            parts.append(f"mask({part})")
        for clause, name in (
            ("bias", "bias"), ("keep", "keep"), ("kv_lengths", "lengths"),
            ("query_offset", "offset"), ("sinks", "sinks"), ("pages", "table"),
        ):
            if name in types:
                parts.append(f"{clause}(%{name} : {types[name]})")
        if self.N >= 0:
            parts.append(f"routing(%rows, %counts : {types['rows']}, {types['counts']})")
        if self.score:
            read = [a.type for a in self._score_operands()]
            parts.append(scores.text(self.score, self._compute, read, self._sizes))
        attributes = []
        if self.scale is not None:
            attributes.append(f"softmax_scale = {self.scale:.17e} : f64")
        if self.softcap is not None:
            attributes.append(f"softcap = {self.softcap:.17e} : f64")
        if self.bias_order:
            attributes.append(f"bias_order = #attn.bias_order<{self.bias_order}>")
        for name, heads in (("key", self.key_map), ("value", self.value_map)):
            if heads is not None:
                attributes.append(f"{name}_head_map = array<i64: {', '.join(map(str, heads))}>")
        if self.precision:
            attributes.append(f"softmax_precision = {self.precision}")
        if attributes:
            parts.append("{" + ", ".join(attributes) + "}")
        results = self.results()
        names = ", ".join(f"%r{i}" for i in range(len(results)))
        return (
            f"{names} = attn.attention %q, %k, %v {' '.join(parts)} : "
            f"{types['q']}, {types['k']}, {types['v']} -> "
            + ", ".join(r.type for r in results)
        )

    def values(self, rng):
        values = {}
        for argument in self.arguments():
            name, shape = argument.name, argument.shape
            if name in ("q", "k"):
                values[name] = self.spread * rng.standard_normal(shape)
            elif name in ("v", "bias", "sinks"):
                values[name] = rng.standard_normal(shape)
            elif name == "keep":
                values[name] = rng.random(shape) < 0.7
            elif name == "lengths":
                values[name] = np.array(self.kv_lengths).reshape(shape)
            elif name == "table":
                values[name] = self._table(shape, rng)
            elif name == "rows":
                # Mostly in order, as a router makes them; some repeat, some
                # do not exist.
                rows = rng.integers(-1, self.S + 1, shape)
                values[name] = np.sort(rows) if rng.random() < 0.7 else rows
            elif name == "counts":
                values[name] = rng.integers(-1, self.N + 2, shape)
            elif name == "offset":
                values[name] = np.array(self.query_offset)
        for argument in self._score_operands():
            values[argument.name] = rng.standard_normal(argument.shape)
        for leaf, own in self._mask_leaves():
            shapes = [argument.shape for argument in own]
            of_leaf = masks.values(leaf, shapes, self._sizes, rng)
            values.update(zip([argument.name for argument in own], of_leaf))
        if self.special == "nan_query":
            values["q"][0, 0, 0, 0] = np.nan
        elif self.special == "nan_last_key":
            values["k"][:, :, -1] = np.nan
        elif self.special == "nan_last_value":
            values["v"][:, :, -1, 0] = np.nan
            values["v"][:, :, -1, 1] = np.inf
        elif self.special == "minus_inf_bias":
            values["bias"][rng.random(values["bias"].shape) < 0.5] = -np.inf
            values["bias"][:, :, 0] = -np.inf
        elif self.special == "empty_row":
            values["keep"][:, :, 0] = False
        elif self.special == "minus_inf_sink":
            values["sinks"][0] = -np.inf
        elif self.special == "nan_unkept":
            # Keys that no row of a batch entry keeps, in any head.
            kept = self._in_memory(values, self._kept(values).any(axis=(1, 2)))
            for name in "kv":
                rows = np.moveaxis(values[name], 2, 1)
                rows[~kept] = np.nan
        elif self.special == "nan_some":
            # Hidden from some rows, kept by others.
            values["k"][rng.random(values["k"].shape[:3]) < 0.03] = np.nan
            odd = rng.random(values["v"].shape) < 0.02
            values["v"][odd] = rng.choice([np.nan, np.inf, -np.inf], np.count_nonzero(odd))
        elif self.special == "nan_beyond_lengths":
            for b, lengths in enumerate(self.kv_lengths):
                length = max(np.max(lengths), 0)
                values["k"][b, :, length:] = np.nan
                values["v"][b, :, length:] = np.inf
        return [values[a.name] for a in self.arguments()]

    def _table(self, shape, rng):
        """Page numbers: entries share some pages, some numbers are no page."""
        table = rng.integers(0, max(self.P, 1), shape)
        distinct = rng.permutation(max(self.P, 1))[: table.size]
        if distinct.size == table.size:
            table = distinct.reshape(shape)
        no_page = rng.choice([-1, -7, self.P, self.P + 1, 10**6], shape)
        return np.where(rng.random(shape) < self.holes, no_page, table)

    def _in_memory(self, values, kept):
        """Which keys in memory are kept, from [B, Skv]: [B, Skv] or by page."""
        if not self.page:
            return kept
        result = np.zeros((self.P, self.page), bool)
        for b, j in zip(*np.nonzero(kept)):
            result[values["table"][b, j // self.page], j % self.page] = True
        return result

    def _for_heads(self, values, name):
        """Keys or values as each query head reads them, [B, H, Skv, X]."""
        rows = values[name]
        if self.page:
            rows, _ = from_pages(rows, values["table"])
        heads = self.key_map if name == "k" else self.value_map
        if heads is None:
            return np.repeat(rows, self.H // rows.shape[1], axis=1)
        return rows[:, list(heads)]

    def _kept(self, values):
        """What keep, mask and kv_lengths leave, [B, H, R, Skv]."""
        if self.N >= 0:
            return self._kept_of_entries(values)
        kept = np.ones((self.B, self.H, self.S, self.K), bool)
        if self.keep:
            kept &= values["keep"]
        return self._masked(values, kept, np.arange(self.S)[None])

    def _masked(self, values, kept, rows):
        """`kept` after the lengths and the mask; `rows` broadcasts to [B, R]."""
        if self.kv_lengths is not None:
            lengths = values["lengths"].reshape(self.B, np.size(self.kv_lengths[0]) if self.B else 1)
            lengths = np.repeat(lengths, self.H // lengths.shape[1], axis=1)
            kept &= np.arange(self.K) < lengths[:, :, None, None]
        if self.page:
            table = values["table"]
            exists = np.repeat((0 <= table) & (table < self.P), self.page, axis=1)
            kept &= exists[:, None, None]
        if self.mask:
            offset = np.broadcast_to(values.get("offset", 0), (self.B,))
            operands = iter([values[a.name] for a in self._mask_operands()])
            kept &= masks.keep(self.mask, self.H, offset[:, None] + rows, self.K, operands)
        return kept

    def _kept_of_entries(self, values):
        """The pairs that the entries of the row lists keep: none where there is
        no row."""
        rows, exists = self._listed(values)
        kept = np.repeat(exists[..., None], self.K, axis=3)
        if self.keep:
            kept &= self._of_entries(values["keep"], rows)
        for h in range(self.H):
            own = dict(values)
            for leaf, arguments in self._mask_leaves():
                if leaf == ("documents",):
                    ids = arguments[0].name
                    own[ids] = np.take_along_axis(values[ids], rows[:, h], axis=1)
            everything = np.ones((self.B, self.H, self.N, self.K), bool)
            kept[:, h] &= self._masked(own, everything, rows[:, h])[:, h]
        return kept

    def _listed(self, values):
        """The row of each entry, [B, H, N], cut to those that exist, and
        whether the entry counts and its row exists."""
        shape = (self.B, self.H, self.N)
        rows = np.broadcast_to(values["rows"], shape)
        counts = np.broadcast_to(values["counts"], shape[:2])[..., None]
        exists = (np.arange(self.N) < counts) & (rows >= 0) & (rows < self.S)
        return np.where(exists, rows, 0), exists

    def _of_entries(self, tensor, rows):
        """A tensor that broadcasts to [B, H, S, X], at the rows of entries."""
        whole = np.broadcast_to(tensor, (self.B, self.H, self.S, tensor.shape[3]))
        if not self.S:
            return np.zeros((self.B, self.H, self.N, tensor.shape[3]), tensor.dtype)
        return np.take_along_axis(whole, rows[..., None], axis=2)

    def _score_function(self, values):
        """The region in NumPy, on the entries of the row lists."""
        operands = [values[a.name] for a in self._score_operands()]
        function = scores.KINDS[self.score].function
        rows = self._listed(values)[0] if self.N >= 0 else None
        offset = np.broadcast_to(values.get("offset", 0), (self.B,))

        def apply(row_scores, b, h, i, keys):
            row = i if rows is None else rows[b, h, i]
            return function(row_scores, operands, b, h, row, row + offset[b], keys)

        return apply

    def expected(self, values):
        values = {a.name: value for a, value in zip(self.arguments(), values)}
        kept = self._kept(values)
        if self.N >= 0:
            rows, exists = self._listed(values)
            values["q"] = self._of_entries(values["q"], rows)
            if self.bias:
                values["bias"] = self._of_entries(values["bias"], rows)
        output, lse = attention(
            values["q"], values["k"], values["v"],
            bias=values.get("bias"),
            kept=kept,
            page_table=values.get("table"),
            key_head_map=self.key_map,
            value_head_map=self.value_map,
            sink_logits=values.get("sinks"),
            softmax_scale=self.scale,
            softcap=self.softcap,
            bias_order=self.bias_order or "after_softcap",
            score=self._score_function(values) if self.score else None,
        )
        row, of_lse = self._tolerances(values, kept)
        if self.N >= 0:
            # Not even a sink belongs to an entry without a row.
            lse = np.where(exists, lse, -np.inf)
        finite = np.nan_to_num(output, nan=0, posinf=0, neginf=0)
        final = ROUNDOFF[self.dtype] * np.abs(finite) + TINY[self.dtype]
        result = [(output, row[..., None] + final)]
        if self.lse:
            finite = np.nan_to_num(lse, nan=0, posinf=0, neginf=0)
            result.append((lse, of_lse + ROUNDOFF[self.dtype] * np.abs(finite)))
        return result

    def _tolerances(self, values, kept):
        """Bounds of the rounding errors of output and lse, for each row.

        A dot product of length D has a relative error of (D + 1) u against
        the sum of its absolute products, scale, bias and softcap add a few u;
        an error d of all scores changes each weight by at most exp(2 d) - 1,
        about 2 d; sums over K weights and values add 2 K u, exp, division and
        the rest a few u. All against the largest value.
        """
        if self._compute in ("f16", "bf16"):
            return self._narrow_tolerances(values, kept)
        u = ROUNDOFF[self._compute]
        query, key, value = (
            np.nan_to_num(np.abs(x), nan=0, posinf=0)
            for x in (values["q"], self._for_heads(values, "k"), self._for_heads(values, "v"))
        )
        scale = self.scale if self.scale is not None else self.D**-0.5
        size = abs(scale) * np.einsum("bhid,bhjd->bhij", query, key)
        score_error = (self.D + 4) * u * size
        if self.bias:
            bias = np.nan_to_num(np.abs(values["bias"]), posinf=0, neginf=0)
            score_error = score_error + 2 * u * (size + bias)
        if self.softcap is not None:
            score_error = score_error + 8 * u * self.softcap
        if self.score:
            kind = scores.KINDS[self.score]
            operands = [values[a.name] for a in self._score_operands()]
            score_error = kind.gain(operands) * (score_error + 2 * u * size)
            distance = self.S + self.K + np.max(np.abs(values.get("offset", 0)), initial=0)
            score_error = score_error + 4 * u * kind.added(operands, distance)
        if self.sinks:
            sinks = np.nan_to_num(np.abs(values["sinks"]), posinf=0, neginf=0)
            score_error = score_error + u * sinks[None, :, None, None]
        worst = np.max(np.where(kept, score_error, 0), axis=3, initial=0)
        largest = np.max(value, axis=(2, 3), initial=0)[:, :, None]
        relative = np.expm1(2 * worst) + (2 * self.K + 16) * u
        underflow = self.K * TINY[self._compute]
        return largest * (relative + underflow), worst + (self.K + 16) * u

    def _narrow_tolerances(self, values, kept):
        """The same where u is so large that the bounds above say nothing.

        Follows the operations of the decomposition one after the other: each
        adds u times its result, sums add u times each partial sum. Errors d of
        the logits, and of the differences to the maximum, change weights by
        factors of at most exp(d); what all weights share cancels, so that a
        value counts by its distance from the output. A sink is one more key,
        with the value 0.
        """
        u = ROUNDOFF[self._compute]
        query = values["q"][:, :, :, None]
        key, value = (self._for_heads(values, n)[:, :, None] for n in "kv")
        scale = self.scale if self.scale is not None else self.D**-0.5
        parts = np.cumsum(query * key, axis=-1)
        score = scale * parts[..., -1]
        # Products of two rounded numbers, their sum, and the rounded scale.
        error = 3 * u * np.abs(query * key).sum(-1) + u * np.abs(parts[..., 1:]).sum(-1)
        error = abs(scale) * error + 2 * u * np.abs(score)

        def add_bias():
            nonlocal score, error
            if self.bias:
                score = score + values["bias"]
                error = error + u * (np.abs(values["bias"]) + np.abs(score))

        if self.bias_order == "before_softcap":
            add_bias()
        if self.softcap is not None:
            ratio = score / self.softcap
            error = error / self.softcap + 2 * u * np.abs(ratio)
            steepest = 1 - np.tanh(np.maximum(np.abs(ratio) - error, 0)) ** 2
            score = self.softcap * np.tanh(ratio)
            error = self.softcap * steepest * error + 3 * u * np.abs(score)
        if self.bias_order != "before_softcap":
            add_bias()
        score = np.where(kept, score, -np.inf)
        value = np.broadcast_to(value, (*score.shape, self.V))
        if self.sinks:
            sink = np.broadcast_to(values["sinks"][None, :, None, None], (*score.shape[:3], 1))
            score = np.concatenate([sink, score], axis=-1)
            error = np.concatenate([u * np.abs(sink), error], axis=-1)
            value = np.concatenate([np.zeros_like(value[..., :1, :]), value], axis=-2)
        top = score.max(axis=-1, keepdims=True)
        weight = np.exp(score - top)
        total = weight.sum(-1, keepdims=True)
        weight = weight / total
        # The difference to the maximum and its power are rounded, too.
        spread = np.where(weight > 0, score - top, 0)
        error = np.where(weight > 0, error, 0) + u * np.abs(spread) + u
        output = (weight[..., None] * value).sum(-2)
        moved = (weight * np.expm1(error))[..., None] * np.abs(value - output[..., None, :])
        of_sum = u * np.cumsum(weight, axis=-1)[..., 1:].sum(-1)
        products = weight[..., None] * value
        of_products = 2 * u * np.abs(products).sum(-2)
        of_products += u * np.abs(np.cumsum(products, axis=-2)[..., 1:, :]).sum(-2)
        row = moved.sum(-2) * np.exp(error.max(-1))[..., None] + of_products
        row = row + np.abs(output) * (of_sum + u)[..., None]
        underflow = score.shape[-1] * TINY[self._compute]
        log = np.log(total[..., 0])
        of_lse = (weight * error).sum(-1) + of_sum + u * np.abs(log)
        of_lse += u * np.abs(log + top[..., 0])
        # Errors of errors.
        return 1.1 * (row.max(-1) + underflow), 1.1 * (of_lse + underflow)
