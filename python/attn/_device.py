# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tensors in the memory of a GPU, and their exchange with other libraries by DLPack."""

import ctypes
import weakref

import numpy as np

from attn import _dtypes, _library
from attn._library import Error

CUDA = 2  # DLPack's number of this kind of device
_INT, _UINT, _FLOAT, _BFLOAT, _BOOL = 0, 1, 2, 4, 6
_TYPES = {
    1: (_FLOAT, 32), 2: (_UINT, 8), 3: (_INT, 8), 4: (_UINT, 16), 5: (_INT, 16), 6: (_INT, 32),
    7: (_INT, 64), 9: (_BOOL, 8), 10: (_FLOAT, 16), 11: (_FLOAT, 64), 12: (_UINT, 32),
    13: (_UINT, 64), 16: (_BFLOAT, 16),
}
_CODES = {pair: code for code, pair in _TYPES.items()}


class _DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("type_code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


_DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _DLManagedTensor(ctypes.Structure):
    _fields_ = [("tensor", _DLTensor), ("context", ctypes.c_void_p), ("deleter", _DELETER)]


_api = ctypes.pythonapi
_api.PyCapsule_GetPointer.restype = ctypes.c_void_p
_api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
_api.PyCapsule_IsValid.restype = ctypes.c_int
_api.PyCapsule_IsValid.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
_api.PyCapsule_New.restype = ctypes.py_object
_api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


def stream_number(stream):
    """The CUstream behind a number, None, or an object of PyTorch or CuPy."""
    for name in ("cuda_stream", "ptr"):
        stream = getattr(stream, name, stream)
    # 1 is DLPack's and the CUDA runtime's other name for the default stream.
    return 0 if stream in (None, 1) else int(stream)


def is_on_gpu(value):
    if isinstance(value, DeviceArray):
        return True
    if not hasattr(value, "__dlpack_device__") or isinstance(value, (np.ndarray, np.generic)):
        return False
    return value.__dlpack_device__()[0] == CUDA


def describe(name, value, stream):
    """(what keeps the memory, structure, GPU number) of a tensor on a GPU."""
    if isinstance(value, DeviceArray):
        return value, value._tensor, value.device
    # The producer makes its work visible to our stream; 1 is the default one.
    capsule = value.__dlpack__(stream=stream_number(stream) or 1)
    address = _api.PyCapsule_GetPointer(capsule, b"dltensor")
    given = _DLManagedTensor.from_address(address).tensor
    code = _CODES.get((given.type_code, given.bits)) if given.lanes == 1 else None
    if code is None:
        raise Error(f"input '{name}' has elements of a type that models do not use")
    if given.ndim > _library.MAX_RANK:
        raise Error(f"input '{name}' has rank {given.ndim}; the limit is {_library.MAX_RANK}")
    shape = [given.shape[i] for i in range(given.ndim)]
    if given.strides:
        strides, expected = [given.strides[i] for i in range(given.ndim)], 1
        for size, stride in reversed(list(zip(shape, strides))):
            if size != 1 and stride != expected and 0 not in shape:
                raise Error(
                    f"input '{name}' has shape {shape} and strides {strides}; "
                    "make it contiguous, in PyTorch by .contiguous()"
                )
            expected *= size
    tensor = _library.Tensor(
        data=(given.data or 0) + given.byte_offset, dtype=code, rank=given.ndim
    )
    tensor.shape[: given.ndim] = shape
    return (value, capsule), tensor, given.device_id


class DeviceArray:
    """A tensor in the memory of a GPU; the memory goes back with the object.

    Other libraries take it by DLPack, as in `torch.from_dlpack(array)`;
    `numpy()` copies it to the host.
    """

    def __init__(self, tensor, device, stream):
        self._tensor, self.device, self._stream = tensor, device, stream
        self.shape = tuple(tensor.shape[: tensor.rank])
        self.dtype = _dtypes.NAMES[tensor.dtype]
        owner = _library.Tensor(data=tensor.data)
        self._finalizer = weakref.finalize(
            self, _library.runtime().attn_rt_device_tensor_free, device, ctypes.byref(owner), stream
        )

    @property
    def data(self):
        """The address on the GPU."""
        return self._tensor.data or 0

    def numpy(self):
        """A copy on the host."""
        self.synchronize()
        result = _library.Tensor()
        status = _library.runtime().attn_rt_device_tensor_copy(
            self.device, ctypes.byref(self._tensor), 0, ctypes.byref(result)
        )
        if status != 0:
            _library.raise_runtime_error()
        return _library.take_array(result)

    def __dlpack_device__(self):
        return (CUDA, self.device)

    def synchronize(self):
        """Waits until the work that fills the tensor is done."""
        if _library.runtime().attn_rt_device_synchronize(self.device, self._stream) != 0:
            _library.raise_runtime_error()

    def __dlpack__(self, stream=None, **_):
        # Work of the same stream comes after ours anyway.
        if stream != -1 and stream_number(stream) != (self._stream or 0):
            self.synchronize()
        managed = _DLManagedTensor()
        rank = self._tensor.rank
        shape = (ctypes.c_int64 * max(rank, 1))(*self.shape)
        code, bits = _TYPES[self._tensor.dtype]
        managed.tensor = _DLTensor(
            data=self._tensor.data, device_type=CUDA, device_id=self.device, ndim=rank,
            type_code=code, bits=bits, lanes=1, shape=shape, strides=None, byte_offset=0,
        )
        managed.deleter = _forget
        address = ctypes.addressof(managed)
        _lent[address] = (managed, shape, self)
        return _api.PyCapsule_New(address, b"dltensor", ctypes.cast(_drop_capsule, ctypes.c_void_p))

    def __repr__(self):
        return f"<attn.DeviceArray {self.dtype} {list(self.shape)} on GPU {self.device}>"


# What consumers hold by DLPack: address of the structure -> what keeps it.
_lent = {}


@_DELETER
def _forget(address):
    _lent.pop(address, None)


@_DELETER
def _drop_capsule(capsule):
    # A consumer that took the tensor renames the capsule and frees by itself.
    if _api.PyCapsule_IsValid(capsule, b"dltensor"):
        get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
            ("PyCapsule_GetPointer", _api)
        )
        _forget(get(capsule, b"dltensor"))


def to_device(array, device=0):
    """Copies a NumPy array to GPU number `device`; returns a `DeviceArray`."""
    array = np.asarray(array, order="C")
    code = _dtypes.code_of(array.dtype)
    if code is None:
        raise Error(f"arrays of {array.dtype} cannot be copied to a GPU")
    tensor = _library.Tensor(data=array.ctypes.data, dtype=code, rank=array.ndim)
    tensor.shape[: array.ndim] = array.shape
    result = _library.Tensor()
    status = _library.runtime().attn_rt_device_tensor_copy(
        device, ctypes.byref(tensor), 1, ctypes.byref(result)
    )
    if status != 0:
        _library.raise_runtime_error()
    return DeviceArray(result, device, None)
