# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Cases of every operation in awkward shapes, and unit tests made of them."""

import functools
import itertools
import random
import unittest

from . import masks, scores
from .attention import AttentionCase
from .execute import Library, run_cases
from .linear import LinearCase
from .others import AppendCase, MergeCase, RopeCase, ScatterCase

FLOATS = ["f64", "f32", "f16", "bf16"]
CAUSAL = ("causal",)
WINDOW = ("window", 2, 1)
SINK = ("sink", 2)
DOCUMENTS = ("documents",)
BLOCKS = [
    ("blocks", 2, 3, "padded", 1, 0.5),
    ("blocks", 1, 1, "padded", 0, 0.5),
    ("blocks", 2, 2, "csr", 0, 0.6),
    ("blocks", 3, 2, "members", 1, 0.5),
    ("blocks", 64, 1, "csr", 1, 0.5),
    ("blocks", 0, 1, "padded", 0, 0.4),
    ("blocks", 0, 2, "members", 1, 0.5),
    ("blocks", 0, 3, "csr", 1, 0.6),
]
MASKS = [
    *BLOCKS,
    ("window", 1, 0, 3),
    ("window", -1, 1, 2),
    ("spans", 0, 4),
    ("spans", 1, 3),
    ("elastic", 0, 1),
    ("elastic", 1, 2),
    ("not", ("spans", 1, 3)),
    ("all_of", CAUSAL, ("elastic", 0, 2), ("spans", 1, 6)),
    ("not", BLOCKS[0]),
    ("all_of", CAUSAL, BLOCKS[0], BLOCKS[3]),
    ("any_of", BLOCKS[1], SINK, ("all_of", BLOCKS[2], CAUSAL)),
    CAUSAL,
    WINDOW,
    ("window", -1, 0),
    ("window", 0, -1),
    SINK,
    ("sink", 0),
    ("strided", 3, 1, 1, "query"),
    ("strided", 2, 2, 1, "origin"),
    DOCUMENTS,
    ("not", CAUSAL),
    ("not", DOCUMENTS),
    ("all_of",),
    ("any_of",),
    ("all_of", CAUSAL, DOCUMENTS, WINDOW),
    ("any_of", SINK, ("all_of", CAUSAL, WINDOW)),
    ("any_of", DOCUMENTS, ("not", DOCUMENTS)),
    ("all_of", ("any_of", SINK, DOCUMENTS), ("not", ("strided", 3, 1, 0, "query"))),
]


def attention_cases():
    A = AttentionCase
    # Every element type, with and without everything that can be added.
    for dtype in FLOATS:
        yield A(dtype=dtype, lse=True)
        yield A(
            dtype=dtype, B=2, H=4, G=2, V=3, mask=CAUSAL, bias="B1SK", keep="1HSK",
            kv_lengths=(6, 3), query_offset=(2, 4), sinks=True, scale=0.3,
            softcap=2.0, lse=True,
        )
    # Shapes: one row, no row, no key, tails, wide heads, a decoding step.
    sizes = [(1, 1), (0, 5), (5, 0), (0, 0), (1, 33), (17, 1), (9, 19), (3, 128)]
    for (rows, keys), (heads, kv_heads) in itertools.product(
        sizes, [(1, 1), (6, 2), (3, 1)]
    ):
        yield A(
            B=2, H=heads, G=kv_heads, S=rows, K=keys, D=3, V=5, dtype="f64",
            mask=CAUSAL, query_offset=keys - rows, lse=True, dynamic="BSK",
        )
    yield A(D=1, V=1, dtype="f64")
    yield A(D=67, V=129, dtype="f64")
    yield A(B=0, dtype="f64", dynamic="B", lse=True)
    yield A(B=0, S=0, K=0, H=4, dtype="f64", lse=True)
    yield A(V=0, dtype="f64")
    # Which dimensions are known: none of them changes the numbers.
    for dynamic in ["", "B", "S", "K", "BSK", "HG", "H", "G", "BHGSK"]:
        for ones in [False, True]:
            yield A(
                B=2, H=4, G=2, dtype="f64", dynamic=dynamic, dynamic_ones=ones,
                bias="1HSK", keep="B11K", mask=("per_head", (CAUSAL, SINK), (0, 1, 1, 0)),
                kv_lengths=(4, 7), query_offset=(2, 0), sinks=True, lse=True,
            )
    # Lists of rows.
    for rows, entries in [(5, 4), (5, 9), (0, 3), (4, 0), (3, 1)]:
        for shared, dynamic in itertools.product("H1", ["", "BSKN", "HG"]):
            yield A(
                B=2, H=4, G=2, S=rows, N=entries, dtype="f64", mask=CAUSAL, query_offset=2,
                row_heads=shared, dynamic=dynamic, lse=True, sinks=shared == "1", seed=entries,
            )
    yield A(
        B=2, H=4, G=2, N=6, mask=("any_of", SINK, DOCUMENTS), bias="B1SK", keep="1HSK",
        kv_lengths=(6, 3), query_offset=(2, 4), sinks=True, lse=True, index_type="i32",
    )
    # Pages: of few keys and many, with holes, without a page, none at all.
    for page, numbers, pages in [(1, 7, 9), (3, 3, 12), (4, 2, 2), (3, 0, 2), (2, 3, 0)]:
        for dynamic, rows in itertools.product(["", "BSKP", "HG"], [1, 5]):
            yield A(
                B=2, H=4, G=2, S=rows, K=page * numbers, V=3, page=page, P=pages, dtype="f64",
                holes=0.3, mask=CAUSAL, query_offset=3, dynamic=dynamic, lse=True, seed=page,
            )
    for index_type in ["i32", "index"]:
        yield A(
            B=2, H=4, G=2, K=12, page=4, P=7, holes=0.2, kv_lengths=(11, 3), sinks=True, lse=True,
            index_type=index_type, bias="B1SK", keep="1HSK", mask=("any_of", BLOCKS[0], SINK),
        )
    yield A(B=2, K=12, page=3, P=9, holes=0.2, N=6, mask=WINDOW, lse=True, special="nan_unkept")
    # Maps of heads: more heads of values than of keys, and fewer.
    for keys, key_map, values, value_map in [
        (2, (1, 0, 0, 1), -1, None), (3, (0, 0, 1, 2), 2, (1, 0, 0, 1)),
        (1, None, 4, (3, 2, 1, 0)), (4, None, 2, (0, 0, 1, 1)), (2, (0, 0, 1, 1), -1, (0, 0, 0, 0)),
    ]:
        for rows, extra in itertools.product([1, 5], [{}, {"page": 3, "P": 5, "K": 9}]):
            yield A(
                B=2, H=4, G=keys, key_map=key_map, W=values, value_map=value_map, S=rows, V=5,
                dtype="f64", mask=CAUSAL, query_offset=2, lse=True, dynamic="BSK", **extra,
            )
    # A length for each head, or for those that share keys.
    for lengths in [((1, 7, 0, 4), (9, -1, 3, 7)), ((2, 5), (0, 7)), ((3,), (6,))]:
        for rows, dynamic in itertools.product([1, 5], ["", "BSK", "HG"]):
            yield A(
                B=2, H=4, G=2, S=rows, kv_lengths=lengths, dtype="f64", lse=True, dynamic=dynamic,
            )
    yield A(
        B=2, H=4, G=1, K=12, kv_lengths=((1, 7, 0, 12), (9, 2, 3, 7)), page=4, P=5, lse=True,
        mask=("any_of", SINK, WINDOW), special="nan_unkept",
    )
    # Masks, at an offset and with several entries and heads.
    for mask in MASKS:
        yield A(B=2, H=4, G=2, dtype="f64", mask=mask, query_offset=2, lse=True)
        yield A(B=2, dtype="f64", mask=mask, query_offset=(-3, 5), lse=True, dynamic="BSK")
    for indices in [(0, 0, 0, 0), (2, 1, 0, 0), (0, 1, 2, 1)]:
        mask = ("per_head", (CAUSAL, DOCUMENTS, ("not", DOCUMENTS)), indices)
        yield A(B=2, H=4, G=2, dtype="f64", mask=mask)
    # Broadcasting of bias and keep.
    for shape in ["1111", "B111", "1H1K", "B1S1", "BHSK"]:
        yield A(B=2, H=4, G=2, dtype="f64", bias=shape)
        yield A(B=2, H=4, G=4, dtype="f64", keep=shape, lse=True)
    # Lengths below zero and beyond the keys; every type of integer.
    for index_type in ["i32", "i64", "index"]:
        yield A(
            B=4, dtype="f64", kv_lengths=(0, -2, 7, 100), query_offset=(0, 1, 2, -1),
            mask=("any_of", CAUSAL, DOCUMENTS), index_type=index_type, lse=True,
        )
    # Scores: order of bias and softcap, precision, no scale, large numbers.
    yield A(dtype="f64", bias="BHSK", softcap=1.5, bias_order="before_softcap")
    yield A(dtype="f64", bias="BHSK", softcap=1.5, bias_order="after_softcap")
    yield A(dtype="f64", scale=1.0)
    yield A(dtype="f64", scale=0.0)
    yield A(dtype="f64", scale=-2.0)
    for dtype, precision in itertools.product(FLOATS, FLOATS):
        yield A(dtype=dtype, precision=precision, sinks=True, softcap=4.0, lse=True)
    for dtype in ["f64", "f32"]:
        yield A(dtype=dtype, spread=30.0, lse=True)
        yield A(dtype=dtype, spread=30.0, sinks=True, mask=CAUSAL, lse=True)
    # Score regions.
    for score, dtype in itertools.product(scores.KINDS, ["f64", "f32"]):
        yield A(
            B=2, H=4, G=2, dtype=dtype, score=score, mask=CAUSAL, query_offset=(2, 0), lse=True,
            kv_lengths=(6, 3), dynamic="BSK", bias="B1SK", softcap=2.0,
        )
        yield A(H=4, G=1, S=1, K=9, V=3, dtype=dtype, score=score, query_offset=8, sinks=True)
        yield A(
            B=2, H=4, G=2, N=6, dtype=dtype, score=score, mask=CAUSAL, query_offset=2, lse=True,
            dynamic="BSKN",
        )
        yield A(S=0, K=5, dtype=dtype, score=score, dynamic="SK", lse=True)
        yield A(S=5, K=0, dtype=dtype, score=score, dynamic="SK", lse=True)
    # Not finite: a NaN in what is kept shows, in what is not it does not.
    for dtype in ["f64", "f32"]:
        yield A(dtype=dtype, special="nan_query", lse=True)
        yield A(dtype=dtype, special="nan_query", kv_lengths=(0,), lse=True)
        for special in ["nan_last_key", "nan_last_value"]:
            yield A(dtype=dtype, special=special)
            yield A(dtype=dtype, special=special, mask=CAUSAL, query_offset=2, lse=True)
            yield A(dtype=dtype, B=2, special=special, kv_lengths=(6, 0), lse=True)
            yield A(dtype=dtype, special=special, keep="BHSK", lse=True)
        unkept = functools.partial(A, dtype=dtype, special="nan_unkept", lse=True)
        yield unkept(B=2, K=19, mask=CAUSAL, query_offset=(1, 9))
        yield unkept(B=2, K=19, S=1, mask=CAUSAL, query_offset=(1, 9))
        yield unkept(K=40, mask=("any_of", SINK, ("window", 3, 2)), query_offset=20)
        yield unkept(B=2, K=19, keep="B11K", H=4)
        yield unkept(B=3, K=19, kv_lengths=(0, 2, 17), mask=("not", CAUSAL))
        beyond = functools.partial(unkept, special="nan_beyond_lengths")
        yield beyond(B=3, K=40, kv_lengths=(0, 1, 33))
        yield beyond(B=3, K=40, S=1, H=4, kv_lengths=(-1, 39, 40))
        yield beyond(B=2, K=40, kv_lengths=(7, 31), query_offset=(5, 40), mask=CAUSAL)
        yield A(dtype=dtype, special="minus_inf_bias", bias="BHSK", lse=True)
        yield A(dtype=dtype, special="minus_inf_bias", bias="BHSK", sinks=True, lse=True)
        yield A(dtype=dtype, special="minus_inf_bias", bias="B1S1", mask=CAUSAL, lse=True)
        yield A(dtype=dtype, special="empty_row", keep="1HSK", lse=True)
        yield A(dtype=dtype, special="empty_row", keep="1HSK", sinks=True, lse=True)
        yield A(dtype=dtype, special="minus_inf_sink", sinks=True, lse=True)
        yield A(
            dtype=dtype, special="minus_inf_sink", sinks=True, kv_lengths=(0,), lse=True
        )


def linear_cases():
    L = LinearCase
    for dtype in FLOATS:
        yield L(dtype=dtype)
        yield L(
            dtype=dtype, B=2, H=4, G=2, V=5, S=9, decay="head", beta="G", state=True, scale=0.4,
        )
    # Every rule, at lengths around the chunks and their blocks.
    rules = [
        {},
        {"decay": "head"},
        {"decay": "constant"},
        {"beta": "G"},
        {"decay": "head", "beta": "1"},
        {"decay": "constant", "beta": "G", "state": True},
        {"normalize": True, "decay": "head", "state": True},
        {"normalize": True},
        {"decay": "feature"},
        {"decay": "feature", "beta": "G", "state": True},
        {"decay": "feature", "normalize": True, "state": True},
    ]
    for rule, length in itertools.product(rules, [0, 1, 8, 63, 64, 65, 137]):
        yield L(B=2, H=6, G=2, S=length, D=5, V=3, dynamic="BS", **rule)
        yield L(S=length, D=16, V=64, H=1, G=1, chunk=16, **rule)
    yield L(S=130, decay="head", strength=8.0)
    yield L(S=130, decay="head", beta="G", strength=8.0, D=16)
    yield L(S=130, decay="head", special="forget")
    yield L(S=130, beta="G", special="same_keys", D=16)
    for beta in (None, "G"):
        # Factors far below the smallest number, next to such of nearly 1.
        yield L(S=90, decay="feature", strength=60.0, beta=beta, D=16)
        yield L(S=90, decay="feature", special="forget", beta=beta, D=16)
        yield L(S=50, decay="feature", H=6, G=2, B=2, D=64, V=96, beta=beta, state=True)
    yield L(S=65, chunk=1, decay="head", beta="G")
    yield L(S=300, D=64, V=96, H=4, G=2, decay="head", beta="G", B=2)
    for unwritten, length in itertools.product([False, True], [1, 32, 33, 150]):
        yield L(
            B=2, S=length, H=4, G=2, decay="head", beta="G", writes="G", chunk=32,
            unwritten=unwritten, dynamic="BSC",
        )
        yield L(
            S=length, decay="constant", writes="1", chunk=16, unwritten=unwritten,
            normalize=True, state=True,
        )
    yield L(S=200, writes="G", chunk=96, beta="1", state=True)
    yield L(S=40, writes="G", chunk=16, decay="feature", unwritten=True, normalize=True)
    yield L(S=50, writes="G", chunk=7, decay="head", unwritten=True)


def random_linear_cases(first, count):
    """A case for each seed, so that a failure can be named."""
    for seed in range(first, first + count):
        rng = random.Random(seed)
        heads = rng.choice([1, 2, 3, 4])
        beta = rng.choice([None, None, "G", "1"])
        writes = rng.choice([None, None, "G", "1"])
        decay = rng.choice([None, "head", "constant", "feature"])
        yield LinearCase(
            B=rng.choice([1, 1, 2, 3]), G=heads, H=heads * rng.choice([1, 1, 2, 5, 20]),
            S=rng.choice([0, 1, 2, 7, 8, 9, 40, 63, 64, 65, 130, 200]),
            D=rng.choice([1, 3, 8, 16, 20, 64]), V=rng.choice([1, 5, 16, 32, 48, 64]),
            dtype=rng.choice(["f32", "f32", "f16", "bf16", "f64"]), decay=decay,
            strength=rng.choice([0.01, 0.3, 3.0]), beta=beta, state=rng.random() < 0.5,
            normalize=not beta and rng.random() < 0.3, writes=writes,
            unwritten=bool(writes) and rng.random() < 0.5, scale=rng.choice([None, 0.25]),
            chunk=rng.choice([None, 1, 8, 16, 20, 64, 128]),
            dynamic=rng.choice(["", "S", "BS"]) + ("C" if writes else ""), seed=seed,
        )


def merge_cases():
    for dtype, empty in itertools.product(FLOATS, [None, "one", "all"]):
        yield MergeCase(dtype=dtype, empty=empty)
    yield MergeCase(parts=1, dtype="f64")
    yield MergeCase(parts=7, dtype="f64", dynamic=True)
    yield MergeCase(S=0, dtype="f64", dynamic=True)


def rope_cases():
    for dtype, interleaved in itertools.product(FLOATS, [False, True]):
        yield RopeCase(dtype=dtype, interleaved=interleaved)
        yield RopeCase(dtype=dtype, interleaved=interleaved, R=4, angle_dtype="f32")
    for batch, dynamic in itertools.product([None, 1, 2], [False, True]):
        yield RopeCase(dtype="f64", angle_batch=batch, dynamic=dynamic)
        yield RopeCase(
            dtype="f64", angle_batch=batch, dynamic=dynamic, D=7, R=6, interleaved=True
        )
    for dynamic in [False, True]:
        yield RopeCase(dtype="f64", S=0, dynamic=dynamic)
        yield RopeCase(dtype="f64", R=0, D=1, interleaved=True, dynamic=dynamic)


def scatter_cases():
    for dtype in FLOATS:
        yield ScatterCase(dtype=dtype)
        yield ScatterCase(dtype=dtype, weights="f32", H=1, S=1, N=9)
    for rows, entries in [(0, 3), (4, 0), (1, 1), (17, 40)]:
        for heads in ["H", "1"]:
            yield ScatterCase(dtype="f64", S=rows, N=entries, row_heads=heads, weights="f64", dynamic="BHSN")
    for index_type in ["i32", "i64", "index"]:
        yield ScatterCase(dtype="f64", D=67, index_type=index_type, weights="f64")


def append_cases():
    for dtype in FLOATS:
        yield AppendCase(dtype=dtype)
        yield AppendCase(dtype=dtype, at=(1, 4))
    for length, added in [(0, 3), (3, 0), (0, 0), (1, 1)]:
        for dynamic, entries in [(False, 2), (True, 2), (False, 0)]:
            yield AppendCase(B=entries, L=length, S=added, dynamic=dynamic)
    # In bounds, over both ends, beyond them, more rows than the cache has.
    places = [(0, 4), (5, 6), (-1, 7), (-9, 100), (-(2**63), 2**63 - 1)]
    for at, added, circular, dynamic in itertools.product(
        places, [0, 1, 2, 6, 15], [False, True], [False, True]
    ):
        yield AppendCase(at=at, S=added, circular=circular, dynamic=dynamic)
    for at, added, circular, dynamic in itertools.product(
        [(0, 4), (5, -3), (100, 1)], [0, 1, 7], [False, True], [False, True]
    ):
        yield AppendCase(at=at, S=added, circular=circular, dynamic=dynamic, L=9, page=3, seed=added)
    # A row for each head, and for consecutive ones.
    for at, extra, dynamic in itertools.product(
        [((0, 4, 2, -1), (5, 6, 7, 8)), ((3, 1), (9, 0)), ((2,), (4,))],
        [{}, {"circular": True}, {"page": 3}, {"page": 3, "circular": True}], [False, True],
    ):
        yield AppendCase(at=at, G=4, S=3, L=9, dynamic=dynamic, **extra)
    for length, pages in [(0, 2), (6, 0), (0, 0)]:
        yield AppendCase(at=(0, 1), L=length, page=3, P=pages, dynamic=True)
        yield AppendCase(at=(0, 1), L=length, page=3, P=pages, circular=True, index_type="i32")
    for index_type, circular in itertools.product(["i32", "index"], [False, True]):
        yield AppendCase(at=(-1, 5), circular=circular, index_type=index_type)
    for circular, dynamic in itertools.product([False, True], [False, True]):
        yield AppendCase(at=(0, 1), L=0, circular=circular, dynamic=dynamic)


def random_mask(rng, depth, heads):
    """A random tree of masks, documents among them."""
    kind = rng.randrange(6) if depth else 0
    members = [random_mask(rng, depth - 1, heads) for _ in range(3)] if kind else []
    if kind == 1:
        return ("not", members[0])
    if kind in (2, 3):
        return ("all_of", *members[: rng.randrange(4)])
    if kind == 4:
        return ("any_of", *members[: rng.randrange(4)])
    if kind == 5:
        return ("per_head", tuple(members), tuple(rng.choices(range(3), k=heads)))
    return rng.choice([mask for mask in MASKS if len(masks.leaves(mask)) < 2])


def random_mask_cases():
    rng = random.Random(7)
    for seed in range(60):
        heads = rng.choice([1, 2, 4])
        yield AttentionCase(
            B=2, H=heads, G=rng.choice([1, heads]), S=rng.randrange(1, 7), K=rng.randrange(1, 9),
            mask=random_mask(rng, 3, heads), query_offset=rng.randrange(-2, 5),
            dtype="f64", lse=True, dynamic=rng.choice(["", "SK", "BSK"]), seed=seed,
        )


def make_test(cases, build=Library):
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
