// SPDX-License-Identifier: MIT
// safetensors_header.cpp — the rules of the format, and the writer's side of them.
#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/files/safetensors.h"
#include "kernels/base/text.h"

namespace haze::engine {
namespace {

using Limits = SafetensorsLimits;

struct NamedBits {
  std::string_view name;
  int bits;
};
constexpr NamedBits kTypes[] = {
    {"F32", 32},    {"F16", 16},        {"BF16", 16},       {"F64", 64},    {"I64", 64},
    {"I32", 32},    {"I16", 16},        {"I8", 8},          {"U64", 64},    {"U32", 32},
    {"U16", 16},    {"U8", 8},          {"BOOL", 8},        {"C64", 64},    {"F8_E5M2", 8},
    {"F8_E4M3", 8}, {"F8_E5M2FNUZ", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E8M0", 8}, {"F6_E2M3", 6},
    {"F6_E3M2", 6}, {"F4", 4},
};

const NamedBits* find_type(std::string_view name) {
  const auto at = std::find_if(std::begin(kTypes), std::end(kTypes),
                               [&](const NamedBits& t) { return t.name == name; });
  return at == std::end(kTypes) ? nullptr : at;
}

bool name_allowed(std::string_view name) {
  return !name.empty() && name.size() <= Limits::name_bytes &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '.' || c == '-';
         });
}

/// Text from a foreign file, fit for a terminal: quoted, escaped, cut.
std::string shown(std::string_view text) {
  std::string safe = "'";
  for (const unsigned char c : text.substr(0, 64)) {
    constexpr char hex[] = "0123456789abcdef";
    if (c >= 0x20 && c < 0x7f)
      safe += char(c);
    else
      (safe += "\\x") += {hex[c >> 4], hex[c & 15]};
  }
  return safe + (text.size() > 64 ? "...'" : "'");
}

/// a*b and a+b of numbers from a file; false if they do not fit.
bool multiply(std::uint64_t a, std::uint64_t b, std::uint64_t& to) {
  return !__builtin_mul_overflow(a, b, &to);
}

/// An input iterator that leaves a trace of how far the parser has read.
struct Cursor {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;
  const char* p;
  const char** seen;
  reference operator*() const { return *(*seen = p); }
  Cursor& operator++() { return ++p, *this; }
  Cursor operator++(int) { return {p++, seen}; }
  bool operator==(const Cursor& o) const { return p == o.p; }
  bool operator!=(const Cursor& o) const { return p != o.p; }
};

/// Events of the JSON parser -> SafetensorsHeader. Throws InputError at the first wrong one. The
/// parser does not recurse and an object or array is only entered where the format has one, so
/// depth is bounded by the format.
class HeaderEvents final : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderEvents(std::string_view json, const std::string& file)
      : file_(file), start_(json.data()), seen_(json.data()) {}
  Cursor cursor(const char* p) { return {p, &seen_}; }
  SafetensorsHeader take() { return std::move(header_); }

  bool key(string_t& key) override {
    if (where_ == Where::top) return top_key(key);
    if (where_ == Where::metadata) {
      if (header_.metadata.count(key)) fail(cat("duplicate key ", shown(key)));
      count_metadata(key.size());
      metadata_key_ = key;
      return true;
    }
    if (key != "dtype" && key != "shape" && key != "data_offsets")
      fail(cat("unknown key ", shown(key), "; an entry has dtype, shape and data_offsets"));
    if (!entry_keys_.insert(key).second) fail(cat("duplicate key ", shown(key)));
    entry_key_ = key;
    return true;
  }
  bool start_object(std::size_t) override {
    if (where_ == Where::before) {
      where_ = Where::top;
    } else if (where_ == Where::top) {
      where_ = subject_ == "__metadata__" ? Where::metadata : Where::entry;
    } else {
      unexpected("an object");
    }
    return true;
  }
  bool end_object() override {
    if (where_ == Where::entry) {
      for (const char* key : {"dtype", "shape", "data_offsets"})
        if (!entry_keys_.count(key)) fail(cat("no ", key));
      if (offsets_ != 2) fail(cat("data_offsets has ", offsets_, " numbers; it must have 2"));
      header_.tensors.push_back(std::move(entry_));
    }
    where_ = where_ == Where::top ? Where::after : Where::top;
    subject_.clear();
    return true;
  }
  bool start_array(std::size_t) override {
    if (where_ != Where::entry || in_array_ || entry_key_ == "dtype") unexpected("an array");
    return in_array_ = true;
  }
  bool end_array() override { return in_array_ = false, true; }
  bool string(string_t& text) override {
    if (where_ == Where::metadata) {
      count_metadata(text.size());
      header_.metadata.emplace(metadata_key_, text);
      return true;
    }
    if (where_ != Where::entry || entry_key_ != "dtype") unexpected("a string");
    const NamedBits* type = find_type(text);
    if (!type) fail(cat("unknown dtype ", shown(text)));
    entry_.dtype = type->name;
    return true;
  }
  bool number_unsigned(number_unsigned_t n) override {
    if (where_ != Where::entry || !in_array_) unexpected("a number");
    if (entry_key_ == "shape") {
      if (entry_.shape.size() == Limits::rank)
        fail(cat("shape has more than ", Limits::rank, " axes"));
      if (n > Limits::extent) fail(cat("an extent is ", n, "; at most ", Limits::extent));
      entry_.shape.push_back(std::int64_t(n));
    } else {
      if (offsets_ == 2) fail("data_offsets has more than 2 numbers");
      (offsets_++ == 0 ? entry_.begin : entry_.end) = n;
    }
    return true;
  }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t& text) override {
    return unexpected(cat("the number ", shown(text)));
  }
  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool binary(binary_t&) override { return unexpected("binary"); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& e) override {
    const std::string text =
        e.what();  // "[json.exception.parse_error.101] parse error at ...: why"
    const auto colon = text.find(": ");
    fail(cat("not JSON: ", shown(colon == std::string::npos ? text : text.substr(colon + 2))));
  }

  [[noreturn]] void fail(const std::string& reason) const {
    std::string subject;
    if (subject_ == "__metadata__") subject = "__metadata__: ";
    if (!subject_.empty() && subject.empty()) subject = cat("tensor ", shown(subject_), ": ");
    throw InputError(
        cat(file_, ": ", subject, reason, " (near byte ", seen_ - start_, " of the header)"));
  }

 private:
  enum class Where : std::uint8_t { before, top, entry, metadata, after };

  bool top_key(const std::string& key) {
    if (!names_.insert(key).second) fail(cat("duplicate key ", shown(key)));
    if (key != "__metadata__") {
      if (!name_allowed(key))
        fail(cat("tensor name ", shown(key), " has ", key.size(), " bytes; allowed are 1 to ",
                 Limits::name_bytes, " of [A-Za-z0-9_.-]"));
      if (header_.tensors.size() == Limits::tensors)
        fail(cat("more than ", Limits::tensors, " tensors"));
    }
    subject_ = key;
    entry_ = {};
    entry_.name = key;
    entry_keys_.clear();
    entry_key_.clear();
    offsets_ = 0;
    return true;
  }
  void count_metadata(std::size_t bytes) {
    metadata_bytes_ += bytes;
    if (metadata_bytes_ > Limits::metadata_bytes)
      fail(cat("more than ", Limits::metadata_bytes, " bytes of keys and values"));
  }
  bool unexpected(const std::string& what) const {
    if (where_ == Where::metadata) fail(cat(what, "; metadata must be strings"));
    if (where_ == Where::entry) fail(cat("unexpected ", what, " in ", entry_key_));
    fail(cat("unexpected ", what, "; each name must have an object"));
  }

  const std::string& file_;
  const char *start_, *seen_;
  SafetensorsHeader header_;
  Where where_ = Where::before;
  std::string subject_, metadata_key_, entry_key_;
  SafetensorsEntry entry_;
  std::set<std::string> names_, entry_keys_;
  int offsets_ = 0;
  bool in_array_ = false;
  std::size_t metadata_bytes_ = 0;
};

/// Size of an entry against its dtype, shape and offsets. Empty if right.
std::string size_fault(const SafetensorsEntry& e) {
  if (e.end < e.begin) return cat("data_offsets [", e.begin, ",", e.end, "] run backwards");
  std::uint64_t bits = std::uint64_t(safetensors_bits(e.dtype));
  std::uint64_t elements = 1;
  for (const std::int64_t extent : e.shape)
    if (!multiply(elements, std::uint64_t(extent), elements))
      return cat("shape ", e.shape_text(), " has more than 2^64 elements");
  if (!multiply(bits, elements, bits))
    return cat("shape ", e.shape_text(), " has more than 2^64 bits");
  if (bits % 8 != 0)
    return cat("shape ", e.shape_text(), " of ", e.dtype, " is not a whole number of bytes");
  if (bits / 8 != e.end - e.begin)
    return cat("shape ", e.shape_text(), " of ", e.dtype, " needs ", bits / 8,
               " bytes, data_offsets [", e.begin, ",", e.end, "] hold ", e.end - e.begin);
  return "";
}

}  // namespace

int safetensors_bits(std::string_view dtype) {
  const NamedBits* type = find_type(dtype);
  return type ? type->bits : 0;
}

std::size_t SafetensorsEntry::elements() const {
  return std::size_t(bytes() * 8 / std::uint64_t(safetensors_bits(dtype)));
}

std::string SafetensorsEntry::shape_text() const { return haze::shape_text(shape); }

const SafetensorsEntry* SafetensorsHeader::find(std::string_view name) const {
  const auto at = std::find_if(tensors.begin(), tensors.end(),
                               [&](const SafetensorsEntry& e) { return e.name == name; });
  return at == tensors.end() ? nullptr : &*at;
}

SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes,
                                           const std::string& file) {
  while (!json.empty() && json.back() == ' ') json.remove_suffix(1);
  if (json.empty() || json.front() != '{' || json.back() != '}')
    throw InputError(
        cat(file, ": not a safetensors file: the header is not a JSON object in braces"));
  HeaderEvents events(json, file);
  nlohmann::json::sax_parse(events.cursor(json.data()), events.cursor(json.data() + json.size()),
                            &events);
  SafetensorsHeader header = events.take();
  auto& tensors = header.tensors;
  std::stable_sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t next = 0;
  for (const auto& e : tensors) {
    const auto fail = [&](const std::string& why) {
      throw InputError(cat(file, ": tensor '", e.name, "': ", why));
    };
    if (const auto fault = size_fault(e); !fault.empty()) fail(fault);
    if (e.begin > next)
      fail(cat("a hole of ", e.begin - next, " bytes lies before its data at ", e.begin));
    if (e.begin < next) fail(cat("its data at ", e.begin, " overlaps what ends at ", next));
    if (e.end > data_bytes)
      fail(cat("its data ends at ", e.end, ", the file has ", data_bytes, " bytes of data"));
    next = e.end;
  }
  if (next != data_bytes)
    throw InputError(cat(file, ": ", data_bytes - next,
                         " bytes after the last tensor's data, which ends at ", next));
  return header;
}

std::string make_safetensors_header(std::span<const SafetensorsTensor> tensors,
                                    const SafetensorsMetadata& metadata) {
  std::string json = "{";
  std::size_t metadata_bytes = 0;
  if (!metadata.empty()) {
    const auto quote = [&](const std::string& text) {
      metadata_bytes += text.size();
      return nlohmann::json(text).dump();
    };
    json += "\"__metadata__\":";
    char separator = '{';
    for (const auto& [key, value] : metadata) {
      try {
        json += separator + quote(key) + ":" + quote(value);
      } catch (const nlohmann::json::type_error&) {
        throw InputError(cat("metadata ", shown(key), ": ", shown(value), "; it must be UTF-8"));
      }
      separator = ',';
    }
    json += '}';
  }
  HAZE_CHECK(metadata_bytes <= Limits::metadata_bytes, metadata_bytes, " bytes of metadata");
  HAZE_CHECK(tensors.size() <= Limits::tensors, tensors.size(), " tensors");
  std::set<std::string_view> names;
  std::uint64_t begin = 0;
  for (const auto& t : tensors) {
    HAZE_CHECK(name_allowed(t.name) && names.insert(t.name).second, "tensor name ", shown(t.name));
    HAZE_CHECK(t.shape.size() <= Limits::rank, t.name, " has ", t.shape.size(), " axes");
    SafetensorsEntry e{t.name, t.dtype, t.shape, begin, begin};
    std::uint64_t bits = std::uint64_t(safetensors_bits(t.dtype));
    HAZE_CHECK(bits > 0, t.name, ": unknown dtype ", std::string(t.dtype));
    for (const auto extent : t.shape)
      HAZE_CHECK(extent >= 0 && std::uint64_t(extent) <= Limits::extent &&
                     multiply(bits, std::uint64_t(extent), bits),
                 t.name, ": shape ", e.shape_text());
    e.end = begin + bits / 8;
    HAZE_CHECK(size_fault(e).empty(), t.name, ": ", size_fault(e));
    json += (json.size() > 1 ? ",\"" : "\"") + t.name + "\":{\"dtype\":\"" + std::string(t.dtype) +
            "\",\"shape\":" + e.shape_text() + ",\"data_offsets\":[" + std::to_string(e.begin) +
            "," + std::to_string(e.end) + "]}";
    begin = e.end;
  }
  json += '}';
  json.append((8 - json.size() % 8) % 8, ' ');
  HAZE_CHECK(json.size() <= Limits::header_bytes, "a header of ", json.size(), " bytes");
  std::string length(8, '\0');
  for (int i = 0; i < 8; ++i) length[std::size_t(i)] = char(json.size() >> (8 * i));
  return length + json;
}

}  // namespace haze::engine
