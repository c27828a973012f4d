//===- Npy.h - NumPy's array files ------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_IO_NPY_H
#define ATTN_LIB_RUNTIME_IO_NPY_H

#include "Tensor.h"
#include <string_view>

namespace attn::rt {

/// Reads the bytes of an .npy file (format 1 to 3; either byte order; Fortran
/// order is transposed). The type V2 is read as bfloat16, which NumPy has no
/// name for. `name` is for messages.
Tensor parseNpy(std::string_view bytes, const std::string &name);

/// The bytes of an .npy file of format 1.0.
std::string formatNpy(const Tensor &tensor);

Tensor readNpy(const std::string &path);
NamedTensors readNpz(const std::string &path);

/// Written to a temporary file and renamed.
void writeNpy(const std::string &path, const Tensor &tensor);
void writeNpz(const std::string &path, const NamedTensors &tensors);

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_IO_NPY_H
