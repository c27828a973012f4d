# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""LSTM, GRU and RNN with dynamic batch and length, against ONNX Runtime."""

import numpy as np
import pytest

from peer import compare

LENGTH, BATCH, FEATURES, HIDDEN = 5, 3, 4, 6
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def operands(operator, directions, optional):
    """What the node takes; the names in `optional` are given as well."""
    random = np.random.default_rng(0)

    def some(dims, *shape):
        return dims, random.standard_normal(shape).astype(np.float32)

    d, rows = directions, GATES[operator] * HIDDEN
    inputs = [
        some(f"t b {FEATURES}", LENGTH, BATCH, FEATURES),
        some(f"{d} {rows} {FEATURES}", d, rows, FEATURES),
        some(f"{d} {rows} {HIDDEN}", d, rows, HIDDEN),
        some(f"{d} {2 * rows}", d, 2 * rows) if "bias" in optional else None,
        ("b", np.array([5, 2, 3], np.int32)) if "lengths" in optional else None,
        some(f"{d} b {HIDDEN}", d, BATCH, HIDDEN) if "state" in optional else None,
    ]
    if operator == "LSTM":
        inputs += [
            some(f"{d} b {HIDDEN}", d, BATCH, HIDDEN) if "state" in optional else None,
            some(f"{d} {3 * HIDDEN}", d, 3 * HIDDEN) if "peepholes" in optional else None,
        ]
    return inputs


@pytest.mark.parametrize("optional", ["", "bias state", "bias state lengths peepholes"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("operator", GATES)
def test_like_onnxruntime(operator, direction, optional, tmp_path):
    directions = 2 if direction == "bidirectional" else 1
    attributes = {"hidden_size": HIDDEN, "direction": direction}
    if operator == "GRU" and "bias" in optional:
        attributes["linear_before_reset"] = 1
    outputs = ["y", "y_h", "y_c"] if operator == "LSTM" else ["y", "y_h"]
    inputs = operands(operator, directions, optional.split())
    compare(tmp_path, "", operator, attributes, inputs, outputs)


def test_coupled_gates(tmp_path):
    attributes = {"hidden_size": HIDDEN, "input_forget": 1}
    inputs = operands("LSTM", 1, ["bias"])
    compare(tmp_path, "", "LSTM", attributes, inputs, ["y", "y_h", "y_c"])


@pytest.mark.parametrize(
    "attributes, message",
    [
        ("clip = 1.0", "is not supported here: clip"),
        (
            'activations = ["Relu", "Tanh", "Tanh"]',
            "is not supported here: activation 'Relu' in place of 'Sigmoid'",
        ),
        ('direction = "sideways"', "is invalid: unknown direction 'sideways'"),
        ("hidden_size = 3", "is invalid: hidden_size is 3, its recurrent weights have 2"),
    ],
)
def test_what_is_refused(refused, attributes, message):
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
      g (float[t, b, 3] x, float[1, 8, 3] w, float[1, 8, 2] r) => (float[t, d, b, h] y) {{
        y = LSTM <{attributes}> (x, w, r)
      }}"""
    assert message in refused(text)
