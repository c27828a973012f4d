//===- Error.h - Failures inside the runtime --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_ERROR_H
#define ATTN_LIB_RUNTIME_ERROR_H

#include <sstream>
#include <stdexcept>
#include <string>

namespace attn::rt {

/// Thrown inside the runtime and the tools; never leaves the C interface.
class Error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Throws an Error whose message is the parts written one after the other.
template <typename... Parts>
[[noreturn]] void fail(const Parts &...parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Error(text.str());
}

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_ERROR_H
