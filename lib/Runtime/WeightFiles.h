//===- WeightFiles.h - Weights mapped from their files ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_LIB_RUNTIME_WEIGHTFILES_H
#define ATTN_LIB_RUNTIME_WEIGHTFILES_H

#include "Metadata.h"
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace attn::rt {

/// A file mapped read-only for as long as the object lives.
class MappedFile {
public:
  /// Throws Error with the path and the system's reason.
  explicit MappedFile(const std::string &path);
  ~MappedFile();
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;

  const char *data() const { return base; }
  int64_t size() const { return length; }
  const std::string &path() const { return name; }

private:
  std::string name;
  const char *base = nullptr;
  int64_t length = 0;
};

/// The files behind the weights of one module.
class WeightFiles {
public:
  /// Maps every file that `metadata` names, searched in `folders` in order.
  WeightFiles(const Metadata &metadata,
              const std::vector<std::string> &folders);

  /// Address of weight `index` in its mapping; not aligned in general.
  const char *address(size_t index) const { return addresses[index]; }

private:
  std::map<std::string, std::unique_ptr<MappedFile>> files;
  std::vector<const char *> addresses;
};

} // namespace attn::rt

#endif // ATTN_LIB_RUNTIME_WEIGHTFILES_H
