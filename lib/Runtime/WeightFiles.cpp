//===- WeightFiles.cpp - Weights mapped from their files ------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "WeightFiles.h"
#include "Error.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace attn::rt;

MappedFile::MappedFile(const std::string &path) : name(path) {
  int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    fail("cannot open '", path, "': ", std::strerror(errno));
  struct stat status;
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor);
    fail("cannot map '", path, "': it is not a regular file");
  }
  length = status.st_size;
  void *mapping = nullptr;
  if (length > 0)
    mapping = mmap(nullptr, length, PROT_READ, MAP_PRIVATE, descriptor, 0);
  int reason = errno;
  close(descriptor);
  if (mapping == MAP_FAILED)
    fail("cannot map '", path, "': ", std::strerror(reason));
  base = static_cast<const char *>(mapping);
}

MappedFile::~MappedFile() {
  if (base)
    munmap(const_cast<char *>(base), length);
}

static std::string findFile(const std::string &file,
                            const std::vector<std::string> &folders) {
  std::string tried;
  for (const std::string &folder : folders) {
    std::filesystem::path path = std::filesystem::path(folder) / file;
    std::error_code ignored;
    if (std::filesystem::is_regular_file(path, ignored))
      return path.string();
    tried += (tried.empty() ? "'" : "' nor '") + path.string();
  }
  fail("weight file not found: neither ", tried,
       "' exists; put it beside the compiled module");
}

WeightFiles::WeightFiles(const Metadata &metadata,
                         const std::vector<std::string> &folders) {
  for (const WeightSpec &weight : metadata.weights) {
    std::unique_ptr<MappedFile> &file = files[weight.file];
    if (!file)
      file = std::make_unique<MappedFile>(findFile(weight.file, folders));
    if (weight.bytes > file->size() - weight.offset)
      fail("weight '", weight.name, "' ends at byte ",
           weight.offset + weight.bytes, " but '", file->path(), "' has ",
           file->size(),
           " bytes; it is not the file the module was compiled "
           "with");
    addresses.push_back(file->data() ? file->data() + weight.offset : nullptr);
  }
  for (const FileSpec &spec : metadata.files) {
    auto found = files.find(spec.name);
    if (found != files.end() && found->second->size() != spec.size)
      fail("'", found->second->path(), "' has ", found->second->size(),
           " bytes but had ", spec.size,
           " when the module was compiled; restore it or compile again");
  }
}
