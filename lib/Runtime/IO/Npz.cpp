//===- Npz.cpp - NumPy's archives of named arrays -------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../Error.h"
#include "File.h"
#include "Npy.h"
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

using namespace attn::rt;

namespace {
struct DiscardArchive {
  void operator()(zip_t *archive) const { zip_discard(archive); }
};
struct CloseEntry {
  void operator()(zip_file_t *entry) const { zip_fclose(entry); }
};
using Archive = std::unique_ptr<zip_t, DiscardArchive>;
using Entry = std::unique_ptr<zip_file_t, CloseEntry>;
} // namespace

static std::string openReason(int code) {
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  std::string text = zip_error_strerror(&error);
  zip_error_fini(&error);
  return text;
}

static std::string readEntry(zip_t *archive, zip_uint64_t index,
                             const std::string &where) {
  Entry entry(zip_fopen_index(archive, index, 0));
  if (!entry)
    fail("cannot read '", where, "': ", zip_strerror(archive));
  std::string bytes;
  std::vector<char> buffer(1 << 20);
  while (true) {
    zip_int64_t got = zip_fread(entry.get(), buffer.data(), buffer.size());
    if (got < 0)
      fail("cannot read '", where, "': ", zip_file_strerror(entry.get()));
    if (got == 0)
      return bytes;
    bytes.append(buffer.data(), got);
  }
}

NamedTensors attn::rt::readNpz(const std::string &path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    fail("cannot read '", path, "': it is a folder");
  int code = 0;
  Archive archive(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (!archive)
    fail("cannot open '", path, "' as an .npz archive: ", openReason(code));
  NamedTensors tensors;
  zip_int64_t numEntries = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t i = 0; i < numEntries; ++i) {
    const char *entryName = zip_get_name(archive.get(), i, ZIP_FL_ENC_RAW);
    std::string name = entryName ? entryName : "";
    std::string where = path + "/" + name;
    if (name.ends_with(".npy"))
      name.resize(name.size() - 4);
    tensors.emplace_back(name,
                         parseNpy(readEntry(archive.get(), i, where), where));
  }
  return tensors;
}

void attn::rt::writeNpz(const std::string &path, const NamedTensors &tensors) {
  checkWritable(path);
  // libzip itself writes to a temporary file and renames it; it asks only at
  // the end for the bytes, so they live until then.
  int code = 0;
  Archive archive(zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code));
  if (!archive)
    fail("cannot write '", path, "': ", openReason(code));
  std::vector<std::string> contents;
  contents.reserve(tensors.size());
  for (const auto &[name, tensor] : tensors) {
    const std::string &bytes = contents.emplace_back(formatNpy(tensor));
    zip_source_t *source =
        zip_source_buffer(archive.get(), bytes.data(), bytes.size(), 0);
    zip_int64_t index =
        source ? zip_file_add(archive.get(), (name + ".npy").c_str(), source,
                              ZIP_FL_ENC_UTF_8)
               : -1;
    if (index < 0) {
      zip_source_free(source);
      fail("cannot write '", path, "': ", zip_strerror(archive.get()));
    }
    // As numpy.savez: stored, which loads without a copy through zlib.
    zip_set_file_compression(archive.get(), index, ZIP_CM_STORE, 0);
  }
  if (zip_close(archive.get()) != 0)
    fail("cannot write '", path, "': ", zip_strerror(archive.get()));
  (void)archive.release();
}
