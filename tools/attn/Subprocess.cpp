//===- Subprocess.cpp - A case that cannot harm the others ----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Subprocess.h"
#include "Runtime/Error.h"
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace attn::tool;
using attn::rt::fail;

static void writeAll(int pipe, const std::string &text) {
  for (size_t done = 0; done < text.size();) {
    ssize_t count = write(pipe, text.data() + done, text.size() - done);
    if (count <= 0)
      return;
    done += static_cast<size_t>(count);
  }
}

/// Reads until the other end closes; false if that takes too long.
static bool readAll(int pipe, int timeout, std::string &text) {
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(timeout);
  char buffer[4096];
  while (true) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    pollfd waited = {pipe, POLLIN, 0};
    int ready =
        poll(&waited, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR)
      continue;
    if (ready <= 0)
      return false;
    ssize_t count = read(pipe, buffer, sizeof(buffer));
    if (count <= 0)
      return true;
    text.append(buffer, count);
  }
}

CaseResult attn::tool::runInChild(const std::function<CaseResult()> &body,
                                  int timeout) {
  int pipes[2];
  if (pipe(pipes) != 0)
    fail("cannot make a pipe: ", std::strerror(errno));
  std::fflush(nullptr);
  pid_t child = fork();
  if (child < 0)
    fail("cannot start a process: ", std::strerror(errno));
  if (child == 0) {
    close(pipes[0]);
    CaseResult result = body();
    writeAll(pipes[1],
             static_cast<char>('0' + static_cast<int>(result.status)) +
                 result.reason);
    // No destructors: the libraries' may wait for threads.
    _exit(0);
  }
  close(pipes[1]);
  std::string text;
  bool inTime = readAll(pipes[0], timeout, text);
  close(pipes[0]);
  if (!inTime)
    kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    continue;
  if (!inTime)
    return {CaseStatus::Failed,
            "no result after " + std::to_string(timeout) + " s"};
  if (WIFSIGNALED(status))
    return {CaseStatus::Failed,
            std::string("crashed: ") + strsignal(WTERMSIG(status))};
  if (text.empty())
    return {CaseStatus::Failed, "ended without a result"};
  return {static_cast<CaseStatus>(text[0] - '0'), text.substr(1)};
}
