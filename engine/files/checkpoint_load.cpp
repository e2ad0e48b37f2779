// SPDX-License-Identifier: MIT
// checkpoint_load.cpp — believes nothing that a hash does not cover.
#include <algorithm>
#include <exception>

#include "engine/files/checkpoint_format.h"
#include "engine/files/xxh3.h"
#include "kernels/base/text.h"

namespace haze::engine {
namespace {

const std::string& required(const SafetensorsReader& file, const char* key) {
  const auto at = file.metadata().find(key);
  if (at == file.metadata().end())
    throw InputError(
        cat(file.path(), ": no ", key, " in its metadata; it is not a haze checkpoint"));
  return at->second;
}

std::uint64_t number(const SafetensorsReader& file, const char* key) {
  const std::string& text = required(file, key);
  const auto value = parse_number<std::uint64_t>(text);
  if (!value || std::to_string(*value) != text)  // as it is written: without leading zeros
    throw InputError(cat(file.path(), ": its ", key, " is not a decimal number"));
  return *value;
}

void check_header_hash(const SafetensorsReader& file) {
  std::string json = file.header_json();
  const auto at = header_hash_at(json);
  if (at == json.npos) throw InputError(cat(file.path(), ": no header_hash where haze writes it"));
  const std::string stated = json.substr(at, kHashDigits);
  json.replace(at, kHashDigits, kHashDigits, '0');
  if (xxh3_128(json.data(), json.size()) != stated)
    throw InputError(cat(file.path(), ": damaged: the header's hash differs"));
}

CheckpointHeader read_header(const SafetensorsReader& file) {
  if (required(file, "format") != kCheckpointFormat)
    throw InputError(cat(file.path(),
                         ": not a checkpoint of this version of haze; its format must be ",
                         kCheckpointFormat));
  check_header_hash(file);
  CheckpointHeader header{file.path(), {}, file.tensors(), required(file, "header_hash")};
  header.meta.step = number(file, "step");
  header.meta.seed = number(file, "seed");
  header.meta.version = required(file, "version");
  header.meta.config = required(file, "config");
  header.meta.dataset = required(file, "dataset");
  if (const auto at = file.metadata().find("classes"); at != file.metadata().end())
    header.meta.classes = at->second;
  if (file.metadata().contains("threads")) {
    const std::uint64_t threads = number(file, "threads");
    if (threads > 1u << 20) throw InputError(cat(file.path(), ": its threads are ", threads));
    header.meta.threads = int(threads);
  }
  if (xxh3_128(header.meta.config.data(), header.meta.config.size()) !=
      required(file, "config_hash"))
    throw InputError(cat(file.path(), ": damaged: the configuration's hash differs"));
  for (const auto& t : header.tensors) {
    required(file, ("hash." + t.name).c_str());
    if (t.dtype != "F32")
      throw InputError(cat(file.path(), ": tensor '", t.name, "' is ", t.dtype, "; F32 is needed"));
  }
  return header;
}

Checkpoint load(const SafetensorsReader& file, const std::string& prefix,
                const AcceptCheckpoint& accept) {
  const CheckpointHeader header = read_header(file);
  if (accept) accept(header);
  Checkpoint checkpoint{header.path, header.meta, {}, {}, header.hash};
  for (const auto& entry : header.tensors) {
    if (!entry.name.starts_with(prefix)) continue;
    LoadedTensor t{entry.name, entry.shape, file.read_f32(entry, true)};
    const std::span<const float> values = t.values;
    if (xxh3_128(values.data(), values.size_bytes()) != required(file, ("hash." + t.name).c_str()))
      throw InputError(cat(file.path(), ": damaged: the hash of tensor '", t.name, "' differs"));
    if (const auto at = first_nonfinite(values); at < values.size())
      throw InputError(cat(file.path(), ": tensor '", t.name, "': element ", at, " is ", values[at],
                           "; finite numbers are needed"));
    checkpoint.tensors.push_back(std::move(t));
  }
  std::sort(checkpoint.tensors.begin(), checkpoint.tensors.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return checkpoint;
}

}  // namespace

CheckpointHeader read_checkpoint_header(FileSystem& fs, const std::string& path) {
  return read_header(SafetensorsReader(fs, path));
}

std::optional<CheckpointHeader> newest_checkpoint_header(FileSystem& fs, const std::string& run) {
  const auto steps = list_checkpoints(fs, run);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) try {
      return read_header(SafetensorsReader(fs, checkpoint_path(run, *step), false));
    } catch (const InputError&) {
      continue;  // loading says what is wrong with it
    }
  return std::nullopt;
}

Checkpoint load_checkpoint(FileSystem& fs, const std::string& path, const std::string& prefix,
                           const AcceptCheckpoint& accept) {
  return load(SafetensorsReader(fs, path), prefix, accept);
}

std::optional<Checkpoint> load_newest_checkpoint(FileSystem& fs, const std::string& run,
                                                 const std::string& prefix,
                                                 const AcceptCheckpoint& accept) {
  const auto steps = list_checkpoints(fs, run);
  if (steps.empty()) return std::nullopt;
  std::vector<std::string> messages;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    bool refused = false;  // by accept: no older checkpoint would mend that
    try {
      const SafetensorsReader file(fs, checkpoint_path(run, *step), false);
      Checkpoint checkpoint = load(file, prefix, [&](const CheckpointHeader& header) {
        if (header.meta.step != *step)
          throw InputError(cat(header.path, ": it is of step ", header.meta.step));
        refused = true;
        if (accept) accept(header);
        refused = false;
      });
      checkpoint.messages = std::move(messages);
      return checkpoint;
    } catch (const InputError& e) {
      if (refused) throw;
      messages.push_back(e.what());
    }
  }
  std::string all;
  for (const auto& message : messages) all += "; " + message;
  throw InputError(
      cat("run folder ", run, ": none of its ", steps.size(), " checkpoints is whole", all));
}

}  // namespace haze::engine
