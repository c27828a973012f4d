# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The two sides of a comparison: each makes a call that computes the case."""

import tempfile
from pathlib import Path

import numpy as np

from attn.bench import cases


def from_bf16_bits(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def attn_side(case, threads):
    """Returns (call, settings): call() gives the first output's array."""
    import attn

    folder = Path(tempfile.mkdtemp(prefix="attn-bench-"))
    if case.kind == "minilm":
        source = cases.minilm_file()
    else:
        source = folder / "case.mlir"
        source.write_text(cases.attention_text(case))
    library = folder / "case.so"
    attn.compile(source, library)
    module = attn.load(library)
    module.set_threads(threads)
    feeds = cases.inputs(case)
    if case.kind == "attention" and case.heads_first:
        feeds = {name: heads_first(value) for name, value in feeds.items()}
    if case.dtype == "bf16":
        feeds = {name: attn.bfloat16(value) for name, value in feeds.items()}
    return (lambda: module.run(feeds)), f"one compilation, {threads} threads"


def heads_first(array):
    """[B, S, H, D] as [B, H, S, D], and the other way round."""
    return np.ascontiguousarray(array.swapaxes(1, 2))


def onnxruntime_side(case, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    settings = f"all graph optimisations, {threads} threads"
    feeds = cases.inputs(case)
    if case.kind == "minilm":
        model = str(cases.minilm_file())
    else:
        model = multi_head_attention(case)
        shape = (cases.BATCH, case.sequence, cases.HEADS * cases.HEAD_DIM)
        feeds = {name: value.reshape(shape) for name, value in feeds.items()}
        settings = f"com.microsoft MultiHeadAttention, {threads} threads"
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return (lambda: dict(zip(names, session.run(None, feeds)))), settings


def multi_head_attention(case):
    """A model of one node, serialised."""
    from onnx import TensorProto, helper

    shape = [cases.BATCH, case.sequence, cases.HEADS * cases.HEAD_DIM]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in ("query", "key", "value", "output")
    ]
    node = helper.make_node(
        "MultiHeadAttention", ["query", "key", "value"], ["output"], domain="com.microsoft",
        num_heads=cases.HEADS, unidirectional=int(case.causal),
    )
    graph = helper.make_graph([node], "attention", values[:3], values[3:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def torch_side(case, threads):
    import torch

    torch.set_num_threads(threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[case.dtype]
    # scaled_dot_product_attention takes [B, H, S, D]; a view costs nothing.
    q, k, v = (
        torch.from_numpy(value).to(dtype).transpose(1, 2) for value in cases.inputs(case).values()
    )

    def call():
        with torch.inference_mode():
            out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=case.causal)
        return {"output": out.transpose(1, 2)}

    return call, f"scaled_dot_product_attention, {threads} threads"


SIDES = {"attn": attn_side, "onnxruntime": onnxruntime_side, "torch": torch_side}


def as_float(array):
    """Any side's output as an f32 array in NumPy."""
    if hasattr(array, "float"):
        return array.float().numpy()
    array = np.asarray(array)
    if array.dtype == np.uint16:
        return from_bf16_bits(array)
    return array.astype(np.float32)
