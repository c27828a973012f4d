# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attention operators of com.microsoft: what ONNX Runtime computes."""

import numpy as np
import pytest

from peer import MICROSOFT, compare

RANDOM = np.random.default_rng(7)


def floats(dims, *shape):
    return dims, RANDOM.standard_normal(shape).astype(np.float32)


def ints(dims, values, dtype=np.int32):
    return dims, np.asarray(values, dtype)


def rotary_tables(half, length=32):
    angles = RANDOM.uniform(-3, 3, (length, half)).astype(np.float32)
    return (f"{length} {half}", np.cos(angles)), (f"{length} {half}", np.sin(angles))


PADDING = ints("b t", [[1, 1, 1, 0, 0], [1] * 5, [0] * 5])
Q, K, V = (floats(f"b {s} 8", 3, n, 8) for s, n in (("s", 4), ("t", 5), ("t", 5)))
SELF = [floats("b s 8", 3, 5, 8) for _ in range(3)]

MHA = {
    "plain": ({}, [Q, K, V]),
    "scale": ({"scale": 0.3}, [Q, K, V]),
    "bias": ({}, [Q, K, V, floats("24", 24)]),
    "padding": ({}, [Q, K, V, None, PADDING]),
    "padding_lowest": ({"mask_filter_value": float(np.finfo(np.float32).min)},
                       [Q, K, V, None, PADDING]),
    "padding_weak": ({"mask_filter_value": -2.0}, [Q, K, V, None, PADDING]),
    "lengths": ({}, [Q, K, V, None, ints("b", [2, 5, 1])]),
    "attention_bias": ({}, [Q, K, V, None, None, floats("1 2 s t", 1, 2, 4, 5)]),
    "both": ({}, [Q, K, V, None, PADDING, floats("b 1 s t", 3, 1, 4, 5)]),
    "causal": ({"unidirectional": 1}, SELF),
    "causal_padding": ({"unidirectional": 1}, [*SELF, None,
                       ints("b s", [[0, 0, 1, 1, 1], [1] * 5, [1, 1, 1, 1, 0]])]),
    "cross": ({}, [Q, floats("b 2 t 4", 3, 2, 5, 4), floats("b 2 t 4", 3, 2, 5, 4)]),
    "past": ({}, [*SELF, None, None, None, floats("b 2 p 4", 3, 2, 6, 4),
                  floats("b 2 p 4", 3, 2, 6, 4)]),
    "past_causal": ({"unidirectional": 1},
                    [*SELF, None, None, None, floats("b 2 p 4", 3, 2, 6, 4),
                     floats("b 2 p 4", 3, 2, 6, 4)]),
}  # fmt: skip



@pytest.mark.parametrize("name", MHA)
def test_multi_head_attention(name, tmp_path):
    attributes, inputs = MHA[name]
    outputs = ["y", "k", "v"] if len(inputs) > 6 else ["y"]
    # ONNX Runtime rounds the scores of rows that see hidden keys only to the
    # spacing of floats at 10000: half of it is 5e-4, here in 5 exponents.
    loose = {"rtol": 2.5e-3, "atol": 2.5e-3} if "padding" in name or name == "both" else {}
    compare(tmp_path, MICROSOFT, "MultiHeadAttention", {"num_heads": 2} | attributes,
            inputs, outputs, **loose)  # fmt: skip


def test_packed_multi_head_attention(tmp_path):
    """ONNX Runtime packs on other devices only."""

    def rows(x):
        return "b s 8", np.ascontiguousarray(x).reshape(3, 5, 8)

    qkv = floats("b s 2 3 4", 3, 5, 2, 3, 4)
    kv = floats("b t 2 2 4", 3, 5, 2, 2, 4)
    for inputs, parts in (
        ([qkv], [rows(qkv[1][:, :, :, i]) for i in range(3)]),
        ([Q, kv], [Q, *(rows(kv[1][:, :, :, i]) for i in range(2))]),
    ):
        compare(tmp_path, MICROSOFT, "MultiHeadAttention", {"num_heads": 2},
                inputs, ["y"], peer=parts)  # fmt: skip


X, W, B = floats("b s 6", 2, 5, 6), floats("6 24", 6, 24), floats("24", 24)
PROJECTED = {
    "plain": ({}, [X, W, B]),
    "causal": ({"unidirectional": 1}, [X, W, B]),
    "sizes": ({"qkv_hidden_sizes": [8, 8, 4]},
              [X, floats("6 20", 6, 20), floats("20", 20)]),
    "padding": ({}, [X, W, B, ints("b s", [[1, 1, 0, 0, 0], [1] * 5])]),
    "past": ({"unidirectional": 1},
             [X, W, B, None, floats("2 b 2 p 4", 2, 2, 2, 3, 4)]),
}  # fmt: skip


@pytest.mark.parametrize("name", PROJECTED)
def test_attention(name, tmp_path):
    attributes, inputs = PROJECTED[name]
    outputs = ["y", "present"] if len(inputs) > 4 else ["y"]
    compare(tmp_path, MICROSOFT, "Attention", {"num_heads": 2} | attributes,
            inputs, outputs)  # fmt: skip


COS, SIN = rotary_tables(4)
ROTARY = {
    "rows": ({}, [floats("b s 16", 2, 3, 16), ints("b s", [[5, 6, 7], [0, 1, 2]], np.int64)]),
    "start": ({}, [floats("b s 16", 2, 3, 16), ints("1", [4], np.int64)]),
    "heads": ({"interleaved": 1},
              [floats("b 2 s 8", 2, 2, 3, 8), ints("1", [0], np.int64)]),
    "partial": ({"num_heads": 2, "rotary_embedding_dim": 8},
                [floats("b s 24", 2, 3, 24), ints("1", [0], np.int64)]),
}  # fmt: skip


@pytest.mark.parametrize("name", ROTARY)
def test_rotary_embedding(name, tmp_path):
    attributes, inputs = ROTARY[name]
    compare(tmp_path, MICROSOFT, "RotaryEmbedding", attributes,
            [*inputs, COS, SIN], ["y"])  # fmt: skip


COS16, SIN16 = rotary_tables(8)


def grouped(rows, past, lengths, *more, packed=False, **attributes):
    """4 query heads and 2 of keys, of size 16; the total is the longest."""
    n = len(lengths)
    if packed:
        qkv = [floats("b s 128", n, rows, 128), None, None]
    else:
        qkv = [floats("b s 64", n, rows, 64)]
        qkv += [floats("b s 32", n, rows, 32) for _ in "kv"]
    cache = [floats("b 2 p 16", n, 2, past, 16) for _ in "kv"]
    ends = ints("b", np.array(lengths) - 1)
    return attributes, [*qkv, *cache, ends, ints("", max(lengths)), *more]


NONE = [None] * 3
GROUPED = {
    "prompt": grouped(5, 0, [5, 5]),
    "prompt_scale": grouped(5, 0, [5, 5], scale=0.2, softcap=2.0),
    "step": grouped(1, 6, [7, 7]),
    "step_ragged": grouped(1, 8, [3, 7]),
    "chunk": grouped(3, 4, [7]),
    "packed": grouped(5, 0, [5, 5], packed=True),
    "rotary": grouped(5, 0, [5, 5], COS16, SIN16, do_rotary=1),
    "rotary_step": grouped(1, 8, [3, 7], COS16, SIN16, do_rotary=1, rotary_interleaved=1),
    "window": grouped(7, 0, [7, 7], local_window_size=3),
    "window_step": grouped(1, 7, [8, 8], local_window_size=3),
    "bias": grouped(5, 0, [5, 5], *NONE, floats("1 4 s t", 1, 4, 5, 5)),
    "smooth": grouped(5, 0, [5, 5], smooth_softmax=1),
    "sink": grouped(5, 0, [5, 5], *NONE, None, floats("4", 4)),
}


@pytest.mark.parametrize("name", GROUPED)
def test_group_query_attention(name, tmp_path):
    attributes, inputs = GROUPED[name]
    # Behind the end of a shorter entry, the caches may hold anything.
    is_ragged = len(set(inputs[5][1])) > 1
    compare(tmp_path, MICROSOFT, "GroupQueryAttention",
            {"num_heads": 4, "kv_num_heads": 2} | attributes,
            inputs, ["y", "k", "v"], unchecked="kv" if is_ragged else "")  # fmt: skip
