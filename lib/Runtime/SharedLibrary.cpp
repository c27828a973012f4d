//===- SharedLibrary.cpp - Is a file a whole shared library? --------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SharedLibrary.h"
#include "Error.h"
#include "WeightFiles.h"
#include <cstring>
#include <elf.h>
#include <link.h>

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
