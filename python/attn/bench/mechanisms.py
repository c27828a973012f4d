# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Time saved by sparsity: `python -m attn.bench mechanisms`.

Each case is one function of an .mlir text and is compared with dense causal
attention of this project on the same shapes, and where there is one with a peer,
in turns in one process. What a
mechanism needs besides attention (routing, selection, search, scatter) is inside
its time.
"""

import argparse
import functools
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import attn
from attn.bench import sparse_peers

WIDTH = 128


@dataclass(frozen=True)
class Size:
    heads: int = 8
    rows: int = 8192
    keys: int = 8192

    @property
    def query(self):
        return f"tensor<1x{self.heads}x{self.rows}x{WIDTH}xf32>"

    @property
    def key(self):
        return f"tensor<1x{self.heads}x{self.keys}x{WIDTH}xf32>"

    def inputs(self):
        random = np.random.default_rng(0)

        def normal(rows):
            return random.standard_normal((1, self.heads, rows, WIDTH), dtype=np.float32)

        return {"q": normal(self.rows), "k": normal(self.keys), "v": normal(self.keys)}


def function(size, body, result="%o", more=()):
    """A function of query, key, value and the arguments (name, type) in `more`."""
    arguments = [("q", size.query), ("k", size.key), ("v", size.key), *more]
    text = ", ".join(f'%{n}: {t} {{attn.name = "{n}"}}' for n, t in arguments)
    return (
        f"func.func @main({text}) -> {size.query} {{\n{body}\n"
        f"  return {result} : {size.query}\n}}\n"
    )


def attention(size, mask, clauses="", name="%o"):
    return (
        f"  {name} = attn.attention %q, %k, %v mask({mask}) {clauses}\n"
        f"    : {size.query}, {size.key}, {size.key} -> {size.query}"
    )


def dense(size):
    """Causal attention; a single row sees all keys."""
    if size.rows == 1:
        body = (
            f"  %o = attn.attention %q, %k, %v : {size.query}, {size.key}, {size.key}"
            f" -> {size.query}"
        )
        return function(size, body)
    return function(size, attention(size, "#attn.causal"))


# Each of the following returns (text, inputs besides q, k, v).


def streaming(size):
    keep = "#attn.any_of<[#attn.sink<64>, #attn.window<left = 511, right = 0>]>"
    return function(size, attention(size, f"#attn.all_of<[#attn.causal, {keep}]>")), {}


def block_list(share):
    def build(size):
        count = size.keys // 64
        random = np.random.default_rng(1)
        lists = np.full((1, size.heads, count, count), -1, np.int32)
        counts = np.zeros((1, size.heads, count), np.int32)
        for h, i in np.ndindex(size.heads, count):
            some = np.flatnonzero(random.random(i + 1) < share)
            lists[0, h, i, : some.size], counts[0, h, i] = some, some.size
        types = [("lists", f"tensor<1x{size.heads}x{count}x{count}xi32>"),
                 ("counts", f"tensor<1x{size.heads}x{count}xi32>")]
        operands = ", ".join(f"%{n}" for n, _ in types) + " : " + ", ".join(t for _, t in types)
        mask = f"#attn.all_of<[#attn.causal, #attn.blocks<q_block = 64, kv_block = 64>]>, {operands}"
        return function(size, attention(size, mask), more=types), {"lists": lists, "counts": counts}

    return build


def mixed_heads(size):
    keep = "#attn.any_of<[#attn.sink<64>, #attn.window<left = 255, right = 0>]>"
    indices = [h % 2 for h in range(size.heads)]
    mask = f"#attn.per_head<[#attn.causal, #attn.all_of<[#attn.causal, {keep}]>], {indices}>"
    return function(size, attention(size, mask)), {}


def routed_heads(active):
    """Mixture of heads, the first 2 shared: `active` of all heads for a token."""

    def build(size):
        width, heads, rows = size.heads * WIDTH, size.heads, size.rows
        lists, counts = f"tensor<1x{heads}x{rows}xi32>", f"tensor<1x{heads}xi32>"
        gates, weights = f"tensor<1x{rows}x{heads}xf32>", f"tensor<1x{heads}x{rows}xf32>"
        more = [("x", f"tensor<1x{rows}x{width}xf32>"), ("w", f"tensor<{heads - 2}x{width}xf32>")]
        body = f"""
  %g = attn.route_heads linear %x routed(%w : {more[1][1]})
    {{top_k = {active - 2}, renormalize, routed_scale = {active - 2}.0}}
    : {more[0][1]} -> {gates}
  %rows, %counts, %weights = attn.list_rows %g : {gates} -> {lists}, {counts}, {weights}
{attention(size, "#attn.causal", f"routing(%rows, %counts : {lists}, {counts})", "%part")}
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : {size.query}
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : {size.query}) -> {size.query}
  %o = attn.scatter_rows %part, %rows, %counts weights(%weights : {weights}) into %zeros
    : {size.query}, {lists}, {counts} into {size.query}"""
        random = np.random.default_rng(2)
        x = random.standard_normal((1, rows, width), dtype=np.float32)
        w = random.standard_normal((heads - 2, width), dtype=np.float32) / np.sqrt(width)
        return function(size, body, more=more), {"x": x, "w": w.astype(np.float32)}

    return build


def superlinear(first, power, factors=(3.0, 1.0), spans=3):
    """Span search and span attention on random data, where no two rows agree."""

    def build(size):
        numbers, last = [], first
        while not numbers or numbers[-1] < size.keys:
            last += 1
            numbers.append(int(np.floor(last ** (1 / power) + 1e-9)))
        window = int(np.floor((first + 1) ** (1 / power) + 1e-9)) - 1
        places = f"tensor<1x{size.heads}x{size.rows}x{spans}x"
        more = [("q1", size.query), ("table", f"tensor<{len(numbers)}xi32>")]
        body = f"""
  %a, %l = attn.span_search %q1, %k, %table
    : {size.query}, {size.key}, {more[1][1]} -> {places}i32>, {places}f32>
  %begins, %ends = attn.span_bounds %a
    {{backward = {factors[0]}, forward = {factors[1]}, power = {power}}}
    : {places}i32>
  %o = attn.span_attention %q, %k, %v spans(%begins, %ends, %l
    : {places}i32>, {places}f32>)
    {{window = {window}}} : {size.query}, {size.key}, {size.key} -> {size.query}"""
        random = np.random.default_rng(3)
        q1 = random.standard_normal((1, size.heads, size.rows, WIDTH), dtype=np.float32)
        return function(size, body, more=more), {"q1": q1, "table": np.array(numbers, np.int32)}

    return build


def decode_blocks(size):
    """The best 5 % of the blocks for one row."""
    count = size.keys // 64
    kept = count // 20
    random = np.random.default_rng(4)
    lists = np.sort(
        np.stack([random.permutation(count)[:kept] for _ in range(size.heads)])
    ).astype(np.int32)[None, :, None]
    types = [("lists", f"tensor<1x{size.heads}x1x{kept}xi32>"),
             ("counts", f"tensor<1x{size.heads}x1xi32>")]
    operands = ", ".join(f"%{n}" for n, _ in types) + " : " + ", ".join(t for _, t in types)
    mask = f"#attn.blocks<q_block = 1, kv_block = 64>, {operands}"
    counts = np.full((1, size.heads, 1), kept, np.int32)
    return function(size, attention(size, mask), more=types), {"lists": lists, "counts": counts}


@dataclass(frozen=True)
class Mechanism:
    name: str
    build: object
    goal: float
    size: Size = Size()
    long: bool = False  # takes more than a few seconds
    peer: object = None  # of (inputs, threads)
    peer_name: str = ""
    peer_goal: float = 0.0


CASES = [
    Mechanism(
        "window 512 + sink 64", streaming, 5.0, peer_name="FlexAttention", peer_goal=2.5,
        peer=functools.partial(sparse_peers.flex_attention, sink=64, recent=512),
    ),
    Mechanism(
        "blocks 64x64, 25 %", block_list(0.25), 3.4, peer=sparse_peers.sparse_attention,
        peer_name="ONNX Runtime", peer_goal=4.0,
    ),
    Mechanism(
        "blocks 64x64, 10 %", block_list(0.10), 8.0, peer=sparse_peers.sparse_attention,
        peer_name="ONNX Runtime", peer_goal=10.0,
    ),
    Mechanism("half of the heads stream", mixed_heads, 1.65),
    Mechanism("6 of 8 heads a token", routed_heads(6), 1.25),
    Mechanism("4 of 8 heads a token", routed_heads(4), 1.85),
    Mechanism("decode, 5 % of 64k keys", decode_blocks, 8.0, Size(rows=1, keys=65536)),
    Mechanism("spans, 32k", superlinear(3, 0.5), 1.5, Size(2, 32768, 32768), long=True),
    Mechanism("spans, 64k", superlinear(3, 0.5), 2.5, Size(2, 65536, 65536), long=True),
    Mechanism("spans as published, 64k", superlinear(65, 0.55), 1.3, Size(2, 65536, 65536), long=True),
]


def load(text, threads):
    with tempfile.TemporaryDirectory(prefix="attn-bench-") as folder:
        path = Path(folder) / "case.mlir"
        path.write_text(text)
        model = attn.load(path)
    model.set_threads(threads)
    return model


def measure(case, threads, rounds):
    """Milliseconds of all sides, the fastest of several turns."""
    text, more = case.build(case.size)
    inputs = case.size.inputs()
    whole = {**inputs, **more}
    models = [load(dense(case.size), threads), load(text, threads)]
    sides = [lambda: models[0].run(inputs), lambda: models[1].run(whole)]
    if case.peer:
        try:
            sides.append(case.peer(whole, threads))
        except ImportError:
            pass
    best = [float("inf")] * len(sides)
    for turn in range(rounds + 1):
        for i, side in enumerate(sides):
            begin = time.perf_counter()
            side()
            if turn:  # the first one warms up
                best[i] = min(best[i], time.perf_counter() - begin)
    row = {
        "name": case.name, "dense_ms": best[0] * 1e3, "ms": best[1] * 1e3,
        "ratio": best[0] / best[1], "goal": case.goal, "threads": threads,
    }
    if len(sides) > 2:
        row.update(peer=case.peer_name, peer_ms=best[2] * 1e3, peer_goal=case.peer_goal,
                   peer_ratio=best[2] / best[1])
    return row


def good(row):
    return row["ratio"] >= row["goal"] and row.get("peer_ratio", 0) >= row.get("peer_goal", 0)


def main(argv):
    parser = argparse.ArgumentParser(prog="python -m attn.bench mechanisms", description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side")
    parser.add_argument("--long", action="store_true", help="the cases of minutes as well")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a goal is missed")
    arguments = parser.parse_args(argv)
    print(f"{'mechanism':26} {'dense ms':>9} {'ms':>9}  {'ratio':>6} {'goal':>5}")
    passed = True
    for case in CASES:
        if arguments.only not in case.name or (case.long and not arguments.long):
            continue
        row = measure(case, arguments.threads, 1 if case.long else arguments.rounds)
        passed &= good(row)
        line = (
            f"{row['name']:26} {row['dense_ms']:9.1f} {row['ms']:9.1f}  {row['ratio']:6.2f} "
            f"{row['goal']:5.2f}  {'ok' if good(row) else 'LOW':4}"
        )
        if "peer" in row:
            line += (
                f" {row['peer']} {row['peer_ms']:.1f} ms, {row['peer_ratio']:.2f}, "
                f"goal {row['peer_goal']}"
            )
        print(line.rstrip(), flush=True)
    return 1 if arguments.check and not passed else 0
