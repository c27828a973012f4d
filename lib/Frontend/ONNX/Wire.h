//===- Wire.h - The protobuf wire format ------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A bounds-checked cursor over the fields of one protobuf message.
//
//===----------------------------------------------------------------------===//
#ifndef ATTN_LIB_FRONTEND_ONNX_WIRE_H
#define ATTN_LIB_FRONTEND_ONNX_WIRE_H

#include "llvm/ADT/StringRef.h"
#include <cstring>
#include <vector>

namespace mlir::attn::frontend::onnx {

/// One field: its number and its payload.
struct WireField {
  enum Type { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };
  uint32_t number = 0;
  uint32_t type = 0;
  uint64_t scalar = 0;
  llvm::StringRef bytes;
};

class WireReader {
public:
  explicit WireReader(llvm::StringRef message)
      : pos(message.data()), end(message.data() + message.size()) {}

  /// Moves to the next field. False at the end, or on an error (see `bad`).
  bool next(WireField &field) {
    if (failed || pos == end)
      return false;
    uint64_t key;
    if (!varint(key) || key >> 32)
      return fail();
    field.number = static_cast<uint32_t>(key >> 3);
    field.type = static_cast<uint32_t>(key & 7);
    if (field.number == 0)
      return fail();
    switch (field.type) {
    case WireField::Varint:
      return varint(field.scalar) || fail();
    case WireField::Fixed64:
      return fixed(field.scalar, 8) || fail();
    case WireField::Fixed32:
      return fixed(field.scalar, 4) || fail();
    case WireField::Bytes: {
      uint64_t size;
      if (!varint(size) || size > static_cast<uint64_t>(end - pos))
        return fail();
      field.bytes = llvm::StringRef(pos, size);
      pos += size;
      return true;
    }
    }
    return fail();
  }

  bool bad() const { return failed; }

  /// Appends the elements of a repeated number, packed or not.
  template <typename T>
  static bool append(const WireField &field, std::vector<T> &out) {
    if (field.type == WireField::Varint) {
      out.push_back(static_cast<T>(static_cast<int64_t>(field.scalar)));
      return true;
    }
    if (field.type != WireField::Bytes)
      return false;
    WireReader packed(field.bytes);
    uint64_t value;
    while (packed.pos != packed.end) {
      if (!packed.varint(value))
        return false;
      out.push_back(static_cast<T>(static_cast<int64_t>(value)));
    }
    return true;
  }

  /// The same for float (Raw = float) and double fields.
  template <typename Raw, typename T>
  static bool appendFloats(const WireField &field, std::vector<T> &out) {
    Raw value;
    uint32_t scalarType =
        sizeof(Raw) == 4 ? WireField::Fixed32 : WireField::Fixed64;
    if (field.type == scalarType) {
      std::memcpy(&value, &field.scalar, sizeof(Raw));
      out.push_back(value);
      return true;
    }
    if (field.type != WireField::Bytes || field.bytes.size() % sizeof(Raw))
      return false;
    for (size_t i = 0; i < field.bytes.size(); i += sizeof(Raw)) {
      std::memcpy(&value, field.bytes.data() + i, sizeof(Raw));
      out.push_back(value);
    }
    return true;
  }

private:
  bool fail() {
    failed = true;
    return false;
  }
  bool varint(uint64_t &value) {
    value = 0;
    for (unsigned shift = 0; shift < 64 && pos != end; shift += 7) {
      uint8_t byte = static_cast<uint8_t>(*pos++);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (!(byte & 0x80))
        return true;
    }
    return false;
  }
  bool fixed(uint64_t &value, unsigned size) {
    if (static_cast<size_t>(end - pos) < size)
      return false;
    value = 0;
    std::memcpy(&value, pos, size);
    pos += size;
    return true;
  }

  const char *pos, *end;
  bool failed = false;
};

} // namespace mlir::attn::frontend::onnx

#endif // ATTN_LIB_FRONTEND_ONNX_WIRE_H
