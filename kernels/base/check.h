// SPDX-License-Identifier: MIT
// check.h — the one way to reject bad input on the host. Throws; never prints, never exits.
#pragma once
#include <source_location>
#include <sstream>
#include <stdexcept>
#include <string>

namespace haze {

/// A broken precondition of a haze function: a bug of the caller. The text has file, line, values.
struct CheckError : std::logic_error {
  using std::logic_error::logic_error;
};
/// What the user gave is wrong (file, flag, configuration): one clear line, exit code 2.
struct InputError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// Failed while running (NaN loss, full disk): one clear line, exit code 1.
struct RunError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// The asked device is absent or too old: exit code 3.
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// "a", 3, "b" -> "a3b": builds the text of an error from its values.
template <class... Parts>
std::string cat(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

template <class... Parts>
[[noreturn]] void check_failed(const char* what, const std::source_location& at,
                               const Parts&... parts) {
  throw CheckError(cat(at.file_name(), ':', at.line(), ": check failed: ", what, " — ", parts...));
}

}  // namespace haze

/// HAZE_CHECK(cond, "what was expected, got ", value, ...): precondition of a public function.
#define HAZE_CHECK(cond, ...)                                                                  \
  do {                                                                                         \
    if (!(cond)) [[unlikely]]                                                                  \
      ::haze::check_failed(#cond, std::source_location::current() __VA_OPT__(, ) __VA_ARGS__); \
  } while (0)
