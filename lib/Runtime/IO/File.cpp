//===- File.cpp - Whole files, written all or not at all ------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "File.h"
#include "../Error.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

using namespace attn::rt;

namespace {
/// A file descriptor that closes itself.
struct Descriptor {
  explicit Descriptor(int number) : number(number) {}
  ~Descriptor() {
    if (number >= 0)
      close(number);
  }
  int number;
};
} // namespace

std::string attn::rt::readFile(const std::string &path) {
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number < 0)
    fail("cannot open '", path, "': ", std::strerror(errno));
  struct stat status;
  if (fstat(file.number, &status) == 0 && S_ISDIR(status.st_mode))
    fail("cannot read '", path, "': it is a folder");
  std::string bytes;
  std::vector<char> buffer(1 << 20);
  while (true) {
    ssize_t got = read(file.number, buffer.data(), buffer.size());
    if (got < 0)
      fail("cannot read '", path, "': ", std::strerror(errno));
    if (got == 0)
      return bytes;
    bytes.append(buffer.data(), got);
  }
}

static std::string folderOf(const std::string &path) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

void attn::rt::checkWritable(const std::string &path) {
  std::error_code ignored;
  std::string folder = folderOf(path);
  if (!std::filesystem::is_directory(folder, ignored))
    fail("cannot write '", path, "': folder '", folder, "' does not exist");
  if (std::filesystem::is_directory(path, ignored))
    fail("cannot write '", path, "': it is a folder");
  if (access(folder.c_str(), W_OK) != 0)
    fail("cannot write '", path, "': ", std::strerror(errno));
}

void attn::rt::writeFile(const std::string &path, std::string_view bytes) {
  checkWritable(path);
  std::string temporary = path + ".XXXXXX";
  Descriptor file(mkstemp(temporary.data()));
  if (file.number < 0)
    fail("cannot write '", path, "': ", std::strerror(errno));
  auto giveUp = [&] {
    int reason = errno;
    unlink(temporary.c_str());
    fail("cannot write '", path, "': ", std::strerror(reason));
  };
  for (std::string_view rest = bytes; !rest.empty();) {
    ssize_t done = write(file.number, rest.data(), rest.size());
    if (done < 0)
      giveUp();
    rest.remove_prefix(done);
  }
  // mkstemp makes private files; give it the mode that open would have given.
  mode_t mask = umask(0);
  umask(mask);
  if (fchmod(file.number, 0666 & ~mask) != 0 ||
      rename(temporary.c_str(), path.c_str()) != 0)
    giveUp();
}
