# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What is measured on a GPU: our program, what it is compared with, and the bar."""

from dataclasses import dataclass

import numpy as np

from attn.gpu.programs import (
    Program, Shape, attention, block_lists, causal, dense, linear, routed, tensor_type,
)

HEADS, WIDTH = 16, 128


@dataclass(frozen=True)
class Case:
    """`peers` names functions of attn.bench.gpu_peers; `ours` names another case.

    The bars: least ratio of the best peer's time to ours, of our other case's time
    to ours, and the least share of the measured copy bandwidth.
    """

    program: Program
    peers: tuple = ()
    peer_goal: float = 0.0
    ours: str = ""
    ours_goal: float = 0.0
    bandwidth_goal: float = 0.0
    memory_goal: float = 0.0  # most times the time that moving the bytes takes
    is_causal: bool = False

    @property
    def name(self):
        return self.program.name


def shape(rows, heads=HEADS, **more):
    return Shape(heads=heads, rows=rows, width=WIDTH, **more)


def spans(name, size, first=3, power=0.5, count=3):
    """Span search, then attention to a window and the best spans, on random data."""
    numbers, last = [], first
    while not numbers or numbers[-1] < size.rows:
        last += 1
        numbers.append(int(np.floor(last ** (1 / power) + 1e-9)))
    window = int(np.floor((first + 1) ** (1 / power) + 1e-9)) - 1
    places = f"tensor<1x{size.heads}x{size.rows}x{count}x"
    kind, table = size.type("q"), tensor_type((len(numbers),), "i32")
    arguments = ", ".join(f'%{n}: {kind} {{attn.name = "{n}"}}' for n in ("q", "k", "v", "q1"))
    text = f"""func.func @main({arguments}, %table: {table} {{attn.name = "table"}})
    -> ({kind} {{attn.name = "o"}}) {{
  %a, %l = attn.span_search %q1, %k, %table
    : {kind}, {kind}, {table} -> {places}i32>, {places}f32>
  %begins, %ends = attn.span_bounds %a
    {{backward = 3.0, forward = 1.0, power = {power}}} : {places}i32>
  %o = attn.span_attention %q, %k, %v spans(%begins, %ends, %l
    : {places}i32>, {places}f32>) {{window = {window}}} : {kind}, {kind}, {kind} -> {kind}
  return %o : {kind}
}}
"""
    inputs = {n: (size.sizes["q"], size.dtype) for n in ("q", "k", "v", "q1")}
    return Program(name, text, {**inputs, "table": np.array(numbers, np.int32)})


def all_cases():
    torch_sides = ("sdpa_flash", "sdpa_cudnn", "triton")
    for rows in (8192, 16384):
        label = f"{rows // 1024}k"
        yield Case(dense(f"dense {label}", shape(rows)), torch_sides, 0.9)
        yield Case(causal(f"causal {label}", shape(rows)), torch_sides, 0.9, is_causal=True)
    yield Case(dense("dense 8k, width 64", Shape(heads=HEADS, rows=8192, width=64)), torch_sides, 0.9)
    # Lists that hide 75 and 90 % of the pairs, against everything.
    long = shape(32768, heads=4)
    yield Case(dense("dense 32k", long), ("sdpa_flash", "sdpa_cudnn"), 0.9)
    for density, goal in ((0.25, 3.4), (0.10, 7.5)):
        name = f"block lists 32k, {density:.0%}"
        yield Case(
            block_lists(name, long, density, is_causal=False), ("flex",), 1.5,
            ours="dense 32k", ours_goal=goal,
        )
    routed_shape = shape(8192, heads=8)
    yield Case(causal("causal 8k, 8 heads", routed_shape), torch_sides, 0.9, is_causal=True)
    for active, goal in ((6, 1.25), (4, 1.8)):
        yield Case(
            routed(f"{active} of 8 heads a row", routed_shape, active),
            ours="causal 8k, 8 heads", ours_goal=goal, is_causal=True,
        )
    yield Case(
        attention("decode 64k, 8 rows a head", Shape(heads=64, rows=1, kv_heads=8, keys=65536)),
        ("sdpa_flash", "sdpa_cudnn"), 0.0, bandwidth_goal=0.8,
    )
    span_shape = shape(131072, heads=2)
    yield Case(causal("causal 128k", span_shape), ("sdpa_flash",), 0.0, is_causal=True)
    yield Case(spans("spans 128k", span_shape), ours="causal 128k", ours_goal=3.0)
    yield Case(linear("linear 8k", shape(8192)), memory_goal=1.3)


CASES = list(all_cases())


def programs():
    """Every program that a bundle must hold."""
    return [case.program for case in CASES]
