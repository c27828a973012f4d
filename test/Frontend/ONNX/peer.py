# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs a model of one node by `attn` and by ONNX Runtime, and compares."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("ATTN_BUILD_DIR", ROOT / "build"))

MICROSOFT = "com.microsoft"


def make(domain, operator, attributes, inputs, outputs):
    """A model of one node, and what to feed it."""
    onnx = pytest.importorskip("onnx")
    from onnx import helper

    values, feeds, names = [], {}, []
    for i, given in enumerate(inputs):
        names.append(f"x{i}" if given else "")
        if given:
            dims, array = given
            feeds[f"x{i}"] = np.asarray(array)
            symbols = [int(d) if d.isdigit() else d for d in dims.split()]
            code = helper.np_dtype_to_tensor_dtype(feeds[f"x{i}"].dtype)
            values.append(helper.make_tensor_value_info(f"x{i}", code, symbols))
    node = helper.make_node(operator, names, outputs, domain=domain, **attributes)
    results = [onnx.ValueInfoProto(name=y) for y in outputs]
    graph = helper.make_graph([node], "graph", values, results)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return model.SerializeToString(), feeds


def compare(folder, domain, operator, attributes, inputs, outputs, *, peer=None, unchecked=(),
            rtol=1e-4, atol=1e-5):  # fmt: skip
    """`inputs`: None, or (symbols, array) each; `peer`: the same values as
    inputs in a form that ONNX Runtime's CPU kernel takes. The tolerance is for
    sums of at most 27 products and for approximations in its Gelus."""
    runtime = pytest.importorskip("onnxruntime")
    model, feeds = make(domain, operator, attributes, inputs, outputs)
    (folder / "model.onnx").write_bytes(model)
    np.savez(folder / "in.npz", **feeds)
    if peer:
        model, feeds = make(domain, operator, attributes, peer, outputs)
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    expected = session.run(outputs, feeds)
    for arguments in (
        ["compile", folder / "model.onnx", "-o", folder / "m.so"],
        ["run", folder / "m.so", "--inputs", folder / "in.npz"]
        + ["--outputs", folder / "out.npz"],
    ):
        done = subprocess.run(
            [str(BUILD / "bin" / "attn"), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
    actual = np.load(folder / "out.npz")
    for output, wanted in zip(outputs, expected):
        if output in unchecked:
            continue
        assert actual[output].dtype == wanted.dtype
        assert actual[output].shape == wanted.shape
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(actual[output], wanted, rtol, atol)
        else:
            np.testing.assert_array_equal(actual[output], wanted)
