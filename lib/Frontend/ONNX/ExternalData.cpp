//===- ExternalData.cpp - Tensors in files beside the model ---------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A model file may name any path; only files inside its own folder are read.
//
//===----------------------------------------------------------------------===//
#include "Model.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mlir::attn::frontend::onnx;
namespace onnx = mlir::attn::frontend::onnx;

static bool hasParentStep(StringRef path) {
  for (auto it = llvm::sys::path::begin(path), e = llvm::sys::path::end(path);
       it != e; ++it)
    if (*it == "..")
      return true;
  return false;
}

bool onnx::resolveExternal(Model &model, TensorData &tensor,
                           std::string &error) {
  StringRef location;
  int64_t offset = 0, length = -1;
  std::string what = "external data of '" + tensor.name.str() + "': ";
  for (auto &[key, value] : tensor.external) {
    if (key == "location")
      location = value;
    int64_t *number =
        key == "offset" ? &offset : (key == "length" ? &length : nullptr);
    if (number && (value.getAsInteger(10, *number) || *number < 0)) {
      error = what + key.str() + " is '" + value.str() +
              "', expected a number of bytes";
      return false;
    }
  }
  if (location.empty() || llvm::sys::path::is_absolute(location) ||
      hasParentStep(location) || location.contains('\0')) {
    error = what + "location '" + location.str() +
            "' is not a path inside the model's folder";
    return false;
  }
  SmallString<256> path(model.folder), realPath, realFolder;
  llvm::sys::path::append(path, location);
  if (std::error_code code = llvm::sys::fs::real_path(path, realPath)) {
    error = what + "cannot open '" + location.str() + "': " + code.message();
    return false;
  }
  if (llvm::sys::fs::real_path(model.folder, realFolder) ||
      (realFolder != "/" &&
       !realPath.str().starts_with((realFolder + "/").str()))) {
    error = what + "location '" + location.str() +
            "' leads out of the model's folder";
    return false;
  }
  std::optional<int64_t> count = tensor.numElements();
  int64_t bytes = 0;
  if (!count ||
      llvm::MulOverflow(*count, dataTypeBytes(tensor.dataType), bytes)) {
    error = what + "its dimensions are too large";
    return false;
  }
  if (length >= 0 && length != bytes) {
    error = what + "length is " + std::to_string(length) +
            " bytes, but its type needs " + std::to_string(bytes);
    return false;
  }
  std::shared_ptr<llvm::MemoryBuffer> buffer;
  for (auto &open : model.buffers)
    if (open->getBufferIdentifier() == realPath)
      buffer = open;
  if (!buffer) {
    if (llvm::sys::fs::is_directory(realPath) ||
        !llvm::sys::fs::is_regular_file(realPath)) {
      error = what + "'" + location.str() + "' is not a file";
      return false;
    }
    auto opened = llvm::MemoryBuffer::getFile(realPath, false, false);
    if (!opened) {
      error = what + "cannot open '" + location.str() +
              "': " + opened.getError().message();
      return false;
    }
    buffer = std::move(*opened);
    model.buffers.push_back(buffer);
  }
  int64_t size = static_cast<int64_t>(buffer->getBufferSize()), last;
  if (llvm::AddOverflow(offset, bytes, last) || last > size) {
    error = what + "bytes " + std::to_string(offset) + " to " +
            std::to_string(offset) + " + " + std::to_string(bytes) +
            " lie outside of '" + location.str() + "', which has " +
            std::to_string(size);
    return false;
  }
  tensor.raw = buffer->getBuffer().substr(offset, bytes);
  tensor.hasRaw = true;
  tensor.file = location.str();
  tensor.offset = offset;
  return true;
}
