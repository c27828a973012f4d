//===- TensorMap.cpp - Encoding of tensor maps ----------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TensorMap.h"
#include "Machine.h"

#include <cstring>

using namespace attn::emu;

static int32_t bytesOf(int32_t dtype) {
  switch (dtype) {
  case 2:
  case 3:
  case 17:
  case 18:
  case 19:
  case 20:
    return 1;
  case 10:
  case 16:
    return 2;
  case 1:
  case 6:
  case 12:
    return 4;
  case 7:
  case 11:
    return 8;
  default:
    return 0;
  }
}

const char *attn_emu_encode_tensor_map(void *map128, void *address,
                                       int32_t dtype, int32_t rank,
                                       const int64_t *sizes,
                                       const int64_t *byte_strides,
                                       const int32_t *box,
                                       int32_t swizzle_bytes) {
  static std::string error;
  auto wrong = [](std::string text) {
    error = "tensor map: " + std::move(text);
    return error.c_str();
  };
  TensorMap map = {};
  map.magic = TensorMap::mark;
  map.address = static_cast<char *>(address);
  map.dtype = dtype;
  map.rank = rank;
  map.elementBytes = bytesOf(dtype);
  map.swizzle = swizzle_bytes;
  if (!map.elementBytes)
    return wrong(formatted("no element type has the number %d", dtype));
  if (rank < 1 || rank > 5)
    return wrong(formatted("the rank is %d; it must be 1 to 5", rank));
  if (reinterpret_cast<uintptr_t>(address) % 16)
    return wrong("the address is not a multiple of 16");
  for (int32_t i = 0; i < rank; ++i) {
    map.sizes[i] = sizes[i];
    map.box[i] = box[i];
    if (sizes[i] < 1 || sizes[i] > int64_t(1) << 32)
      return wrong(formatted("size %d is %lld; it must be 1 to 2^32", i,
                             (long long)sizes[i]));
    if (box[i] < 1 || box[i] > 256)
      return wrong(formatted("size %d of the box is %d; it must be 1 to 256", i,
                             box[i]));
    if (i == 0)
      continue;
    int64_t stride = byte_strides[i - 1];
    map.strides[i - 1] = stride;
    if (stride < 0 || stride % 16 || stride >= int64_t(1) << 40)
      return wrong(formatted("stride %d is %lld bytes; it must be a multiple "
                             "of 16 below 2^40",
                             i, (long long)stride));
  }
  int32_t inner = box[0] * map.elementBytes;
  if (inner % 16)
    return wrong(formatted("rows of the box have %d bytes; they must be a "
                           "multiple of 16",
                           inner));
  if (swizzle_bytes != 0 && swizzle_bytes != 32 && swizzle_bytes != 64 &&
      swizzle_bytes != 128)
    return wrong(formatted("the swizzle is %d bytes; it must be 0, 32, 64 or "
                           "128",
                           swizzle_bytes));
  if (swizzle_bytes && inner > swizzle_bytes)
    return wrong(formatted("rows of the box have %d bytes; with this swizzle "
                           "they have at most %d",
                           inner, swizzle_bytes));
  memset(map128, 0, 128);
  memcpy(map128, &map, sizeof map);
  return nullptr;
}
