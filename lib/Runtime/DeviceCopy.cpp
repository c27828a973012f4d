//===- DeviceCopy.cpp - Strided copies and tensor maps, checked -----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DataType.h"
#include "Device.h"
#include "Error.h"
#include <cstdint>
#include <vector>

using namespace attn::rt;

namespace {
struct Dim {
  int64_t size, to, from; ///< strides in bytes
};
} // namespace

void attn::rt::copyStrided(Device &device, void *to, const int64_t *toStrides,
                           const void *from, const int64_t *fromStrides,
                           const int64_t *sizes, int32_t rank,
                           int64_t elementSize, CopyKind kind, Stream stream) {
  // Innermost first. A dimension joins the one inside of it where both sides
  // continue there.
  std::vector<Dim> dims;
  int64_t width = elementSize;
  for (int32_t i = rank; i-- > 0;) {
    if (sizes[i] == 0)
      return;
    if (sizes[i] == 1)
      continue;
    Dim dim = {sizes[i], toStrides[i] * elementSize,
               fromStrides[i] * elementSize};
    if (dims.empty() && dim.to == width && dim.from == width) {
      width *= dim.size;
      continue;
    }
    if (!dims.empty() && dim.to == dims.back().size * dims.back().to &&
        dim.from == dims.back().size * dims.back().from) {
      dims.back().size *= dim.size;
      continue;
    }
    dims.push_back(dim);
  }
  Dim rows = {1, width, width};
  if (!dims.empty()) {
    // Pitches must hold a row; other dimensions become loops.
    size_t best = dims.size();
    for (size_t i = 0; i < dims.size(); ++i)
      if (dims[i].to >= width && dims[i].from >= width &&
          (best == dims.size() || dims[i].size > dims[best].size))
        best = i;
    if (best < dims.size()) {
      rows = dims[best];
      dims.erase(dims.begin() + static_cast<int64_t>(best));
    }
  }
  std::vector<int64_t> index(dims.size());
  while (true) {
    int64_t toOffset = 0, fromOffset = 0;
    for (size_t i = 0; i < dims.size(); ++i) {
      toOffset += index[i] * dims[i].to;
      fromOffset += index[i] * dims[i].from;
    }
    device.copyRows(static_cast<char *>(to) + toOffset, rows.to,
                    static_cast<const char *>(from) + fromOffset, rows.from,
                    width, rows.size, kind, stream);
    size_t next = 0;
    while (next < dims.size() && ++index[next] == dims[next].size)
      index[next++] = 0;
    if (next == dims.size())
      return;
  }
}

void attn::rt::checkTensorMap(const TensorMap &map) {
  const char *advice = "; make the tensor dense and 16-byte aligned, or "
                       "compile with --target sm_80";
  int64_t elementSize = dataTypeSize(map.dtype);
  if (map.rank < 1 || map.rank > 5)
    fail("a bulk copy of rank ", map.rank, " is not possible; the limit is 5");
  if (reinterpret_cast<uintptr_t>(map.address) % 16 != 0)
    fail("a tensor that is read by bulk copies lies at address ", map.address,
         ", which is not a multiple of 16", advice);
  for (int32_t i = 0; i < map.rank; ++i)
    if (map.sizes[i] < 1 || map.sizes[i] > (int64_t(1) << 32))
      fail("a bulk copy of a tensor of size ", map.sizes[i],
           " in a dimension is not possible; the limit is 4294967296");
  for (int32_t i = 0; i + 1 < map.rank; ++i) {
    int64_t stride = map.byteStrides[i];
    if (stride % 16 != 0 || stride < 0)
      fail("a tensor that is read by bulk copies has rows ", stride,
           " bytes apart, which is not a multiple of 16", advice);
    if (stride >= (int64_t(1) << 40))
      fail("a tensor that is read by bulk copies has rows ", stride,
           " bytes apart; the limit is 2^40", advice);
  }
  for (int32_t i = 0; i < map.rank; ++i)
    if (map.box[i] < 1 || map.box[i] > 256)
      fail("a bulk copy of ", map.box[i],
           " elements along a dimension is not "
           "possible; the limit is 256");
  int64_t inner = map.box[0] * elementSize;
  if (inner % 16 != 0 || (map.swizzleBytes && inner > map.swizzleBytes))
    fail("a bulk copy of rows of ", inner, " bytes with a swizzle of ",
         map.swizzleBytes,
         " is not possible; rows are multiples of 16 bytes and at most the "
         "swizzle");
  if (map.swizzleBytes != 0 && map.swizzleBytes != 32 &&
      map.swizzleBytes != 64 && map.swizzleBytes != 128)
    fail("a swizzle of ", map.swizzleBytes, " bytes is none of 0, 32, 64, 128");
}
