//===- Arguments.cpp - Buffers from files, numbers, tensor maps -----------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Arguments.h"
#include "attn/Emulator/attn_emulator.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>

using namespace llvm;

namespace attn::tool {

static Error wrong(const Twine &text) {
  return createStringError(inconvertibleErrorCode(), text);
}

/// The text after `key` in the head of a .npy file, up to one of `ends`.
static StringRef field(StringRef head, StringRef key, StringRef ends) {
  size_t at = head.find(key);
  if (at == StringRef::npos)
    return "";
  StringRef rest = head.drop_front(at + key.size()).ltrim();
  return rest.take_front(rest.find_first_of(ends));
}

static Error readBuffer(StringRef path, Argument &argument) {
  auto file = MemoryBuffer::getFile(path, /*IsText=*/false,
                                    /*RequiresNullTerminator=*/false);
  if (!file)
    return wrong(path + ": " + file.getError().message());
  StringRef bytes = (*file)->getBuffer();
  if (!bytes.starts_with("\x93NUMPY") || bytes.size() < 10)
    return wrong(path + ": not a .npy file");
  size_t length = 10 + (static_cast<unsigned char>(bytes[8]) |
                        static_cast<unsigned char>(bytes[9]) << 8);
  if (bytes[6] != 1 || bytes.size() < length)
    return wrong(path + ": a .npy file of a version other than 1");
  StringRef head = bytes.take_front(length);
  if (!field(head, "'fortran_order':", ",").starts_with("False"))
    return wrong(path + ": not in row-major order");
  StringRef descr = field(head, "'descr':", ",").trim(" '");
  if (descr.size() < 3 ||
      descr.drop_front(2).getAsInteger(10, argument.elementBytes))
    return wrong(path + ": elements of type " + descr);
  SmallVector<StringRef> sizes;
  field(head, "'shape': (", ")").split(sizes, ',', -1, false);
  for (StringRef size : sizes) {
    int64_t value;
    if (size.trim().empty())
      continue;
    if (size.trim().getAsInteger(10, value))
      return wrong(path + ": a size is '" + size + "'");
    argument.shape.push_back(value);
  }
  argument.header = head.str();
  argument.size = bytes.size() - length;
  argument.device =
      static_cast<char *>(attn_emu_alloc(static_cast<int64_t>(argument.size)));
  if (!argument.device)
    return wrong(path + ": no memory");
  memcpy(argument.device, bytes.data() + length, argument.size);
  memcpy(argument.bytes, &argument.device, sizeof argument.device);
  return Error::success();
}

template <typename T>
static Error readInteger(StringRef text, Argument &to) {
  T value;
  if (text.getAsInteger(0, value))
    return wrong("'" + text + "' is not a number of this type");
  memcpy(to.bytes, &value, sizeof value);
  return Error::success();
}

static Error readMap(StringRef text, ArrayRef<Argument> before, Argument &to) {
  SmallVector<StringRef> parts;
  text.split(parts, ':');
  size_t index;
  if (parts[0].getAsInteger(10, index) || index >= before.size() ||
      !before[index].device)
    return wrong("'" + text + "': argument '" + parts[0] +
                 "' is not a buffer before this one");
  const Argument &buffer = before[index];
  int32_t box[5] = {1, 1, 1, 1, 1}, swizzle = 0;
  for (StringRef part : ArrayRef(parts).drop_front()) {
    if (part.consume_front("swizzle=")) {
      if (part.getAsInteger(10, swizzle))
        return wrong("'" + part + "' is not a swizzle");
    } else if (part.consume_front("box=")) {
      SmallVector<StringRef> sizes;
      part.split(sizes, 'x');
      if (sizes.size() > 5)
        return wrong("a box of more than five dimensions");
      for (auto [i, size] : enumerate(sizes))
        if (size.getAsInteger(10, box[i]))
          return wrong("'" + size + "' is not the size of a box");
    } else {
      return wrong("a tensor map has no '" + part + "'");
    }
  }
  int64_t rank = static_cast<int64_t>(buffer.shape.size());
  if (rank < 1 || rank > 5)
    return wrong("a tensor map of rank " + Twine(rank));
  int64_t sizes[5], strides[5], bytes = buffer.elementBytes;
  for (int64_t i = 0; i < rank; ++i) {
    sizes[i] = buffer.shape[static_cast<size_t>(rank - 1 - i)];
    if (i)
      strides[i - 1] = bytes;
    bytes *= sizes[i];
  }
  // Only the size of an element matters here.
  int32_t type = buffer.elementBytes == 1   ? 2
                 : buffer.elementBytes == 2 ? 10
                 : buffer.elementBytes == 4 ? 1
                                            : 7;
  const char *error = attn_emu_encode_tensor_map(to.bytes, buffer.device, type,
                                                 static_cast<int32_t>(rank),
                                                 sizes, strides, box, swizzle);
  return error ? wrong(error) : Error::success();
}

Expected<std::vector<Argument>> readArguments(ArrayRef<std::string> texts) {
  std::vector<Argument> arguments;
  for (StringRef text : texts) {
    Argument argument;
    Error error = Error::success();
    consumeError(std::move(error));
    if (text.consume_front("i32:")) {
      error = readInteger<int32_t>(text, argument);
    } else if (text.consume_front("i64:")) {
      error = readInteger<int64_t>(text, argument);
    } else if (text.consume_front("f32:")) {
      double value;
      if (text.getAsDouble(value))
        return wrong("'" + text + "' is not a number");
      auto single = static_cast<float>(value);
      memcpy(argument.bytes, &single, sizeof single);
      error = Error::success();
    } else if (text.consume_front("map:")) {
      error = readMap(text, arguments, argument);
    } else {
      auto [input, output] = text.split('=');
      argument.output = output.str();
      error = readBuffer(input, argument);
    }
    if (error)
      return std::move(error);
    arguments.push_back(std::move(argument));
  }
  return arguments;
}

Error writeOutputs(ArrayRef<Argument> arguments) {
  for (const Argument &argument : arguments) {
    if (argument.output.empty())
      continue;
    std::error_code code;
    raw_fd_ostream file(argument.output, code);
    if (code)
      return wrong(argument.output + ": " + code.message());
    file << argument.header << StringRef(argument.device, argument.size);
  }
  return Error::success();
}

} // namespace attn::tool
