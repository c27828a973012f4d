# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compile models with attention, and run them on NumPy arrays.

    import attn

    attn.compile("model.onnx", "model.so")
    model = attn.load("model.so")
    outputs = model.run({"input_ids": ids, "attention_mask": mask})

`load` and `run` need neither LLVM nor MLIR. Every failure raises `attn.Error`
with one line that says what is wrong and what to do.
"""

from attn._compiler import compile, explain, import_onnx
from attn._device import DeviceArray, to_device
from attn._dtypes import bfloat16
from attn._library import Error, UnsupportedError
from attn._model import Model, TensorInfo, load

__all__ = [
    "DeviceArray",
    "Error",
    "Model",
    "TensorInfo",
    "UnsupportedError",
    "bfloat16",
    "compile",
    "explain",
    "import_onnx",
    "load",
    "to_device",
]
