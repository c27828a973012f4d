//===- CallEmitter.h - Calls of the runtime from host code ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_TARGET_NVIDIA_HOST_CALLEMITTER_H
#define ATTN_LIB_TARGET_NVIDIA_HOST_CALLEMITTER_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Builders.h"

namespace mlir::attn {

/// Builds calls of C functions in front of one operation. Arrays that they take
/// lie on the host's stack.
class CallEmitter {
public:
  explicit CallEmitter(Operation *op);

  Value constant(int64_t value, unsigned bits = 64);
  /// An index or integer as i64.
  Value toI64(OpFoldResult value);
  Value toPointer(Value i64);

  /// Where the first element of a buffer lies, as a pointer.
  Value address(Value buffer);
  /// The buffer's address as an i64.
  Value addressAsI64(Value buffer);
  SmallVector<OpFoldResult> sizes(Value buffer);
  SmallVector<OpFoldResult> strides(Value buffer);

  /// `words` on the stack, each as an i64; a pointer to the first.
  Value array(ValueRange i64s, int64_t alignment = 8);
  /// As above, each an i32.
  Value array32(ArrayRef<int64_t> words);
  /// `bytes` on the stack.
  Value scratch(int64_t bytes, int64_t alignment);

  /// Calls `name`; its result, or null where `result` is.
  Value call(StringRef name, ValueRange arguments, Type result = {});

  OpBuilder builder;
  Location loc;

private:
  Value allocateWords(Type element, int64_t count, int64_t alignment);
  Value pointerTo(Value words);
  Operation *op;
};

/// Bytes of an element in memory.
int64_t elementBytes(MemRefType type);

} // namespace mlir::attn

#endif // ATTN_LIB_TARGET_NVIDIA_HOST_CALLEMITTER_H
