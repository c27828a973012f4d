# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tile programs on the host's vector units against the NumPy oracle.

Run it with: python -m unittest discover test/Integration/tiles
"""

import functools
import itertools
import random
import sys
import unittest
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "python"))

from attn.testing import scores  # noqa: E402
from attn.testing.attention import AttentionCase  # noqa: E402
from attn.testing.dtypes import ROUNDOFF  # noqa: E402
from attn.testing.execute import LOWER_LINALG, Library, run_cases  # noqa: E402

CPU_FLAGS = Path("/proc/cpuinfo").read_text().split() if sys.platform == "linux" else []
AVX512 = all(f"avx512{part}" in CPU_FLAGS for part in ("f", "bw", "dq", "vl"))
AVX2 = "avx2" in CPU_FLAGS and "fma" in CPU_FLAGS
BF16 = AVX512 and "avx512_bf16" in CPU_FLAGS

A = AttentionCase


@dataclass(frozen=True)
class TokensFirst(AttentionCase):
    """Operands and output are [B, S, H, D] in memory, with transposes around
    the attention; keys also come as [B, H, D, S]."""

    keys_last: bool = False

    ORDERS = {"q": (0, 2, 1, 3), "k": (0, 2, 1, 3), "v": (0, 2, 1, 3)}

    def _order(self, name):
        if name == "k" and self.keys_last:
            return (0, 1, 3, 2)
        return self.ORDERS.get(name)

    def _laid_out(self, argument, name):
        order = self._order(name)
        if not order:
            return argument
        shape = tuple(argument.shape[i] for i in order)
        dynamic = frozenset(i for i, d in enumerate(order) if d in argument.dynamic)
        return replace(argument, shape=shape, dynamic=dynamic)

    def arguments(self):
        return [self._laid_out(a, a.name) for a in super().arguments()]

    def results(self):
        output, *rest = super().results()
        return [self._laid_out(output, "q"), *rest]

    def _transpose(self, source, result, before, after, order):
        """Text of a transpose; sizes that are dynamic are those of `source`."""
        lines, sizes = [], []
        for i in after.dynamic and sorted(after.dynamic):
            lines.append(f"%{result}_c{i} = arith.constant {order[i]} : index")
            lines.append(f"%{result}_d{i} = tensor.dim %{source}, %{result}_c{i} : {before.type}")
            sizes.append(f"%{result}_d{i}")
        lines.append(f"%{result}_e = tensor.empty({', '.join(sizes)}) : {after.type}")
        lines.append(
            f"%{result} = linalg.transpose ins(%{source} : {before.type}) "
            f"outs(%{result}_e : {after.type}) permutation = {list(order)}"
        )
        return lines

    def body(self):
        lines = []
        wanted = {a.name: a for a in super().arguments()}
        for argument in self.arguments():
            order = self._order(argument.name)
            if order:
                lines += self._transpose(
                    argument.name, f"{argument.name}_t", argument, wanted[argument.name], order
                )
        types = {a.name: a.type for a in self.arguments()}
        plain = super().results()
        types_of_results = ", ".join(r.type for r in plain)
        mask = "mask(#attn.causal)" if self.mask else ""
        names = ", ".join(f"%a{i}" for i in range(len(plain)))
        lines.append(
            f"{names} = attn.attention %q_t, %k_t, %v_t {mask} : {wanted['q'].type}, "
            f"{wanted['k'].type}, {wanted['v'].type} -> {types_of_results}"
        )
        lines += self._transpose("a0", "r0", plain[0], self.results()[0], self._order("q"))
        if self.lse:
            lines.append(f"%r1 = tensor.cast %a1 : {plain[1].type} to {plain[1].type}")
        assert "bias" not in types and "keep" not in types
        return "\n  ".join(lines)

    def expected(self, values):
        inputs = [
            np.transpose(x, np.argsort(self._order(a.name))) if self._order(a.name) else x
            for x, a in zip(values, self.arguments())
        ]
        plain = AttentionCase(**{f.name: getattr(self, f.name) for f in fields(AttentionCase)})
        (output, within), *rest = plain.expected(inputs)
        order = self._order("q")
        return [(output.transpose(order), within.transpose(order)), *rest]


@dataclass(frozen=True)
class RoundedWeights(AttentionCase):
    """The dot product of pairs takes weights rounded to bf16."""

    def _tolerances(self, values, kept):
        row, of_lse = super()._tolerances(values, kept)
        value = np.nan_to_num(np.abs(self._for_heads(values, "v")), nan=0, posinf=0)
        largest = np.max(value, axis=(2, 3), initial=0)
        return row + ROUNDOFF["bf16"] * largest[:, :, None], of_lse


CAUSAL = ("causal",)
WINDOW = ("window", 40, 3)
SINK = ("sink", 2)
DOCUMENTS = ("documents",)
BLOCKS = [
    ("blocks", 64, 64, "padded", 0, 0.3),
    ("blocks", 16, 32, "csr", 1, 0.3),
    ("blocks", 128, 128, "members", 2, 0.4),
    ("blocks", 64, 16, "padded", 4, 0.2),
    ("blocks", 400, 1, "padded", 1, 0.1),
    ("blocks", 24, 192, "padded", 1, 0.4),
    ("blocks", 0, 1, "padded", 0, 0.2),
    ("blocks", 0, 64, "members", 1, 0.4),
]
MASKS = [
    *BLOCKS,
    ("window", 1, 0, 64),
    ("window", 2, 1, 24),
    ("spans", 0, 90),
    ("spans", 4, 20),
    ("not", ("spans", 1, 40)),
    ("all_of", CAUSAL, ("elastic", 4, 1)),
    ("all_of", CAUSAL, ("elastic", 2, 32)),
    ("any_of", ("spans", 2, 50), BLOCKS[0], SINK),
    *(("all_of", CAUSAL, blocks) for blocks in BLOCKS),
    ("all_of", ("any_of", BLOCKS[0], SINK, WINDOW), CAUSAL),
    ("all_of", ("any_of", SINK, BLOCKS[1]), ("any_of", ("window", 70, 9), BLOCKS[3])),
    ("any_of", BLOCKS[2], ("all_of", BLOCKS[0], ("window", 100, 0)), BLOCKS[4]),
    ("not", BLOCKS[0]),
    ("per_head", (("all_of", CAUSAL, BLOCKS[0]), SINK, ("any_of", BLOCKS[3], WINDOW)), (0, 2, 1, 0)),
    ("all_of", CAUSAL, ("strided", 2, 64, 0, "query")),
    ("per_head", tuple(("any_of", ("strided", 4, 32, h, "origin"), WINDOW) for h in range(4)), (0, 1, 2, 3)),
    ("strided", 5, 128, -3, "query"),
    CAUSAL,
    WINDOW,
    ("window", 300, 0),
    ("window", -1, 70),
    ("window", 33, -1),
    SINK,
    ("sink", 0),
    ("sink", 130),
    ("strided", 3, 1, 1, "query"),
    ("strided", 2, 64, 1, "origin"),
    DOCUMENTS,
    ("not", CAUSAL),
    ("not", WINDOW),
    ("not", DOCUMENTS),
    ("all_of",),
    ("any_of",),
    ("all_of", CAUSAL, DOCUMENTS, WINDOW),
    ("any_of", SINK, ("all_of", CAUSAL, WINDOW)),
    ("any_of", SINK, ("window", 5, 5), ("not", ("window", 150, 150)), ("sink", 40)),
    ("all_of", ("any_of", SINK, DOCUMENTS), ("not", ("strided", 3, 1, 0, "query"))),
    ("per_head", (CAUSAL, SINK, ("not", WINDOW)), (0, 2, 1, 0)),
]


def passes(avx512, bf16=False):
    options = f"avx512={str(avx512).lower()} bf16-dot={str(bf16).lower()}"
    return [
        f"--attn-to-tiles={options}",
        *LOWER_LINALG[:3],
        f"--attn-lower-tiles={options}",
        "--scf-parallel-for-to-nested-fors",
        *LOWER_LINALG[3:],
    ]


def shape_cases():
    lengths = [0, 1, 7, 8, 31, 33, 63, 64, 65, 127, 128, 129, 197]
    rng = random.Random(3)
    for rows, keys in itertools.chain(
        [(n, n) for n in lengths], [(rng.choice(lengths), rng.choice(lengths)) for _ in range(24)]
    ):
        heads, kv_heads = rng.choice([(1, 1), (4, 4), (4, 2), (8, 1)])
        yield A(
            B=rng.choice([1, 2]), H=heads, G=kv_heads, S=rows, K=keys,
            D=rng.choice([8, 32, 40]), V=rng.choice([8, 16, 24, 40]),
            mask=rng.choice([None, CAUSAL]), query_offset=keys - rows, lse=rng.choice([True, False]),
            dynamic=rng.choice(["", "S", "K", "BSK", "BHGSK"]),
        )
    for D, V in [(1, 1), (3, 5), (64, 64), (80, 80), (128, 128), (96, 33), (67, 129)]:
        yield A(S=70, K=150, D=D, V=V)
        yield A(S=1, K=150, D=D, V=V)
    yield A(H=1, G=1, S=1, K=1999, D=40, V=24, lse=True)
    yield A(H=1, G=1, S=70, K=1999, D=40, V=24, lse=True, dynamic="SK")
    yield A(B=0, dynamic="B", lse=True)


def mask_cases():
    for mask in MASKS:
        common = dict(B=2, H=4, G=2, D=8, V=8, mask=mask, lse=True)
        yield A(S=100, K=333, query_offset=201, **common)
        yield A(S=333, K=100, query_offset=(-30, 5), dynamic="BSK", **common)
        yield A(S=1, K=1100, query_offset=(1099, 300), dynamic="SK", **common)
        yield A(S=3, K=70, query_offset=2, kv_lengths=(70, 0), **common)


def feature_cases():
    everything = dict(
        B=2, H=4, G=2, V=24, D=16, mask=CAUSAL, bias="B1SK", keep="1HSK",
        query_offset=(2, 4), sinks=True, scale=0.3, softcap=2.0, lse=True,
    )
    for rows, keys in [(70, 170), (2, 170), (1, 600)]:
        for dynamic in ["", "SK", "BHGSK"]:
            yield A(S=rows, K=keys, kv_lengths=(keys - 1, 3), dynamic=dynamic, **everything)
    for shape in ["1111", "B111", "1H1K", "B11K", "B1S1", "BHSK"]:
        for ones in [False, True]:
            for rows in [1, 40]:
                shapes = dict(B=2, H=4, G=2, S=rows, K=77, dynamic="SK" if ones else "", dynamic_ones=ones)
                yield A(bias=shape, **shapes)
                yield A(keep=shape, lse=True, **shapes)
    for index_type in ["i32", "i64", "index"]:
        for rows in [1, 40]:
            yield A(
                B=4, S=rows, K=60, kv_lengths=(0, -2, 7, 100), query_offset=(0, 1, 2, -1),
                mask=("any_of", CAUSAL, DOCUMENTS), index_type=index_type, lse=True,
            )
    for order in ["before_softcap", "after_softcap"]:
        yield A(bias="BHSK", softcap=1.5, bias_order=order, S=33, K=65)
        yield A(bias="BHSK", bias_order=order, S=33, K=65)
    for scale in [1.0, 0.0, -2.0]:
        yield A(scale=scale, S=33, K=65)
    for rows in [1, 33]:
        sizes = dict(S=rows, K=65)
        yield A(spread=30.0, lse=True, **sizes)
        yield A(spread=30.0, sinks=True, mask=CAUSAL, lse=True, **sizes)
        yield A(special="nan_query", lse=True, **sizes)
        yield A(special="nan_query", kv_lengths=(0,), lse=True, **sizes)
        yield A(special="nan_last_key", **sizes)
        yield A(special="nan_last_key", mask=CAUSAL, query_offset=2, lse=True, **sizes)
        yield A(special="nan_last_key", keep="BHSK", lse=True, **sizes)
        yield A(special="nan_last_value", B=2, kv_lengths=(64, 0), lse=True, **sizes)
        yield A(special="minus_inf_bias", bias="BHSK", lse=True, **sizes)
        yield A(special="minus_inf_bias", bias="BHSK", sinks=True, lse=True, **sizes)
        yield A(special="minus_inf_bias", bias="B1S1", mask=CAUSAL, lse=True, **sizes)
        yield A(special="empty_row", keep="1HSK", lse=True, **sizes)
        yield A(special="empty_row", keep="1HSK", sinks=True, lse=True, **sizes)
        yield A(special="minus_inf_sink", sinks=True, lse=True, **sizes)
        yield A(special="minus_inf_sink", sinks=True, kv_lengths=(0,), lse=True, **sizes)


def routed_cases():
    for rows, entries in [(1, 1), (9, 3), (200, 70), (200, 201), (64, 64), (0, 5), (5, 0), (33, 100)]:
        for heads, kv_heads in [(1, 1), (4, 2), (8, 1)]:
            for dynamic in ["", "BSK", "NS"]:
                yield A(B=2, H=heads, G=kv_heads, S=rows, N=entries, K=rows + 20, D=16, V=24, lse=True,
                        mask=CAUSAL, query_offset=20, dynamic=dynamic,
                        row_heads="1" if entries == 70 else "H", seed=entries)
    shapes = dict(B=2, H=4, G=2, S=150, K=170, D=16, lse=True)
    for mask in MASKS:
        yield A(mask=mask, N=90, query_offset=(20, 3), **shapes)
    for entries in [1, 90]:
        for dynamic in ["", "NSK"]:
            yield A(N=entries, bias="B1SK", keep="1HSK", kv_lengths=(160, 0), sinks=True, softcap=3.0,
                    mask=CAUSAL, query_offset=20, dynamic=dynamic, **shapes)
        yield A(N=entries, mask=CAUSAL, special="nan_some", query_offset=20, **shapes)
        yield A(N=entries, dtype="f16", mask=CAUSAL, **shapes)
        yield A(N=entries, index_type="i32", mask=("any_of", SINK, DOCUMENTS), **shapes)


def score_cases():
    """Regions in full, partial and gathered tiles, over heads of a group, rows
    of a list, and beyond the last key."""
    for score in scores.KINDS:
        common = dict(B=2, H=4, G=2, D=8, V=24, score=score, lse=True)
        for rows, keys, dynamic in [(100, 333, ""), (197, 128, "BSK"), (1, 600, "BSK"), (3, 70, "")]:
            yield A(S=rows, K=keys, mask=CAUSAL, query_offset=keys - rows, dynamic=dynamic, **common)
        hidden = score == "nan_future"
        for mask in [None, BLOCKS[0], BLOCKS[4]]:
            kept = ("all_of", CAUSAL, mask) if hidden and mask else CAUSAL if hidden else mask
            yield A(S=90, K=150, mask=kept, query_offset=(60, 10), **common)
            yield A(S=1, K=700, mask=kept, query_offset=600, dynamic="SK", **common)
        yield A(S=40, K=90, kv_lengths=(89, 0), mask=CAUSAL, query_offset=50, bias="B1SK",
                keep="1HSK", softcap=2.0, sinks=True, **common)
        for entries in [1, 90]:
            yield A(S=150, K=170, N=entries, mask=CAUSAL, query_offset=20, dynamic="NS", **common)
        # All heads of a group in one tile: rows are heads.
        yield A(H=4, G=1, S=1, K=64, mask=CAUSAL, query_offset=63, score=score, dynamic="B")
        # A kept pair of no weight may hide a NaN.
        for special in ["nan_unkept"] if score == "stripes" else ["nan_some", "nan_unkept"]:
            yield A(S=70, K=150, mask=CAUSAL, query_offset=(80, 3), special=special, **common)
            yield A(S=1, K=150, kv_lengths=(149, 70), mask=CAUSAL, query_offset=149,
                    special=special, dynamic="K", **common)
        if not hidden:
            yield A(S=33, K=65, kv_lengths=(64, 7), special="nan_beyond_lengths", **common)
        for rows, dtype in [(70, "bf16"), (1, "f16")]:
            yield A(S=rows, K=150, dtype=dtype, mask=CAUSAL, query_offset=150 - rows, **common)


def cache_cases():
    """Pages, maps of heads, lengths of heads."""
    common = dict(B=2, H=4, G=2, D=16, V=24, lse=True)
    # Pages narrower and wider than tiles, whole and with a tail; with holes.
    for page, numbers in [(1, 70), (3, 40), (12, 9), (16, 12), (32, 6), (48, 4), (128, 2), (200, 2)]:
        for rows, holes, dynamic in [(1, 0, ""), (1, 0.2, "BSKP"), (70, 0, "K"), (70, 0.2, ""), (3, 0.2, "KP")]:
            yield A(S=rows, K=page * numbers, page=page, P=2 * numbers + 1, holes=holes, mask=CAUSAL,
                    query_offset=page * numbers - rows, dynamic=dynamic, seed=page, **common)
    for mask in MASKS[:9] + [WINDOW, SINK, DOCUMENTS, ("not", WINDOW), None]:
        for rows in [1, 100]:
            yield A(S=rows, K=336, page=16, P=30, holes=0.1, mask=mask, query_offset=201,
                    kv_lengths=(333, 40), dynamic="K" if rows == 1 else "", **common)
    for rows in [1, 40]:
        shapes = dict(S=rows, K=96, page=32, mask=CAUSAL, query_offset=60, **common)
        yield A(P=0, dynamic="P", sinks=True, **shapes)
        yield A(P=0, **shapes)
        yield A(P=4, holes=1.0, **shapes)
        yield A(P=8, holes=0.3, special="nan_unkept", dynamic="BSK", **shapes)
        yield A(P=8, special="nan_some", index_type="i32", **shapes)
        yield A(P=8, holes=0.3, N=9 if rows > 1 else 1, bias="B1SK", keep="1HSK", **shapes)
        for dtype in ["f16", "bf16"]:
            yield A(P=8, dtype=dtype, holes=0.2, **shapes)
            yield A(P=40, dtype=dtype, holes=0.2, **{**shapes, "page": 3})
    # Maps of heads: sorted, in any order, by one side only.
    for keys, key_map, values, value_map in [
        (2, (0, 0, 1, 1), 4, (3, 3, 0, 0)), (3, (2, 0, 0, 1), 2, (1, 0, 1, 1)),
        (1, None, 4, (0, 2, 1, 3)), (4, None, 1, (0, 0, 0, 0)),
    ]:
        for rows, extra in itertools.product([1, 70], [{}, {"page": 16, "P": 30, "holes": 0.1}]):
            yield A(B=2, H=4, G=keys, W=values, key_map=key_map, value_map=value_map, D=16, V=24,
                    S=rows, K=160, mask=CAUSAL, query_offset=90, lse=True, dynamic="BSK", **extra)
    # Lengths of heads: NaN between those of heads that share keys.
    for lengths in [((1, 170, 0, 64), (90, -1, 33, 700)), ((128, 5), (0, 177)), ((3,), (160,))]:
        for rows, dynamic, mask in itertools.product([1, 70], ["", "BSK", "HG"], [None, CAUSAL]):
            yield A(S=rows, K=177, kv_lengths=lengths, mask=mask, query_offset=107, dynamic=dynamic,
                    special="nan_unkept", **common)
    for rows in [1, 70]:
        yield A(S=rows, K=192, kv_lengths=((1, 170, 0, 64), (90, -1, 33, 700)), page=16, P=24, holes=0.1,
                mask=("any_of", BLOCKS[4], SINK), special="nan_unkept", query_offset=100, **common)


def hidden_cases():
    """NaN and infinity in keys and values that only some rows keep."""
    masks = [CAUSAL, WINDOW, DOCUMENTS, ("not", DOCUMENTS), ("any_of", SINK, ("window", 5, 5)),
             ("per_head", (CAUSAL, ("sink", 0)), (0, 1, 1, 0))]
    for rows, keys in [(150, 150), (3, 150), (1, 700)]:
        shapes = dict(B=2, H=4, G=2, S=rows, K=keys, lse=True, query_offset=keys - rows)
        for special in ["nan_some", "nan_unkept"]:
            for mask in masks:
                yield A(mask=mask, special=special, **shapes)
            for dynamic in ["", "BSK"]:
                yield A(keep="B1SK", special=special, dynamic=dynamic, **shapes)
                yield A(mask=CAUSAL, kv_lengths=(keys - 1, keys // 2), special=special,
                        dynamic=dynamic, sinks=True, V=40, **shapes)
            yield A(mask=CAUSAL, bias="1HSK", softcap=3.0, special=special, **shapes)
        for dtype in ["f16", "bf16"]:
            yield A(mask=CAUSAL, special="nan_some", dtype=dtype, **shapes)


def layout_cases():
    for dtype, keys_last in itertools.product(["f32", "bf16"], [False, True]):
        for rows, keys in [(70, 150), (64, 128), (1, 150), (3, 9)]:
            for dynamic in ["", "BSK"]:
                yield TokensFirst(
                    B=2, H=4, G=2, S=rows, K=keys, D=40, V=24, dtype=dtype, dynamic=dynamic,
                    mask=CAUSAL if rows > 3 else None, lse=rows == 64, keys_last=keys_last,
                )


def half_cases(A=AttentionCase):
    yield A(dtype="bf16", score="shift", mask=CAUSAL, query_offset=30, H=4, S=70, K=100, D=32, V=40)
    for rows in [1, 100]:
        yield A(dtype="bf16", mask=CAUSAL, query_offset=100 - rows, H=4, S=rows, K=100, D=32, V=40,
                special="nan_some")
    for dtype in ["f16", "bf16"]:
        for rows, keys in [(1, 1), (1, 150), (64, 128), (70, 333), (5, 7)]:
            for D, V in [(8, 8), (32, 64), (40, 24), (64, 80), (7, 9)]:
                yield A(dtype=dtype, B=2, H=4, G=2, S=rows, K=keys, D=D, V=V, mask=CAUSAL,
                        query_offset=keys - rows, lse=True)
        yield A(dtype=dtype, B=2, S=70, K=100, kv_lengths=(99, 0), special="nan_last_value")
        yield A(dtype=dtype, B=2, S=70, K=100, bias="B1SK", keep="B11K", softcap=3.0, dynamic="SK")


def make_test(cases, build):
    """A test case class with one method for each case, compiled together."""

    class Test(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            cls.problems = run_cases(cases, build)

    for i, case in enumerate(cases):

        def test(self, i=i, case=case):
            if self.problems[i]:
                self.fail(f"{case}\n{self.problems[i]}")

        setattr(Test, f"test_{i:03}", test)
    return Test


for target, known, options in [
    ("Avx512", AVX512, (True,)), ("Avx2", AVX2, (False,)), ("Bf16", BF16, (True, True))
]:
    build = functools.partial(Library, passes=passes(*options))
    groups = {
        "Shapes": shape_cases, "Masks": mask_cases, "Features": feature_cases, "Scores": score_cases,
        "Hidden": hidden_cases, "Cache": cache_cases, "Routed": routed_cases, "Layouts": layout_cases,
        "Halves": half_cases
    }
    if target == "Bf16":
        groups = {"Halves": functools.partial(half_cases, RoundedWeights)}
    for group, cases in groups.items():
        name = f"Test{target}{group}"
        test = make_test(list(cases()), build)
        globals()[name] = unittest.skipUnless(known, f"the CPU has no {target}")(test)
del test

if __name__ == "__main__":
    unittest.main()
