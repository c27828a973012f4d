# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Time saved by sparsity: `python -m attn.bench mechanisms`.

Each case is one function of an .mlir text and is compared with dense causal
attention of this project on the same shapes, and where there is one with a peer,
in turns in one process. What a
mechanism needs besides attention (routing, selection, search, scatter) is inside
its time; what of it is choosing is told as a share.
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


def function(size, body, result="%o", more=(), types=None):
    """A function of query, key, value and the arguments (name, type) in `more`."""
    types = types or size.query
    arguments = [("q", size.query), ("k", size.key), ("v", size.key), *more]
    text = ", ".join(f'%{n}: {t} {{attn.name = "{n}"}}' for n, t in arguments)
    return (
        f"func.func @main({text}) -> ({types}) {{\n{body}\n  return {result} : {types}\n}}\n"
    )


def attention(size, mask, clauses="", name="%o"):
    return (
        f"  {name} = attn.attention %q, %k, %v mask({mask}) {clauses}\n"
        f"    : {size.query}, {size.key}, {size.key} -> {size.query}"
    )


def dense(size, layers=1):
    """Causal attention; a single row sees all keys. Layers follow each other."""
    body, query = [], "%q"
    for layer in range(layers):
        mask = "" if size.rows == 1 else "mask(#attn.causal)"
        body.append(
            f"  %o{layer} = attn.attention {query}, %k, %v {mask}\n"
            f"    : {size.query}, {size.key}, {size.key} -> {size.query}"
        )
        query = f"%o{layer}"
    return function(size, "\n".join(body), query)


# Each of the following returns (text, inputs besides q, k, v), or with
# `only_choice` the text of what chooses rows, keys or spans.


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

    def build(size, only_choice=False):
        width, heads, rows = size.heads * WIDTH, size.heads, size.rows
        lists, counts = f"tensor<1x{heads}x{rows}xi32>", f"tensor<1x{heads}xi32>"
        gates, weights = f"tensor<1x{rows}x{heads}xf32>", f"tensor<1x{heads}x{rows}xf32>"
        more = [("x", f"tensor<1x{rows}x{width}xf32>"), ("w", f"tensor<{heads - 2}x{width}xf32>")]
        choice = f"""
  %g = attn.route_heads linear %x routed(%w : {more[1][1]})
    {{top_k = {active - 2}, renormalize, routed_scale = {active - 2}.0}}
    : {more[0][1]} -> {gates}
  %rows, %counts, %weights = attn.list_rows %g : {gates} -> {lists}, {counts}, {weights}"""
        if only_choice:
            return function(
                size, choice, "%rows, %counts, %weights", more, f"{lists}, {counts}, {weights}"
            )
        body = f"""{choice}
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


def superlinear(first, power, factors=(3.0, 1.0), spans=3, alike=1):
    """Span search and span attention on random data: each row chooses for itself, or
    `alike` neighbours choose by one query."""

    def build(size, only_choice=False):
        numbers, last = [], first
        while not numbers or numbers[-1] < size.keys:
            last += 1
            numbers.append(int(np.floor(last ** (1 / power) + 1e-9)))
        window = int(np.floor((first + 1) ** (1 / power) + 1e-9)) - 1
        places = f"tensor<1x{size.heads}x{size.rows}x{spans}x"
        more = [("q1", size.query), ("table", f"tensor<{len(numbers)}xi32>")]
        choice = f"""
  %a, %l = attn.span_search %q1, %k, %table
    : {size.query}, {size.key}, {more[1][1]} -> {places}i32>, {places}f32>
  %begins, %ends = attn.span_bounds %a
    {{backward = {factors[0]}, forward = {factors[1]}, power = {power}}}
    : {places}i32>"""
        if only_choice:
            return function(
                size, choice, "%begins, %ends, %l", more,
                f"{places}i32>, {places}i32>, {places}f32>",
            )
        body = f"""{choice}
  %o = attn.span_attention %q, %k, %v spans(%begins, %ends, %l
    : {places}i32>, {places}f32>)
    {{window = {window}}} : {size.query}, {size.key}, {size.key} -> {size.query}"""
        random = np.random.default_rng(3)
        q1 = random.standard_normal((1, size.heads, size.rows // alike, WIDTH), dtype=np.float32)
        q1 = np.repeat(q1, alike, axis=2)
        return function(size, body, more=more), {"q1": q1, "table": np.array(numbers, np.int32)}

    return build


def decode_lists(block):
    """5 % of the keys for one row, in blocks of `block`."""

    def build(size):
        count = size.keys // block
        kept = count // 20
        random = np.random.default_rng(4)
        lists = np.sort(
            np.stack([random.permutation(count)[:kept] for _ in range(size.heads)])
        ).astype(np.int32)[None, :, None]
        types = [("lists", f"tensor<1x{size.heads}x1x{kept}xi32>"),
                 ("counts", f"tensor<1x{size.heads}x1xi32>")]
        operands = ", ".join(f"%{n}" for n, _ in types) + " : " + ", ".join(t for _, t in types)
        mask = f"#attn.blocks<q_block = 1, kv_block = {block}>, {operands}"
        counts = np.full((1, size.heads, 1), kept, np.int32)
        text = function(size, attention(size, mask), more=types)
        return text, {"lists": lists, "counts": counts}

    return build


def decode_selected(layers):
    """The best 5 % of the blocks of 64 by the means of their keys, which a cache
    keeps; chosen once, used by `layers` layers."""

    def build(size, only_choice=False):
        count = size.keys // 64
        kept = count // 20
        means = f"tensor<1x{size.heads}x{count}x{WIDTH}xf32>"
        scores = f"tensor<1x{size.heads}x1x{count}xf32>"
        lists, counts = f"tensor<1x{size.heads}x1x{kept}xi32>", f"tensor<1x{size.heads}x1xi32>"
        body = f"""
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : {scores}
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : {scores}) -> {scores}
  %scores = linalg.contract
    indexing_maps = [affine_map<(b, h, i, j, d) -> (b, h, i, d)>,
                     affine_map<(b, h, i, j, d) -> (b, h, j, d)>,
                     affine_map<(b, h, i, j, d) -> (b, h, i, j)>]
    ins(%q, %means : {size.query}, {means}) outs(%zeros : {scores}) -> {scores}
  %lists, %counts = attn.top_k %scores : {scores} -> {lists}, {counts}"""
        more = [("means", means)]
        if only_choice:
            return function(size, body, "%lists, %counts", more, f"{lists}, {counts}")
        query = "%q"
        for layer in range(layers):
            body += f"""
  %o{layer} = attn.attention {query}, %k, %v
    mask(#attn.blocks<q_block = 1, kv_block = 64>, %lists, %counts : {lists}, {counts})
    : {size.query}, {size.key}, {size.key} -> {size.query}"""
            query = f"%o{layer}"
        keys = size.inputs()["k"].reshape(1, size.heads, count, 64, WIDTH)
        return function(size, body, query, more), {"means": keys.mean(axis=3)}

    return build


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
    layers: int = 1  # of the dense side as well
    choice: bool = False  # tell the share of what chooses
    lengths: tuple = ()  # fit how time grows with the length; the goal is an upper bound


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
    Mechanism("6 of 8 heads a token", routed_heads(6), 1.25, choice=True),
    Mechanism("4 of 8 heads a token", routed_heads(4), 1.85, choice=True),
    Mechanism("decode, 5 %, blocks of 64", decode_lists(64), 8.0, Size(rows=1, keys=65536)),
    Mechanism("decode, 5 %, tokens", decode_lists(1), 5.0, Size(rows=1, keys=65536)),
    Mechanism(
        "decode, 5 % chosen, 4 layers", decode_selected(4), 8.0, Size(rows=1, keys=65536),
        layers=4, choice=True,
    ),
    Mechanism("spans, 32k", superlinear(3, 0.5), 1.5, Size(2, 32768, 32768), long=True, choice=True),
    Mechanism("spans, 32k, 8 heads", superlinear(3, 0.5), 1.5, Size(8, 32768, 32768), long=True),
    Mechanism("spans, 64k", superlinear(3, 0.5), 2.5, Size(2, 65536, 65536), long=True, choice=True),
    Mechanism(
        "spans, 64k, 64 rows choose alike", superlinear(3, 0.5, alike=64), 2.5,
        Size(2, 65536, 65536), long=True,
    ),
    Mechanism(
        "spans as published, 64k", superlinear(65, 0.55), 1.3, Size(2, 65536, 65536),
        long=True, choice=True,
    ),
    Mechanism(
        "spans, growth 8k to 64k", superlinear(3, 0.5), 1.6, Size(2), long=True,
        lengths=(8192, 16384, 32768, 65536),
    ),
]


def load(text, threads):
    with tempfile.TemporaryDirectory(prefix="attn-bench-") as folder:
        path = Path(folder) / "case.mlir"
        path.write_text(text)
        model = attn.load(path)
    model.set_threads(threads)
    return model


def fastest(sides, rounds):
    """Seconds of each side, the fastest of several turns."""
    best = [float("inf")] * len(sides)
    for turn in range(rounds + 1):
        for i, side in enumerate(sides):
            begin = time.perf_counter()
            side()
            if turn:  # the first one warms up
                best[i] = min(best[i], time.perf_counter() - begin)
    return best


def measure_growth(case, threads, rounds):
    """How time grows with the length: the exponent of a power law."""
    seconds = []
    for length in case.lengths:
        size = Size(case.size.heads, length, length)
        text, more = case.build(size)
        model, inputs = load(text, threads), {**size.inputs(), **more}
        seconds += fastest([lambda: model.run(inputs)], rounds)
    exponent = np.polyfit(np.log(case.lengths), np.log(seconds), 1)[0]
    return {
        "name": case.name, "goal": case.goal, "threads": threads, "exponent": float(exponent),
        "lengths": list(case.lengths), "all_ms": [x * 1e3 for x in seconds],
    }


def measure(case, threads, rounds):
    """Milliseconds of all sides."""
    if case.lengths:
        return measure_growth(case, threads, rounds)
    text, more = case.build(case.size)
    inputs = case.size.inputs()
    whole = {**inputs, **more}
    models = [load(dense(case.size, case.layers), threads), load(text, threads)]
    sides = [lambda: models[0].run(inputs), lambda: models[1].run(whole)]
    if case.choice:
        models.append(load(case.build(case.size, only_choice=True), threads))
        sides.append(lambda: models[2].run(whole))
    elif case.peer:
        try:
            sides.append(case.peer(whole, threads))
        except ImportError:
            pass
    best = fastest(sides, rounds)
    row = {
        "name": case.name, "dense_ms": best[0] * 1e3, "ms": best[1] * 1e3,
        "ratio": best[0] / best[1], "goal": case.goal, "threads": threads,
    }
    if case.choice:
        row["choice"] = best[2] / best[1]
    elif len(sides) > 2:
        row.update(peer=case.peer_name, peer_ms=best[2] * 1e3, peer_goal=case.peer_goal,
                   peer_ratio=best[2] / best[1])
    return row


def good(row):
    if "exponent" in row:
        return row["exponent"] <= row["goal"]
    return row["ratio"] >= row["goal"] and row.get("peer_ratio", 0) >= row.get("peer_goal", 0)


def line_of(row):
    verdict = "ok" if good(row) else "LOW"
    if "exponent" in row:
        times = ", ".join(
            f"{ms:.0f} ms at {length}" for length, ms in zip(row["lengths"], row["all_ms"])
        )
        return (
            f"{row['name']:32} time ~ length ^ {row['exponent']:.2f}, goal at most "
            f"{row['goal']:.2f}  {'ok' if good(row) else 'HIGH'} ({times})"
        )
    line = (
        f"{row['name']:32} {row['dense_ms']:9.1f} {row['ms']:9.1f}  {row['ratio']:6.2f} "
        f"{row['goal']:5.2f}  {verdict:4}"
    )
    if "choice" in row:
        line += f" choosing takes {100 * row['choice']:.1f} %"
    if "peer" in row:
        line += (
            f" {row['peer']} {row['peer_ms']:.1f} ms, {row['peer_ratio']:.2f}, "
            f"goal {row['peer_goal']}"
        )
    return line.rstrip()


def main(argv):
    parser = argparse.ArgumentParser(prog="python -m attn.bench mechanisms", description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side")
    parser.add_argument("--long", action="store_true", help="the cases of minutes as well")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a goal is missed")
    arguments = parser.parse_args(argv)
    print(f"{'mechanism':32} {'dense ms':>9} {'ms':>9}  {'ratio':>6} {'goal':>5}")
    passed = True
    for case in CASES:
        if arguments.only not in case.name or (case.long and not arguments.long):
            continue
        row = measure(case, arguments.threads, 1 if case.long else arguments.rounds)
        passed &= good(row)
        print(line_of(row), flush=True)
    return 1 if arguments.check and not passed else 0
