# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiled models on NumPy arrays."""

import ctypes
import os
import weakref
from dataclasses import dataclass

import numpy as np

from attn import _compiler, _device, _dtypes, _library
from attn._library import Error


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model.

    `dtype` is a NumPy type name or "bfloat16". A size in `shape` is a number,
    the name of a symbol such as "sequence" (equal names are equal sizes), or
    None where any size goes.
    """

    name: str
    dtype: str
    shape: tuple

    def __str__(self):
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name}: {self.dtype} [{sizes}]"


def load(path, *, target=None, entry=None, attention=None, sparse=None, emulate=False):
    """Loads a library that `attn.compile` wrote, or compiles a model.

    A path that ends in `.so` is loaded by the runtime alone; `.onnx` and
    `.mlir` files are compiled into memory, with `target`, `entry`,
    `attention` and `sparse` as in `attn.compile`. With `emulate`, the kernels of a GPU's
    target run on this processor, slowly, and every access to memory is
    checked. Returns a `Model`.
    """
    name = os.fspath(path)
    if name.endswith(".so"):
        if (target, entry, attention, sparse, emulate) != (None, None, None, None, False):
            raise Error(
                f"target, entry, attention, sparse and emulate have no meaning for '{name}', "
                "which is compiled already"
            )
        handle = _library.runtime().attn_rt_load(os.fsencode(name))
        if not handle:
            _library.raise_runtime_error()
        return Model(handle)
    return Model(
        _compiler.compile_in_memory(
            name, target=target, entry=entry, attention=attention, sparse=sparse,
            emulate=emulate,
        )
    )


class Model:
    """A model that is ready to run; made by `attn.load`.

    Several threads may call one model; their runs wait for each other.
    """

    def __init__(self, handle):
        library = _library.runtime()
        self._handle = handle
        self._finalizer = weakref.finalize(self, library.attn_rt_unload, handle)
        self._input_infos = self._infos(library.attn_rt_num_inputs, library.attn_rt_input_info)
        self._output_infos = self._infos(library.attn_rt_num_outputs, library.attn_rt_output_info)

    def _infos(self, count, describe):
        infos = []
        for index in range(count(self._handle)):
            info = _library.Info()
            if describe(self._handle, index, ctypes.byref(info)) != 0:
                _library.raise_runtime_error()
            shape = tuple(
                info.shape[i] if info.shape[i] >= 0 else (info.dims[i].decode() or None)
                for i in range(info.rank)
            )
            infos.append(
                TensorInfo(info.name.decode(), _dtypes.NAMES[info.dtype], shape)
            )
        return tuple(infos)

    @property
    def inputs(self):
        """A TensorInfo for each input."""
        return self._input_infos

    @property
    def outputs(self):
        """A TensorInfo for each output."""
        return self._output_infos

    @property
    def metadata(self):
        """What the compiler noted in the module, as JSON text."""
        return _library.runtime().attn_rt_metadata(self._handle).decode()

    @property
    def peak_bytes(self):
        """Most bytes that runs held at once, without mapped weight files."""
        return _library.runtime().attn_rt_peak_bytes(self._handle)

    def set_threads(self, threads):
        """Sets the number of threads of later runs; 0 means every processor."""
        if _library.runtime().attn_rt_set_threads(self._handle, threads) != 0:
            _library.raise_runtime_error()

    def __call__(self, inputs=None, /, **named):
        return self.run(inputs, **named)

    def run(self, inputs=None, /, **named):
        """Runs the model on arrays by name; returns a dictionary of arrays.

        `inputs` is a mapping, and keywords add to it. An array must have the
        type that the model asks for: nothing is converted, except that lists
        and numbers take that type, and a uint16 array is taken as bits where
        bfloat16 is asked for. A model for a GPU copies them to GPU 0 and the
        results back; see `run_on` for tensors that lie on a GPU.
        """
        given = dict(inputs or {}, **named)
        return self.run_on(given)

    def run_on(self, inputs, *, device=None, stream=None):
        """Runs a model for a GPU on GPU number `device`, in order with `stream`.

        If the inputs lie on a GPU (PyTorch tensors, or any object with
        DLPack's methods), nothing is copied, the call returns when the work is
        in the stream, and the results are `DeviceArray` objects. The stream is
        a CUstream's number or PyTorch's or CuPy's object; None is the default
        stream. Inputs on the host go to the GPU and results come back.
        """
        library = _library.runtime()
        resident = [name for name, value in inputs.items() if _device.is_on_gpu(value)]
        on_device = bool(resident)
        if on_device and len(resident) != len(inputs):
            other = next(name for name in inputs if name not in resident)
            raise Error(
                f"input '{resident[0]}' lies on a GPU but '{other}' does not; move them all"
            )
        # Kept in lists: the structures below hold only addresses.
        if on_device:
            described = [_device.describe(name, x, stream) for name, x in inputs.items()]
            places = {number for _, _, number in described} | ({device} - {None})
            if len(places) > 1:
                raise Error(f"the inputs and the run are on several GPUs: {sorted(places)}")
            device = places.pop()
            arrays = [(owner, tensor) for owner, tensor, _ in described]
        else:
            arrays = [self._prepare(name, value) for name, value in inputs.items()]
        names = (ctypes.c_char_p * len(arrays))(*[name.encode() for name in inputs])
        tensors = (_library.Tensor * len(arrays))(*[tensor for _, tensor in arrays])
        results = (_library.Tensor * len(self.outputs))()
        number = _device.stream_number(stream)
        options = _library.RunOptions(
            struct_size=ctypes.sizeof(_library.RunOptions), device=device or 0,
            on_device=on_device, stream=number or None,
        )
        status = library.attn_rt_run_with(
            self._handle, names, tensors, len(arrays), results, ctypes.byref(options)
        )
        if status != 0:
            _library.raise_runtime_error()
        if on_device:
            # Copies: the elements of `results` are views of its memory.
            taken = [_library.Tensor.from_buffer_copy(result) for result in results]
            results = [_device.DeviceArray(x, device, number or None) for x in taken]
        else:
            results = [_library.take_array(result) for result in results]
        return {info.name: result for info, result in zip(self.outputs, results)}

    def _prepare(self, name, value):
        expected = next((info.dtype for info in self.inputs if info.name == name), None)
        if not isinstance(value, (np.ndarray, np.generic)) and not hasattr(value, "__array__"):
            # Python's own numbers have no width; the model's is meant.
            wanted = None
            if expected is not None and expected != "bfloat16":
                wanted = np.dtype(expected)
            try:
                value = np.asarray(value, dtype=wanted)
            except (ValueError, TypeError, OverflowError) as error:
                raise Error(f"input '{name}' is no array: {error}") from None
        array = np.asarray(value, order="C")
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        if expected == "bfloat16" and array.dtype == np.uint16:
            code = _dtypes.BFLOAT16_CODE
        else:
            code = _dtypes.code_of(array.dtype)
        if code is None:
            raise Error(
                f"input '{name}' has elements of type {array.dtype}"
                + (f" but must be {expected}" if expected else "")
            )
        if array.ndim > _library.MAX_RANK:
            raise Error(f"input '{name}' has rank {array.ndim}; the limit is {_library.MAX_RANK}")
        tensor = _library.Tensor(data=array.ctypes.data, dtype=code, rank=array.ndim)
        tensor.shape[: array.ndim] = array.shape
        return array, tensor

    def __repr__(self):
        lines = [f"  in  {info}" for info in self.inputs]
        lines += [f"  out {info}" for info in self.outputs]
        return "\n".join(["<attn.Model", *lines, ">"])
