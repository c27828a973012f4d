# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The Python package on a module that is compiled by hand."""

import gc
import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import attn

BIAS = np.array([10, 20, 30], np.float32)
A = np.arange(6, dtype=np.float32).reshape(2, 3)
IDS = np.array([4, 5])


@pytest.fixture
def model(artifact):
    return attn.load(artifact)


def test_describes_itself(model):
    assert [str(info) for info in model.inputs] == [
        "a: float32 [batch, 3]", "ids: int64 [batch]"
    ]
    assert model.inputs[0] == attn.TensorInfo("a", "float32", ("batch", 3))
    assert [info.name for info in model.outputs] == ["sum", "count"]
    assert '"producer":"hand"' in model.metadata
    assert "in  a: float32 [batch, 3]" in repr(model)


def test_runs(model):
    for outputs in (model.run({"a": A, "ids": IDS}), model(a=A, ids=IDS), model({"a": A}, ids=IDS)):
        np.testing.assert_array_equal(outputs["sum"], A + BIAS)
        assert outputs["count"].shape == () and outputs["count"].dtype == np.int64
    assert model.peak_bytes > 0


def test_any_batch_and_layout(model):
    for batch in (0, 1, 7):
        a = np.random.default_rng(0).random((3, batch), np.float32).T
        outputs = model.run(a=a, ids=np.zeros(batch, np.int64))
        np.testing.assert_array_equal(outputs["sum"], a + BIAS)
    swapped = model.run(a=A.astype(">f4"), ids=IDS)
    np.testing.assert_array_equal(swapped["sum"], A + BIAS)


def test_plain_numbers_take_the_models_type(model):
    outputs = model.run(a=[[1, 2, 3]], ids=[0])
    np.testing.assert_array_equal(outputs["sum"], [[11, 22, 33]])


def test_outputs_outlive_the_model(artifact):
    model = attn.load(artifact)
    kept = model.run(a=A, ids=IDS)["sum"][1:]
    del model
    gc.collect()
    np.testing.assert_array_equal(kept, (A + BIAS)[1:])


def test_a_forked_process_runs(artifact):
    """The threads of the parent are not there in the child, which must not wait
    for them."""
    model = attn.load(artifact)
    model.set_threads(2)
    sizes = [(info.name, info.dtype, [d if isinstance(d, int) and d > 0 else 2 for d in info.shape]) for info in model.inputs]
    given = {name: np.ones(shape, dtype) for name, dtype, shape in sizes}
    model.run(given)
    child = multiprocessing.get_context("fork").Process(target=model.run, args=(given,))
    child.start()
    child.join(60)
    hangs = child.is_alive()
    child.kill()
    assert not hangs and child.exitcode == 0


def test_threads(model):
    model.set_threads(1)
    with pytest.raises(attn.Error, match="number of threads is -3"):
        model.set_threads(-3)
    failures = []

    def work(value):
        for _ in range(50):
            outputs = model.run(a=np.full((4, 3), value, np.float32), ids=np.zeros(4, np.int64))
            if not (outputs["sum"] == value + BIAS).all():
                failures.append(value)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({"a": A}, "missing input 'ids'"),
        ({"a": A, "ids": IDS, "x": A}, "unknown input 'x'"),
        ({"a": A.astype(np.float64), "ids": IDS}, "'a' is float64 but must be float32"),
        ({"a": A, "ids": IDS[None]}, "'ids' has rank 2"),
        ({"a": A[:, :2], "ids": IDS}, "dimension 1 must be 3, not 2"),
        ({"a": A, "ids": IDS[:1]}, "'batch' is 2 in dimension 0 of input 'a'"),
        ({"a": A, "ids": -IDS}, "an id is negative"),
        ({"a": A, "ids": np.array(["x", "y"])}, "elements of type <U1 but must be int64"),
        ({"a": A, "ids": ["x", "y"]}, "input 'ids' is no array"),
        ({"a": A.reshape((1,) * 8 + (2, 3)), "ids": IDS}, "rank 10; the limit is 8"),
    ],
)
def test_wrong_inputs(model, inputs, message):
    with pytest.raises(attn.Error, match=message):
        model.run(inputs)
    # The next run is none the worse for it.
    np.testing.assert_array_equal(model.run(a=A, ids=IDS)["sum"], A + BIAS)


def test_load_failures(tmp_path, artifact):
    with pytest.raises(attn.Error, match="no such file"):
        attn.load(tmp_path / "nothing.so")
    with pytest.raises(attn.Error, match="compiled already"):
        attn.load(artifact, target="host")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(attn.Error, match="weight file not found"):
        attn.load(artifact)


def test_bfloat16_rounds_to_even():
    values = np.array([1, 1 + 2**-8, 1 + 3 * 2**-8, -3.3895e38, 3.4e38, np.inf, np.nan], np.float32)
    bits = np.asarray(attn.bfloat16(values)).view(np.uint16)
    assert list(bits) == [0x3F80, 0x3F80, 0x3F82, 0xFF7F, 0x7F80, 0x7F80, 0x7FC0]
    again = attn.bfloat16(bits)
    assert list(np.asarray(again).view(np.uint16)) == list(bits)
    assert attn.bfloat16(again) is again or attn.bfloat16(again).dtype == again.dtype


def test_missing_libraries_are_named(root):
    code = "import attn\ntry:\n    attn.load('x.so')\nexcept attn.Error as error:\n    print(error)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "ATTN_LIB_DIR": "/nowhere", "PYTHONPATH": str(root / "python")},
    )
    assert "/nowhere/libAttnRuntime.so" in done.stdout and "ATTN_LIB_DIR" in done.stdout
