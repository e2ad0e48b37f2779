// SPDX-License-Identifier: MIT
// program.h — runs the built haze program as a user would, in folders that vanish with the test.
#pragma once
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "tests/support/files.h"
#include "tests/support/paths.h"

namespace haze::test {

namespace fs = std::filesystem;

inline std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}
inline std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

struct Outcome {
  int code = -1;  // exit code, or -signal
  std::string out, err;
  std::string last_error_line() const {
    const auto all = lines(err);
    return all.empty() ? "" : all.back();
  }
};

/// A haze that runs, with its standard output and error in files.
class Process {
 public:
  explicit Process(const std::vector<std::string>& arguments,
                   const std::function<void()>& in_child = {}) {
    std::vector<const char*> argv = {haze_program().c_str()};
    for (const auto& a : arguments) argv.push_back(a.c_str());
    argv.push_back(nullptr);
    const std::string out = folder_ / "out", err = folder_ / "err";
    pid_ = fork();
    if (pid_ != 0) return;
    dup2(open("/dev/null", O_RDONLY), 0);
    dup2(open(out.c_str(), O_CREAT | O_WRONLY, 0644), 1);
    dup2(open(err.c_str(), O_CREAT | O_WRONLY, 0644), 2);
    for (const char* name : {"HAZE_DATA", "HAZE_DEVICE", "HAZE_RUNS"}) unsetenv(name);
    setenv("OMP_NUM_THREADS", "1", 1);  // tiny networks: threads only cost
    if (in_child) in_child();
    execv(argv[0], const_cast<char**>(argv.data()));
    _exit(126);
  }
  ~Process() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void signal(int number) const { kill(pid_, number); }
  pid_t id() const { return pid_; }
  /// What it has said so far.
  std::string err() const { return fs::exists(folder_ / "err") ? contents(folder_ / "err") : ""; }
  /// Waits until done() or the process has ended; false if it ended first.
  bool wait_until(const std::function<bool()>& done) const {
    siginfo_t info{};
    while (!done()) {
      info.si_pid = 0;
      waitid(P_PID, id_t(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
      if (info.si_pid != 0) return done();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }
  Outcome wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), contents(folder_ / "out"),
            contents(folder_ / "err")};
  }

 private:
  TemporaryFolder folder_;
  pid_t pid_ = -1;
};

inline Outcome haze(const std::vector<std::string>& arguments,
                    const std::function<void()>& in_child = {}) {
  return Process(arguments, in_child).wait();
}

}  // namespace haze::test
