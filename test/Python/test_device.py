# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models for GPUs from Python, on a driver without a GPU whose kernels are written here."""

import os
import subprocess
import sys

import pytest

from attn.testing import cubin

PRELUDE = """
import ctypes, gc, sys
import numpy as np
import attn

stub = ctypes.CDLL({stub!r})
stub.stub_log.restype = ctypes.c_char_p
KERNEL = ctypes.CFUNCTYPE(None, *[ctypes.c_uint] * 3, ctypes.POINTER(ctypes.c_void_p))
floats = lambda address, n: np.ctypeslib.as_array((ctypes.c_float * n).from_address(address))
long = lambda p: ctypes.c_int64.from_address(p).value
keep = []

def kernel(body):
    keep.append(KERNEL(body))
    stub.stub_kernel(body.__name__.encode(), keep[-1])

@kernel
def twice(x, y, z, params):
    assert x == (long(params[1]) + 127) // 128
    floats(long(params[2]), long(params[3]))[:] = 2 * floats(long(params[0]), long(params[1]))

@kernel
def add(x, y, z, params):
    floats(long(params[0]), long(params[1]))[:] += ctypes.c_float.from_address(params[2]).value

log = lambda: stub.stub_log().decode()
model = attn.load({model!r})
x, one = np.arange(5, dtype=np.float32), np.array([1], np.float32)
wanted = [1, 2, 5, 6, 9]
"""


@pytest.fixture(scope="module")
def library(root, build, tmp_path_factory):
    if cubin.ptxas() is None:
        pytest.skip("ptxas is not on this machine")
    import attn

    path = tmp_path_factory.mktemp("device") / "scale.so"
    source = root / "test" / "Tools" / "attn" / "Inputs" / "scale.mlir"
    attn.compile(source, path, target="sm_80")
    return path


@pytest.fixture
def script(root, build, library, tmp_path):
    """Runs Python text with the stub as driver; the driver is chosen once a process."""
    stub = build / "test" / "lib" / "libattn-stub-cuda.so"
    if not stub.exists():
        pytest.skip("the stub driver is not built")

    def run(text, **settings):
        path = tmp_path / "script.py"
        path.write_text(PRELUDE.format(stub=str(stub), model=str(library)) + text)
        environment = {
            **os.environ, "ATTN_CUDA_LIBRARY": str(stub), "PYTHONPATH": str(root / "python"),
            "ATTN_STUB_CUDA": ",".join(f"{n}={v}" for n, v in {"capability": 80, **settings}.items()),
        }
        done = subprocess.run(
            [sys.executable, str(path)], env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_host_arrays(script):
    script("""
assert model.run(arg0=x, arg1=one)["result0"].tolist() == wanted
assert model.run_on({"arg0": x, "arg1": one}, device=1)["result0"].tolist() == wanted
assert log().count("load cubin") == 2
assert stub.stub_live() == 0
""")


def test_arrays_on_the_gpu(script):
    script("""
inputs = {"arg0": attn.to_device(x), "arg1": attn.to_device(one)}
assert inputs["arg0"].numpy().tolist() == x.tolist()
result = model.run_on(inputs, stream=9)["result0"]
assert "launch twice 1 1 1, 128 threads, 0 shared, stream 9" in log()
assert result.shape == (5,) and result.dtype == "float32" and result.device == 0
assert result.__dlpack_device__() == (2, 0)
assert result.numpy().tolist() == wanted
assert "wait, stream 9" in log()
del result, inputs
gc.collect()
assert stub.stub_live() == 0
""")


def test_exchange_by_dlpack(script):
    script("""
class Foreign:
    \"\"\"A tensor of another library: only DLPack's methods.\"\"\"
    def __init__(self, array): self.array, self.streams = array, []
    def __dlpack_device__(self): return self.array.__dlpack_device__()
    def __dlpack__(self, stream=None):
        self.streams.append(stream)
        return self.array.__dlpack__(stream=stream)

inputs = {"arg0": Foreign(attn.to_device(x)), "arg1": Foreign(attn.to_device(one))}
class Stream: cuda_stream = 7
result = model.run_on(inputs, stream=Stream())["result0"]
assert inputs["arg0"].streams == [7]
assert "128 threads, 0 shared, stream 7" in log()
# The result lives as long as who took it by DLPack.
from attn import _device
capsule = result.__dlpack__(stream=7)
address = _device._api.PyCapsule_GetPointer(capsule, b"dltensor")
del result
gc.collect()
managed = _device._DLManagedTensor.from_address(address)
assert floats(managed.tensor.data, 5).tolist() == wanted
live = stub.stub_live()
del capsule
gc.collect()
assert stub.stub_live() == live - 1
""")


def test_wrong_arrays(script):
    script("""
def refuse(part, inputs, **more):
    try:
        model.run_on(inputs, **more)
    except attn.Error as error:
        assert part in str(error), error
    else:
        raise AssertionError(part)

gpu = attn.to_device
refuse("'arg0' lies on a GPU but 'arg1' does not", {"arg0": gpu(x), "arg1": one})
refuse("on several GPUs: [0, 1]", {"arg0": gpu(x), "arg1": gpu(one, 1)})
refuse("on several GPUs: [0, 1]", {"arg0": gpu(x), "arg1": gpu(one)}, device=1)
refuse("is float64 but must be float32", {"arg0": gpu(x.astype(np.float64)), "arg1": gpu(one)})
refuse("there is no GPU 5; the driver has 2", {"arg0": x, "arg1": one}, device=5)

from attn import _device
class Strided:
    def __init__(self): self.array = gpu(np.zeros((2, 3), np.float32))
    def __dlpack_device__(self): return (2, 0)
    def __dlpack__(self, stream=None):
        capsule = self.array.__dlpack__(stream=stream)
        address = _device._api.PyCapsule_GetPointer(capsule, b"dltensor")
        self.strides = (ctypes.c_int64 * 2)(1, 2)
        _device._DLManagedTensor.from_address(address).tensor.strides = self.strides
        return capsule
refuse("strides [1, 2]; make it contiguous", {"arg0": Strided(), "arg1": gpu(one)})
""")


def test_memory_runs_out(script):
    script("""
try:
    attn.to_device(np.zeros(1000, np.float32))
except attn.Error as error:
    assert "out of memory on GPU 0 (stub)" in str(error), error
else:
    raise AssertionError
""", memory=2000)
