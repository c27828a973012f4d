# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A peer: attention by a kernel in Triton's usual style. Imported only where it runs."""

import triton
import triton.language as tl


@triton.jit
def _tile(accumulator, total, top, query, key_place, value_place, key_step, value_step, row, begin,
          end, scale, MASKED: tl.constexpr, N: tl.constexpr):
    columns = tl.arange(0, N)
    for start in tl.range(begin, end, N):
        keys = tl.load(key_place + start * key_step)
        scores = tl.dot(query, keys)
        if MASKED:
            scores = tl.where(row[:, None] >= start + columns[None, :], scores, float("-inf"))
        new_top = tl.maximum(top, tl.max(scores, 1) * scale)
        weights = tl.math.exp2(scores * scale - new_top[:, None])
        correction = tl.math.exp2(top - new_top)
        total = total * correction + tl.sum(weights, 1)
        accumulator = accumulator * correction[:, None]
        values = tl.load(value_place + start * value_step)
        accumulator = tl.dot(weights.to(values.dtype), values, accumulator)
        top = new_top
    return accumulator, total, top


_CONFIGS = [
    triton.Config({"M": m, "N": n}, num_warps=w, num_stages=s)
    for m, w in ((64, 4), (128, 8)) for n in (64, 128) for s in (2, 3, 4)
]


@triton.autotune(configs=_CONFIGS, key=["ROWS", "D", "CAUSAL"])
@triton.jit
def _kernel(q, k, v, o, ROWS, KEYS, scale, CAUSAL: tl.constexpr, D: tl.constexpr, M: tl.constexpr,
            N: tl.constexpr):
    tile, head = tl.program_id(0), tl.program_id(1)
    if CAUSAL:  # the longest first
        tile = tl.num_programs(0) - 1 - tile
    row, column, feature = tile * M + tl.arange(0, M), tl.arange(0, N), tl.arange(0, D)
    place = head.to(tl.int64) * ROWS * D + row[:, None] * D + feature[None, :]
    query = tl.load(q + place)
    base = head.to(tl.int64) * KEYS * D
    key_place = k + base + column[None, :] * D + feature[:, None]
    value_place = v + base + column[:, None] * D + feature[None, :]
    accumulator = tl.zeros([M, D], dtype=tl.float32)
    total = tl.zeros([M], dtype=tl.float32)
    top = tl.full([M], float("-inf"), dtype=tl.float32)
    full = (tile * M // N) * N if CAUSAL else KEYS
    accumulator, total, top = _tile(accumulator, total, top, query, key_place, value_place, D, D, row,
                                    0, full, scale, False, N)
    if CAUSAL:
        accumulator, total, top = _tile(accumulator, total, top, query, key_place, value_place, D, D,
                                        row, full, (tile + 1) * M, scale, True, N)
    tl.store(o + place, (accumulator / total[:, None]).to(o.dtype.element_ty))


def attention(torch, q, k, v, is_causal):
    """A callable for whole tiles: sizes are multiples of 128, one key head for each head."""
    batch, heads, rows, width = q.shape
    keys = k.shape[2]
    if rows % 128 or keys % 128 or k.shape != (batch, heads, keys, width) or v.shape != k.shape:
        raise ValueError("this kernel wants whole tiles and equal heads")
    output = torch.empty_like(q)
    scale = width**-0.5 * 1.4426950408889634

    def run():
        _kernel[lambda meta: (rows // meta["M"], batch * heads)](
            q, k, v, output, rows, keys, scale, CAUSAL=is_causal, D=width
        )
        return output

    run()
    return run
