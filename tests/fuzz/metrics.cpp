// SPDX-License-Identifier: MIT
// Target: metrics.jsonl, cut to a checkpoint. Input: two bytes with the step, then the file.
#include <nlohmann/json.hpp>

#include "engine/files/new_file.h"
#include "kernels/base/text.h"
#include "tests/fuzz/errors.h"
#include "tests/fuzz/files.h"
#include "tests/support/memory_file_system.h"

namespace haze::fuzz {
namespace {

bool belongs(std::string_view line, std::uint64_t step) {
  if (line.size() > 1 << 16) return false;
  const auto row = nlohmann::json::parse(line, nullptr, false);
  return row.is_object() && row.contains("step") && row["step"].is_number_unsigned() &&
         row["step"].get<std::uint64_t>() <= step;
}

void one_input(Input input) {
  if (input.size() < 2) return;
  const std::uint64_t step = input[0] | input[1] << 8;
  const std::string file = text_of(input.subspan(2));
  std::string want;
  std::size_t lines = 0, kept = 0;
  auto rows = split(file, '\n');
  const std::string_view torn = rows.back();  // empty where the file ends in a line break
  rows.pop_back();
  for (const auto row : rows) {
    ++lines;
    if (!belongs(row, step)) continue;
    ++kept;
    want.append(row) += '\n';
  }
  test::MemoryFileSystem fs;
  fs.add("/metrics.jsonl", file);
  const std::size_t dropped = engine::drop_metrics_after(fs, "/metrics.jsonl", step);
  promise(fs.bytes("/metrics.jsonl") == want, "other rows are left than those up to step ", step);
  promise(dropped == lines - kept + !torn.empty(), dropped, " rows dropped");
  promise(engine::drop_metrics_after(fs, "/metrics.jsonl", step) == 0, "rows dropped again");
  promise(fs.open_files() == 0 && fs.names.size() == 1, "a file is left");
}

const Target kTarget("metrics", one_input);

}  // namespace
}  // namespace haze::fuzz
