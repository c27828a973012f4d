# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sparse attention of other projects, on the CPU.

Each function takes named arrays and the number of threads and returns a callable
that computes once, or raises ImportError where the peer is not installed.
"""

import numpy as np


def flex_attention(inputs, threads, sink, recent):
    """torch's FlexAttention, compiled, with the block mask of a window and a sink."""
    import torch
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    torch.set_num_threads(threads)
    q, k, v = (torch.from_numpy(inputs[name]) for name in "qkv")

    def keep(b, h, i, j):
        return (j <= i) & ((j < sink) | (i - j < recent))

    mask = create_block_mask(keep, None, None, q.shape[2], k.shape[2], device="cpu")
    compiled = torch.compile(flex_attention)
    return lambda: compiled(q, k, v, block_mask=mask)


def sparse_attention(inputs, threads):
    """ONNX Runtime's SparseAttention on the same block lists. It wants the block on
    the diagonal in each list and gets it."""
    import onnxruntime
    from onnx import TensorProto, helper

    lists, counts = inputs["lists"], inputs["counts"]
    _, heads, rows, width = inputs["q"].shape
    begins = np.zeros((heads, lists.shape[2] + 1), np.int32)
    blocks = []
    for h in range(heads):
        own = [sorted({*lists[0, h, i, : counts[0, h, i]], i}) for i in range(lists.shape[2])]
        begins[h, 1:] = np.cumsum([len(x) for x in own])
        blocks.append(np.concatenate(own))
    columns = np.full((heads, max(map(len, blocks))), -1, np.int32)
    for h, own in enumerate(blocks):
        columns[h, : len(own)] = own

    def value(name, shape, kind=TensorProto.FLOAT):
        return helper.make_tensor_value_info(name, kind, shape)

    tokens, cache, integer = [1, rows, heads * width], [1, heads, rows, width], TensorProto.INT32
    node = helper.make_node(
        "SparseAttention", ["q", "k", "v", "pk", "pv", "begins", "columns", "total", "lengths"],
        ["o", "next_k", "next_v"], domain="com.microsoft",
        num_heads=heads, kv_num_heads=heads, sparse_block_size=64,
    )
    graph = helper.make_graph(
        [node], "sparse",
        [value("q", tokens), value("k", tokens), value("v", tokens), value("pk", cache),
         value("pv", cache), value("begins", list(begins.shape), integer),
         value("columns", list(columns.shape), integer), value("total", [1], integer),
         value("lengths", [1], integer)],
        [value("o", tokens), value("next_k", cache), value("next_v", cache)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()
    arrays = {name: inputs[name].transpose(0, 2, 1, 3).reshape(tokens) for name in "qkv"}
    arrays.update(begins=begins, columns=columns, total=np.array([rows], np.int32),
                  lengths=np.array([rows], np.int32))
    for name, array in arrays.items():
        binding.bind_cpu_input(name, np.ascontiguousarray(array))
    # Its caches are read and written in place.
    for name, result in (("pk", "next_k"), ("pv", "next_v")):
        store = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(cache, np.float32))
        binding.bind_ortvalue_input(name, store)
        binding.bind_ortvalue_output(result, store)
    binding.bind_output("o")
    return lambda: session.run_with_iobinding(binding)
