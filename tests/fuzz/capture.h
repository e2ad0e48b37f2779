// SPDX-License-Identifier: MIT
// capture.h — what is written to standard output meanwhile.
#pragma once
#include <cstdio>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace haze::fuzz {

/// From its making on, standard output goes into memory.
class Capture {
 public:
  Capture() : memory_(::memfd_create("output", 0)) {
    std::fflush(stdout);
    before_ = ::dup(STDOUT_FILENO);
    ::dup2(memory_, STDOUT_FILENO);
  }
  ~Capture() {
    std::fflush(stdout);
    ::dup2(before_, STDOUT_FILENO);
    ::close(before_);
    ::close(memory_);
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  std::string text() const {
    std::fflush(stdout);
    std::string all(std::size_t(::lseek(memory_, 0, SEEK_END)), '\0');
    const auto read = ::pread(memory_, all.data(), all.size(), 0);
    all.resize(read < 0 ? 0 : std::size_t(read));
    return all;
  }

 private:
  int memory_, before_;
};

}  // namespace haze::fuzz
