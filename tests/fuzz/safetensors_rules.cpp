// SPDX-License-Identifier: MIT
#include "tests/fuzz/safetensors_rules.h"

#include <map>
#include <nlohmann/json.hpp>

#include "tests/fuzz/target.h"

namespace haze::fuzz {
namespace {

__extension__ using Wide = unsigned __int128;

// Of huggingface.co/docs/safetensors and its library's list of types.
const std::map<std::string, unsigned, std::less<>> kBits = {
    {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},
    {"I8", 8},      {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E5M2FNUZ", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E8M0", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},        {"BF16", 16},
    {"I32", 32},    {"U32", 32},    {"F32", 32},    {"C64", 64},        {"F64", 64},
    {"I64", 64},    {"U64", 64}};

/// Bits of a tensor; an axis of 0 makes it empty, however long the others are.
Wide bits_of(const nlohmann::json& entry) {
  const auto type = kBits.find(entry.at("dtype").get<std::string>());
  promise(type != kBits.end(), "a type that the format has not: ", entry.dump());
  Wide bits = type->second;
  bool empty = false;
  for (const auto& axis : entry.at("shape")) empty |= axis == 0;
  promise(entry.at("shape").size() <= 8, "a rank above 8");
  for (const auto& axis : entry.at("shape")) {
    const auto extent = axis.get<std::uint64_t>();
    promise(extent < (std::uint64_t{1} << 40), "an extent of ", extent);
    bits = empty ? 0 : bits * extent;
    promise(bits < (Wide{1} << 80), "more elements than any file holds: ", entry.dump());
  }
  return bits;
}

}  // namespace

void hold_to_format(const engine::SafetensorsHeader& header, std::string_view text,
                    std::uint64_t data_bytes) {
  const auto json = nlohmann::json::parse(text);
  promise(text.starts_with('{') && text.find_last_not_of(' ') == text.rfind('}'),
          "something around the object");
  std::size_t tensors = 0;
  for (const auto& [name, entry] : json.items()) {
    if (name == "__metadata__") {
      promise(entry.get<std::map<std::string, std::string>>() == header.metadata,
              "metadata differ");
      continue;
    }
    ++tensors;
    const auto* read = header.find(name);
    promise(read, "a tensor got lost");
    promise(entry.size() == 3 && read->dtype == entry.at("dtype") &&
                read->shape == entry.at("shape").get<std::vector<std::int64_t>>(),
            "read otherwise than it is written: ", entry.dump());
    const auto& at = entry.at("data_offsets");
    promise(at.size() == 2 && at[0] == read->begin && at[1] == read->end, "offsets differ");
    promise(bits_of(entry) == Wide{read->end - read->begin} * 8 && read->end >= read->begin,
            "shape and offsets disagree: ", entry.dump());
    promise(read->elements() * Wide{kBits.at(std::string(read->dtype))} == bits_of(entry),
            "elements() is ", read->elements());
    promise(!name.empty() && name.size() <= 256 &&
                name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789_.-") == name.npos,
            "a name of other letters");
  }
  promise(tensors == header.tensors.size(), tensors, " names, ", header.tensors.size(), " tensors");
  std::uint64_t next = 0;
  for (const auto& e : header.tensors) {
    promise(e.begin == next, "data at ", e.begin, " after what ends at ", next);
    next = e.end;
  }
  promise(next == data_bytes, "tensors end at ", next, " of ", data_bytes);
}

}  // namespace haze::fuzz
