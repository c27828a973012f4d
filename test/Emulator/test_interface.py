# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The C interface: device memory and tensor maps."""

import ctypes

import pytest
from attn.testing.emulate import BUILD


@pytest.fixture(scope="module")
def library():
    lib = ctypes.CDLL(BUILD / "lib" / "libAttnEmulator.so")
    lib.attn_emu_alloc.restype = ctypes.c_void_p
    lib.attn_emu_alloc.argtypes = [ctypes.c_int64]
    lib.attn_emu_free.restype = ctypes.c_char_p
    lib.attn_emu_free.argtypes = [ctypes.c_void_p]
    lib.attn_emu_contains.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    lib.attn_emu_register.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32]
    lib.attn_emu_unregister.argtypes = [ctypes.c_void_p]
    lib.attn_emu_encode_tensor_map.restype = ctypes.c_char_p
    return lib


def test_memory(library):
    memory = library.attn_emu_alloc(100)
    assert memory % 256 == 0
    assert bytes((ctypes.c_ubyte * 100).from_address(memory)) == b"\xff" * 100
    assert library.attn_emu_contains(memory + 50, 50) == 1
    assert library.attn_emu_contains(memory + 50, 51) == 0
    assert library.attn_emu_contains(memory - 1, 1) == 0
    assert library.attn_emu_free(memory) is None
    assert library.attn_emu_contains(memory, 1) == 0
    assert b"freed before" in library.attn_emu_free(memory)
    assert library.attn_emu_alloc(-1) is None


def test_memory_of_the_host(library):
    data = ctypes.create_string_buffer(64)
    address = ctypes.addressof(data)
    library.attn_emu_register(address, 64, 0)
    assert library.attn_emu_contains(address, 64) == 1
    assert b"not the address of device memory" in library.attn_emu_free(address)
    library.attn_emu_unregister(address)
    assert library.attn_emu_contains(address, 64) == 0


GOOD = {"address": 4096, "dtype": 16, "sizes": [64, 128], "strides": [128], "box": [64, 128], "swizzle": 128}


@pytest.mark.parametrize("change, message", [
    ({}, None),
    ({"swizzle": 0}, None),
    ({"dtype": 1, "box": [32, 8], "strides": [256]}, None),
    ({"address": 4104}, b"the address is not a multiple of 16"),
    ({"dtype": 99}, b"no element type has the number 99"),
    ({"sizes": [64, 0]}, b"size 1 is 0; it must be 1 to 2^32"),
    ({"strides": [120]}, b"stride 1 is 120 bytes; it must be a multiple of 16"),
    ({"box": [64, 257]}, b"size 1 of the box is 257; it must be 1 to 256"),
    ({"box": [65, 8]}, b"rows of the box have 130 bytes; they must be a multiple of 16"),
    ({"box": [128, 8]}, b"rows of the box have 256 bytes; with this swizzle they have at most 128"),
    ({"swizzle": 96}, b"the swizzle is 96 bytes; it must be 0, 32, 64 or 128"),
    ({"sizes": [], "strides": [], "box": []}, b"the rank is 0; it must be 1 to 5"),
])
def test_tensor_maps(library, change, message):
    g = GOOD | change
    rank = len(g["sizes"])
    result = library.attn_emu_encode_tensor_map(
        (ctypes.c_char * 128)(), ctypes.c_void_p(g["address"]), g["dtype"], rank, (ctypes.c_int64 * 5)(*g["sizes"]),
        (ctypes.c_int64 * 4)(*g["strides"]), (ctypes.c_int32 * 5)(*g["box"]), g["swizzle"])
    assert result is None if message is None else message in result
