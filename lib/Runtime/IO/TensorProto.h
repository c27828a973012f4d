//===- TensorProto.h - ONNX tensor files ------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_IO_TENSORPROTO_H
#define ATTN_LIB_RUNTIME_IO_TENSORPROTO_H

#include "../Error.h"
#include "Tensor.h"
#include <string_view>

namespace attn::rt {

/// A well-formed tensor of a kind that Tensor cannot hold, such as strings.
class UnsupportedTensor : public Error {
public:
  using Error::Error;
};

/// A tensor with the name that the file gives it, possibly empty.
struct ProtoTensor {
  std::string name;
  Tensor tensor;
};

/// Reads the bytes of one serialized ONNX TensorProto without protobuf.
/// Throws Error for malformed bytes and UnsupportedTensor for strings, sparse
/// or external data. `where` is for messages.
ProtoTensor parseTensorProto(std::string_view bytes, const std::string &where);

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_IO_TENSORPROTO_H
