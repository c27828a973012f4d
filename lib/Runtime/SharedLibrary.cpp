//===- SharedLibrary.cpp - Loads the library of an artifact ---------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SharedLibrary.h"
#include "Error.h"
#include "WeightFiles.h"
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <filesystem>
#include <link.h>
#include <map>
#include <mutex>
#include <sys/stat.h>
#include <tuple>
#include <unistd.h>

using namespace attn::rt;

#if defined(__x86_64__)
static constexpr int ownMachine = EM_X86_64;
#elif defined(__aarch64__)
static constexpr int ownMachine = EM_AARCH64;
#endif

void attn::rt::checkSharedLibrary(const std::string &path) {
  MappedFile file(path);
  auto size = static_cast<uint64_t>(file.size());
  ElfW(Ehdr) header;
  if (size < sizeof(header) || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0)
    fail("cannot load '", path, "': it is not a shared library");
  std::memcpy(&header, file.data(), sizeof(header));
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_type != ET_DYN ||
      header.e_machine != ownMachine)
    fail("cannot load '", path,
         "': it is not a shared library for this kind of machine");
  auto isInside = [&](uint64_t offset, uint64_t length) {
    return offset <= size && length <= size - offset;
  };
  uint64_t tableBytes = uint64_t(header.e_phnum) * sizeof(ElfW(Phdr));
  bool isWhole = header.e_phentsize == sizeof(ElfW(Phdr)) &&
                 isInside(header.e_phoff, tableBytes);
  for (int i = 0; isWhole && i < header.e_phnum; ++i) {
    ElfW(Phdr) segment;
    std::memcpy(&segment, file.data() + header.e_phoff + i * sizeof(ElfW(Phdr)),
                sizeof(segment));
    isWhole = isInside(segment.p_offset, segment.p_filesz);
  }
  if (!isWhole)
    fail("cannot load '", path, "': it is truncated after ", size,
         " bytes; compile the model again");
}

namespace {
/// Tells one content of a path from the next.
using Identity = std::tuple<dev_t, ino_t, off_t, time_t, long>;
} // namespace

static Identity identify(const std::string &path) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0)
    fail("cannot read '", path, "': ", std::strerror(errno));
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec,
          status.st_mtim.tv_nsec};
}

static void *open(const std::string &path, const std::string &nameForErrors) {
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *reason = dlerror();
    fail("cannot load '", nameForErrors,
         "': ", reason ? reason : "unknown reason");
  }
  return library;
}

/// Loads a copy of `path` under a name that no other library has.
static void *openCopy(const std::string &path) {
  std::string copy =
      (std::filesystem::temp_directory_path() / "attn-XXXXXX").string();
  int descriptor = mkstemp(copy.data());
  if (descriptor < 0)
    fail("cannot load '", path, "': its former content is still in use, and ",
         "no copy can be made in '",
         std::filesystem::temp_directory_path().string(),
         "': ", std::strerror(errno));
  close(descriptor);
  struct Remove {
    const std::string &path;
    ~Remove() { unlink(path.c_str()); }
  } remove{copy};
  std::filesystem::copy_file(path, copy,
                             std::filesystem::copy_options::overwrite_existing);
  return open(copy, path);
}

void *attn::rt::openSharedLibrary(const std::string &path) {
  static std::mutex mutex;
  static std::map<std::string, Identity> loaded;
  checkSharedLibrary(path);
  // Without a slash dlopen would search the system's folders.
  std::string absolute = std::filesystem::absolute(path).string();
  std::lock_guard<std::mutex> lock(mutex);
  Identity identity = identify(absolute);
  // dlopen compares names before it looks at files.
  if (void *present = dlopen(absolute.c_str(), RTLD_NOW | RTLD_NOLOAD)) {
    dlclose(present);
    auto known = loaded.find(absolute);
    if (known == loaded.end() || known->second != identity)
      return openCopy(path);
  }
  void *library = open(absolute, path);
  loaded[absolute] = identity;
  return library;
}
