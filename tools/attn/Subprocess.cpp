//===- Subprocess.cpp - Cases that cannot harm each other -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Subprocess.h"
#include "Runtime/Error.h"
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

using namespace attn::tool;
using attn::rt::fail;
using Clock = std::chrono::steady_clock;

namespace {
/// A running child and what it has said so far.
struct Child {
  size_t index;
  pid_t process;
  int pipe;
  Clock::time_point deadline;
  std::string text;
};
} // namespace

static void writeAll(int pipe, const std::string &text) {
  for (size_t done = 0; done < text.size();) {
    ssize_t count = write(pipe, text.data() + done, text.size() - done);
    if (count <= 0)
      return;
    done += static_cast<size_t>(count);
  }
}

static Child start(size_t index, int timeout,
                   const std::function<CaseResult(size_t)> &body) {
  int pipes[2];
  // Closed on exec, so that a linker that the child starts and that outlives
  // it does not hold the pipe open.
  if (pipe2(pipes, O_CLOEXEC) != 0)
    fail("cannot make a pipe: ", std::strerror(errno));
  std::fflush(nullptr);
  pid_t process = fork();
  if (process < 0)
    fail("cannot start a process: ", std::strerror(errno));
  if (process == 0) {
    close(pipes[0]);
    CaseResult result = body(index);
    writeAll(pipes[1],
             static_cast<char>('0' + static_cast<int>(result.status)) +
                 result.reason);
    // No destructors: the libraries' may wait for threads.
    _exit(0);
  }
  close(pipes[1]);
  return {index, process, pipes[0],
          Clock::now() + std::chrono::seconds(timeout), ""};
}

/// Takes what the child has said; false when it will say no more.
static bool receive(Child &child) {
  char buffer[4096];
  ssize_t count = read(child.pipe, buffer, sizeof(buffer));
  if (count < 0)
    return errno == EINTR;
  child.text.append(buffer, count);
  return count > 0;
}

static CaseResult finish(const Child &child, bool isLate, int timeout) {
  close(child.pipe);
  if (isLate)
    kill(child.process, SIGKILL);
  int status = 0;
  while (waitpid(child.process, &status, 0) < 0 && errno == EINTR)
    continue;
  if (isLate)
    return {CaseStatus::Failed,
            "no result after " + std::to_string(timeout) + " s"};
  if (WIFSIGNALED(status))
    return {CaseStatus::Failed,
            std::string("crashed: ") + strsignal(WTERMSIG(status))};
  if (child.text.empty())
    return {CaseStatus::Failed, "ended without a result"};
  return {static_cast<CaseStatus>(child.text[0] - '0'), child.text.substr(1)};
}

void attn::tool::runInChildren(
    size_t count, size_t jobs, int timeout,
    const std::function<CaseResult(size_t)> &body,
    const std::function<void(size_t, CaseResult)> &done) {
  std::vector<Child> children;
  std::vector<std::optional<CaseResult>> results(count);
  size_t numStarted = 0, numDone = 0;
  while (numDone < count) {
    while (numStarted < count && children.size() < jobs)
      children.push_back(start(numStarted++, timeout, body));
    std::vector<pollfd> waited;
    Clock::time_point first = Clock::time_point::max();
    for (const Child &child : children) {
      waited.push_back({child.pipe, POLLIN, 0});
      first = std::min(first, child.deadline);
    }
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(first - Clock::now());
    poll(waited.data(), waited.size(),
         static_cast<int>(std::max<int64_t>(left.count(), 0)));
    std::vector<Child> running;
    for (size_t i = 0; i < children.size(); ++i) {
      bool isLate = Clock::now() >= children[i].deadline;
      bool isOver = waited[i].revents != 0 && !receive(children[i]);
      if (isOver || isLate)
        results[children[i].index] =
            finish(children[i], isLate && !isOver, timeout);
      else
        running.push_back(std::move(children[i]));
    }
    children = std::move(running);
    for (; numDone < count && results[numDone]; ++numDone)
      done(numDone, *results[numDone]);
  }
}
