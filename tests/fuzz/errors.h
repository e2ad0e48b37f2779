// SPDX-License-Identifier: MIT
// errors.h — what a refusal must look like: an InputError of one short line that is fit for a
// terminal. Everything else that is thrown is a fault and passes through.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "tests/fuzz/target.h"

namespace haze::fuzz {

/// Valid UTF-8 (RFC 3629, decoded code point by code point) without control characters: C0, DEL, C1.
bool fit_for_terminal(std::string_view text);

/// raw: the text of the error itself is fit for a terminal. said: it may quote its input, and is fit
/// as Console and main say it, by way of printable().
enum class Message : std::uint8_t { raw, said };
void check_message(std::string_view text, Message as);

/// What read() returns, or nothing if it refused as it should.
template <class F>
auto accepted(F read, Message as = Message::raw) {
  using Result = std::invoke_result_t<F>;
  if constexpr (std::is_void_v<Result>) {
    try {
      read();
      return true;
    } catch (const InputError& e) {
      check_message(e.what(), as);
      return false;
    }
  } else {
    try {
      return std::optional<Result>(read());
    } catch (const InputError& e) {
      check_message(e.what(), as);
      return std::optional<Result>();
    }
  }
}

}  // namespace haze::fuzz
