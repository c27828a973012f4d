# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Indices into dimensions that turn out to be empty, or too small, at run time."""

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
import onnx.parser  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("ATTN_BUILD_DIR", ROOT / "build"))
sys.path.insert(0, str(ROOT / "python"))
os.environ.setdefault("ATTN_LIB_DIR", str(BUILD / "lib"))

import attn  # noqa: E402

HEAD = '<ir_version: 10, opset_import: ["" : 18]>\n'

# name: (model, shapes that work, shapes that do not, name of the empty input).
# Shapes are those of x, i (zeros) and, where there is one, u.
CASES = {
    "gather": (
        "g (float[n, m] x, int64[k] i) => (float[a, b] y) { y = Gather(x, i) }",
        [[(3, 4), (2,)], [(0, 4), (0,)], [(3, 0), (2,)]],
        [[(0, 4), (2,)], [(0, 0), (1,)]], "x"),
    "gather_last": (
        "g (float[n, m] x, int64[k, 2] i) => (float[a, b, c] y) { y = Gather<axis = 1>(x, i) }",
        [[(3, 4), (2, 2)], [(3, 0), (0, 2)]],
        [[(3, 0), (1, 2)]], "x"),
    "gather_one": (
        "g (float[n, m] x, int64[k] i) => (float[a, b] y) {"
        " first = Constant<value = int64[1] {0}>() z = Gather<axis = 1>(x, first)"
        " y = Gather(z, i) }",
        [[(3, 4), (2,)], [(0, 4), (0,)]],
        [[(3, 0), (2,)]], "x"),
    "gather_elements": (
        "g (float[n, m] x, int64[k, l] i) => (float[a, b] y) { y = GatherElements(x, i) }",
        [[(3, 4), (2, 4)], [(0, 4), (0, 4)], [(0, 4), (2, 0)]],
        [[(0, 4), (2, 4)]], "x"),
    "gather_nd": (
        "g (float[n, m, 3] x, int64[k, 2] i) => (float[a, b] y) { y = GatherND(x, i) }",
        [[(3, 4, 3), (2, 2)], [(3, 0, 3), (0, 2)]],
        [[(3, 0, 3), (2, 2)], [(0, 4, 3), (2, 2)]], "x"),
    "scatter_elements": (
        "g (float[n, m] x, int64[k, l] i, float[o, p] u) => (float[n, m] y)"
        " { y = ScatterElements(x, i, u) }",
        [[(3, 4), (2, 4), (2, 4)], [(0, 4), (0, 4), (0, 4)]],
        [[(0, 4), (2, 4), (2, 4)]], "x"),
    "scatter_nd": (
        "g (float[n, 3] x, int64[k, 1] i, float[o, 3] u) => (float[n, 3] y)"
        " { y = ScatterND(x, i, u) }",
        [[(3, 3), (2, 1), (2, 3)], [(0, 3), (0, 1), (0, 3)]],
        [[(0, 3), (2, 1), (2, 3)]], "x"),
    "pad": (
        "g (float[n, m] x, int64[2] i) => (float[a, b] y)"
        " { one = Constant<value = int64[2] {1, 1}>() pads = Concat<axis = 0>(i, one)"
        " y = Pad<mode = \"edge\">(x, pads) }",
        [[(2, 3), (2,)]],
        [[(0, 3), (2,)], [(3, 0), (2,)]], "x"),
    "resize": (
        "g (float[1, n] x, int64[2] i) => (float[a, b] y)"
        " { two = Constant<value = int64[2] {1, 4}>() sizes = Add(i, two)"
        " y = Resize<mode = \"nearest\">(x, , , sizes) }",
        [[(1, 2), (2,)]],
        [[(1, 0), (2,)]], "x"),
    "loss": (
        "g (float[n, m] x, int64[k] i) => (float[a] y)"
        " { y = NegativeLogLikelihoodLoss<reduction = \"none\">(x, i) }",
        [[(2, 3), (2,)], [(0, 3), (0,)]],
        [[(2, 0), (2,)]], "x"),
}  # fmt: skip

# Shapes that contradict each other: nothing may be read or written outside.
MISFITS = {
    "gather_elements": [[(3, 4), (2, 5)]],
    "scatter_elements": [[(3, 4), (2, 4), (3, 4)], [(3, 4), (2, 4), (2, 9)],
                         [(3, 4), (2, 9), (2, 9)]],
    "scatter_nd": [[(3, 3), (2, 1), (5, 3)]],
    "loss": [[(2, 3), (4,)]],
}  # fmt: skip


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    models = {}

    def get(name):
        if name not in models:
            model = onnx.parser.parse_model(HEAD + CASES[name][0])
            for node in model.graph.node:
                node.name = f"node_{node.op_type}"
            path = tmp_path_factory.mktemp(name) / "model.onnx"
            onnx.save(model, path)
            models[name] = attn.load(path)
        return models[name]

    return get


def feeds(shapes):
    x, i, *u = shapes
    values = {"x": np.arange(1, 1 + np.prod(x), dtype=np.float32).reshape(x)}
    values["i"] = np.zeros(i, np.int64)
    if u:
        values["u"] = np.full(u[0], -1, np.float32)
    return values


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_looked_up(load, name):
    from onnx.reference import ReferenceEvaluator

    reference = ReferenceEvaluator(onnx.parser.parse_model(HEAD + CASES[name][0]))
    for shapes in CASES[name][1]:
        given = feeds(shapes)
        found = load(name).run(given)["y"]
        if 0 in found.shape:
            assert found.size == 0
            continue
        np.testing.assert_array_equal(found, reference.run(["y"], given)[0], str(shapes))


@pytest.mark.parametrize("name", CASES)
def test_empty_dimensions_are_named(load, name):
    operator = re.search(r"y = (\w+)|z = (\w+)", CASES[name][0])
    for shapes in CASES[name][2]:
        with pytest.raises(attn.Error) as error:
            load(name).run(feeds(shapes))
        message = str(error.value)
        assert "node 'node_" in message and f"input '{CASES[name][3]}'" in message, message
        assert (operator[1] or operator[2]) in message, message
        assert "no elements" in message, message


@pytest.mark.parametrize("name", MISFITS)
def test_shapes_that_do_not_fit(load, name):
    for shapes in MISFITS[name]:
        with pytest.raises(attn.Error, match="do not fit"):
            load(name).run(feeds(shapes))


def test_known_at_import(refused):
    message = refused(
        HEAD + "g (float[0, 3] x, int64[2] i) => (float[2, 3] y) { y = Gather(x, i) }"
    )
    assert "dimension 0 of its input 'x' has no elements" in message
