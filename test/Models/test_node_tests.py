# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The node tests of the onnx package: a case that passed once must pass."""

import pytest

import node_tests
from harness import COMPILER

EXPECTED = node_tests.expected() if node_tests.PASSED.exists() else []


@pytest.fixture(scope="module")
def results():
    if not COMPILER.exists():
        pytest.skip("the compiler library is not built")
    return node_tests.run(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_still_passes(name, results):
    status, reason = results[name]
    assert status == "passed", reason


@pytest.mark.skipif(not COMPILER.exists(), reason="the compiler library is not built")
def test_every_attention_case_is_expected():
    names = node_tests.all_names()
    attention = {
        name for name in names
        if name.startswith("test_attention_") and not name.endswith("_expanded")
    }
    assert len(attention) == 64
    assert attention - set(EXPECTED) == set()
