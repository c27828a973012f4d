# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Programs for a GPU as data: text, inputs, and what PyTorch computes in float32.

The same programs are checked at small sizes and measured at large ones.
"""

import functools
from dataclasses import dataclass, field

import numpy as np

TORCH_TYPES = {"bf16": "bfloat16", "f16": "float16", "f32": "float32", "i32": "int32"}


@dataclass(frozen=True)
class Shape:
    heads: int = 8
    rows: int = 1024
    width: int = 128
    dtype: str = "bf16"
    kv_heads: int = 0  # 0: as many as heads
    keys: int = 0  # 0: as many as rows
    value_width: int = 0  # 0: as wide as keys

    @property
    def sizes(self):
        keys, value_width = self.keys or self.rows, self.value_width or self.width
        kv_heads = self.kv_heads or self.heads
        return {
            "q": (1, self.heads, self.rows, self.width),
            "k": (1, kv_heads, keys, self.width),
            "v": (1, kv_heads, keys, value_width),
            "o": (1, self.heads, self.rows, value_width),
        }

    def type(self, name):
        return tensor_type(self.sizes[name], self.dtype)


def tensor_type(sizes, dtype):
    return "tensor<" + "".join(f"{size}x" for size in sizes) + dtype + ">"


@dataclass(frozen=True)
class Program:
    """A function @main. `inputs` holds NumPy arrays, or (sizes, dtype) of normal numbers."""

    name: str
    text: str
    inputs: dict = field(hash=False)
    reference: object = None  # of (torch, inputs): the result in float32, or None
    flops: float = 0.0
    bytes: float = 0.0  # that have to be moved
    tolerance: float = 2e-2  # times the largest result, if that is above 1

    def allowed(self, largest):
        """Largest difference of results of which the largest is this."""
        return self.tolerance * max(1.0, float(largest))

    def tensors(self, torch, device, seed=0):
        """The inputs as torch tensors."""
        generator = torch.Generator(device=device).manual_seed(seed)
        result = {}
        for name, value in self.inputs.items():
            if isinstance(value, np.ndarray):
                result[name] = torch.from_numpy(value).to(device)
                continue
            sizes, dtype = value
            tensor = torch.randn(sizes, generator=generator, device=device, dtype=torch.float32)
            result[name] = tensor.to(getattr(torch, TORCH_TYPES[dtype]))
        return result


def softmax_attention(torch, inputs, keep=None, bias=None, rows=2048):
    """Attention in float32 by its definition; `keep(head, row, key)` is a mask of index tensors."""
    q, k, v = (inputs[name].float() for name in "qkv")
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    heads = torch.arange(q.shape[1], device=q.device)[:, None, None]
    columns = torch.arange(k.shape[2], device=q.device)
    outputs = []
    for begin in range(0, q.shape[2], rows):
        part = q[:, :, begin : begin + rows]
        scores = part @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        places = torch.arange(begin, begin + part.shape[2], device=q.device)[:, None]
        if bias is not None:
            scores = scores + bias[:, :, begin : begin + rows].float()
        if keep is not None:
            scores = scores.masked_fill(~keep(heads, places, columns), float("-inf"))
        weights = torch.softmax(scores, -1).nan_to_num(0.0)
        outputs.append(weights @ v)
    return torch.cat(outputs, 2)


def attention(name, shape, mask="", keep=None, operands=(), clauses="", share=1.0, bias=None,
              extra=None):
    """A program of one attention. `operands` are the mask's (name, array); `share` is the part
    of all pairs that the mask keeps, for the count of operations."""
    types = {n: shape.type(n) for n in "qkv"}
    inputs = {n: (shape.sizes[n], shape.dtype) for n in "qkv"}
    for operand, array in operands:
        types[operand] = tensor_type(array.shape, "i32")
        inputs[operand] = array
    for operand, (sizes, dtype) in (extra or {}).items():
        types[operand] = tensor_type(sizes, dtype)
        inputs[operand] = (sizes, dtype)
    text = ""
    if mask:
        names = ", ".join(f"%{n}" for n, _ in operands)
        kinds = ", ".join(types[n] for n, _ in operands)
        text = f"mask({mask}, {names} : {kinds}) " if operands else f"mask({mask}) "
    arguments = ", ".join(f'%{n}: {t} {{attn.name = "{n}"}}' for n, t in types.items())
    body = (
        f'func.func @main({arguments}) -> ({shape.type("o")} {{attn.name = "o"}}) {{\n'
        f"  %o = attn.attention %q, %k, %v {text}{clauses.format(**types)}\n"
        f"    : {types['q']}, {types['k']}, {types['v']} -> {shape.type('o')}\n"
        f"  return %o : {shape.type('o')}\n}}\n"
    )

    def reference(torch, given):
        rule = keep and functools.partial(keep, torch, given)
        return softmax_attention(torch, given, rule, given.get(bias) if bias else None)

    _, heads, rows, width = shape.sizes["q"]
    keys, value_width = shape.sizes["v"][2:]
    size = {"f32": 4}.get(shape.dtype, 2)
    return Program(
        name, body, inputs, reference,
        flops=2.0 * heads * rows * keys * (width + value_width) * share,
        bytes=float(sum(np.prod(s) for s in shape.sizes.values())) * size,
        tolerance={"f32": 2e-3, "f16": 4e-3}.get(shape.dtype, 2e-2),
    )


def causal_keep(torch, inputs, head, row, key):
    """A query sees the keys up to its own place; the last rows of both meet."""
    return key <= row


def dense(name, shape):
    return attention(name, shape)


def causal(name, shape):
    return attention(name, shape, "#attn.causal", causal_keep, share=0.5)


def streaming(name, shape, sink=64, recent=512):
    mask = (
        f"#attn.all_of<[#attn.causal, #attn.any_of<[#attn.sink<{sink}>, "
        f"#attn.window<left = {recent - 1}, right = 0>]>]>"
    )

    def keep(torch, inputs, head, row, key):
        return (key <= row) & ((key < sink) | (key > row - recent))

    return attention(name, shape, mask, keep, share=min(1.0, (sink + recent) / shape.rows))


def mixed_heads(name, shape, sink=64, recent=256):
    """Every other head sees a sink and a window only."""
    part = (
        f"#attn.all_of<[#attn.causal, #attn.any_of<[#attn.sink<{sink}>, "
        f"#attn.window<left = {recent - 1}, right = 0>]>]>"
    )
    kinds = [h % 2 for h in range(shape.heads)]

    def keep(torch, inputs, head, row, key):
        near = (key < sink) | (key > row - recent)
        return (key <= row) & (near | (head % 2 == 0))

    return attention(name, shape, f"#attn.per_head<[#attn.causal, {part}], {kinds}>", keep)


def block_lists(name, shape, density, block=128, is_causal=True, seed=1):
    """Random lists of key blocks for each block of query rows; the diagonal is always listed."""
    count = (shape.keys or shape.rows) // block
    random = np.random.default_rng(seed)
    chosen = random.random((shape.heads, count, count)) < density
    chosen |= np.eye(count, dtype=bool)
    if is_causal:
        chosen &= np.tril(np.ones((count, count), dtype=bool))
    longest = int(chosen.sum(-1).max())
    lists = np.full((1, shape.heads, count, longest), -1, np.int32)
    counts = chosen.sum(-1).astype(np.int32)[None]
    for h, i in np.ndindex(shape.heads, count):
        some = np.flatnonzero(chosen[h, i])
        lists[0, h, i, : some.size] = some
    mask = f"#attn.blocks<q_block = {block}, kv_block = {block}>"
    if is_causal:
        mask = f"#attn.all_of<[#attn.causal, {mask}]>"

    def keep(torch, inputs, head, row, key):
        table = torch.from_numpy(chosen).to(inputs["q"].device)
        kept = table[head, row // block, key // block]
        return kept & (key <= row) if is_causal else kept

    operands = [("lists", lists), ("counts", counts)]
    return attention(name, shape, mask, keep, operands, share=float(chosen.mean()))


def routed(name, shape, active):
    """Each head works on the rows that chose it: `active` of all heads for a row, the
    first two always."""
    random = np.random.default_rng(2)
    chosen = np.zeros((shape.heads, shape.rows), bool)
    chosen[:2] = True
    order = np.argsort(random.random((shape.heads - 2, shape.rows)), axis=0)
    chosen[2:] = order < active - 2
    counts = chosen.sum(-1).astype(np.int32)[None]
    longest = shape.rows
    rows = np.full((1, shape.heads, longest), -1, np.int32)
    for h in range(shape.heads):
        some = np.flatnonzero(chosen[h])
        rows[0, h, : some.size] = some
    lists, numbers = tensor_type(rows.shape, "i32"), tensor_type(counts.shape, "i32")
    out = shape.type("o")
    arguments = ", ".join(f'%{n}: {shape.type(n)} {{attn.name = "{n}"}}' for n in "qkv")
    body = (
        f'func.func @main({arguments}, %rows: {lists} {{attn.name = "rows"}},\n'
        f'    %counts: {numbers} {{attn.name = "counts"}}) -> ({out} {{attn.name = "o"}}) {{\n'
        f"  %part = attn.attention %q, %k, %v mask(#attn.causal)\n"
        f"    routing(%rows, %counts : {lists}, {numbers})\n"
        f"    : {shape.type('q')}, {shape.type('k')}, {shape.type('v')} -> {out}\n"
        f"  %zero = arith.constant 0.0 : {shape.dtype}\n"
        f"  %empty = tensor.empty() : {out}\n"
        f"  %zeros = linalg.fill ins(%zero : {shape.dtype}) outs(%empty : {out}) -> {out}\n"
        f"  %o = attn.scatter_rows %part, %rows, %counts into %zeros\n"
        f"    : {out}, {lists}, {numbers} into {out}\n"
        f"  return %o : {out}\n}}\n"
    )
    inputs = {n: (shape.sizes[n], shape.dtype) for n in "qkv"}

    def reference(torch, given):
        rule = functools.partial(causal_keep, torch, given)
        table = torch.from_numpy(chosen).to(given["q"].device)
        return softmax_attention(torch, given, rule) * table[None, :, :, None]

    base = causal(name, shape)
    share = float(chosen.mean())
    return Program(
        name, body, {**inputs, "rows": rows, "counts": counts}, reference,
        flops=base.flops * share, bytes=base.bytes, tolerance=base.tolerance,
    )


def biased(name, shape):
    sizes = (1, shape.heads, shape.rows, shape.keys or shape.rows)
    return attention(
        name, shape, clauses="bias(%bias : {bias})", bias="bias",
        extra={"bias": (sizes, shape.dtype)},
    )


def decode(name, shape):
    """One new row for each head over a cache of keys."""
    return attention(name, shape)


def linear(name, shape, rate=-0.01):
    """Linear attention whose state decays by the same rate everywhere."""
    kind = shape.type("q")
    rates = ", ".join(str(rate) for _ in range(shape.heads))
    arguments = ", ".join(f'%{n}: {kind} {{attn.name = "{n}"}}' for n in "qkv")
    state = tensor_type((1, shape.heads, shape.width, shape.width), "f32")
    body = (
        f'func.func @main({arguments}) -> ({kind} {{attn.name = "o"}}) {{\n'
        f"  %o, %s = attn.linear_attention %q, %k, %v {{chunk_size = 64, scale = {shape.width ** -0.5},\n"
        f"    log_decay = array<f64: {rates}>}} : {kind}, {kind}, {kind} -> {kind}, {state}\n"
        f"  return %o : {kind}\n}}\n"
    )

    def reference(torch, given):
        q, k, v = (given[n].float() for n in "qkv")
        places = torch.arange(shape.rows, device=q.device)
        distance = (places[:, None] - places[None, :]).float()
        weights = torch.where(distance >= 0, torch.exp(rate * distance), 0.0)
        return (q @ k.transpose(-1, -2)) * weights @ v * shape.width ** -0.5

    size = 4 if shape.dtype == "f32" else 2
    return Program(
        name, body, {n: (shape.sizes[n], shape.dtype) for n in "qkv"}, reference,
        flops=4.0 * shape.heads * shape.rows * shape.width * (shape.width + 64),
        bytes=4.0 * float(np.prod(shape.sizes["q"])) * size,
        tolerance=2e-2 if shape.dtype != "f32" else 2e-3,
    )


def check_programs():
    """Small programs that are compared with float32 in PyTorch."""
    small = dict(heads=4, rows=320)
    for dtype in ("bf16", "f16", "f32"):
        yield causal(f"causal {dtype}", Shape(**small, dtype=dtype))
    for width in (64, 80, 96, 128, 192, 256):
        yield dense(f"dense width {width}", Shape(**small, width=width))
        yield causal(f"causal width {width}", Shape(**small, width=width))
    yield dense("values wider", Shape(**small, width=64, value_width=128))
    yield dense("lengths differ", Shape(heads=4, rows=200, keys=331))
    yield causal("grouped heads", Shape(heads=8, rows=320, kv_heads=2))
    yield streaming("sink and window", Shape(**small), sink=16, recent=100)
    yield mixed_heads("kinds of heads", Shape(**small), sink=16, recent=64)
    yield block_lists("block lists", Shape(heads=4, rows=512), 0.3)
    yield block_lists("block lists of 64, not causal", Shape(heads=2, rows=512), 0.3, 64, False)
    yield routed("routed rows", Shape(heads=6, rows=320), 4)
    yield biased("bias", Shape(**small))
    yield decode("decode", Shape(heads=8, rows=1, kv_heads=1, keys=1000))
    yield linear("linear", Shape(**small, width=64))
