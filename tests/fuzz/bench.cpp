// SPDX-License-Identifier: MIT
// Target: `haze bench compare` of a file of measurements with itself.
#include "apps/commands/bench.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/base/text.h"
#include "tests/fuzz/capture.h"
#include "tests/fuzz/errors.h"
#include "tests/fuzz/files.h"

namespace haze::fuzz {
namespace {

using Json = nlohmann::json;

/// Medians and names of the results, as the file has them.
std::vector<std::pair<std::string, double>> results_of(const Json& file) {
  std::vector<std::pair<std::string, double>> results;
  const auto median = [](std::vector<double> v, double scale) {
    std::ranges::sort(v);
    return v[v.size() / 2] * scale;
  };
  if (file["what"] != "kernels") return {{"", median(file["milliseconds"], 1e6)}};
  for (const Json& row : file["results"])
    results.emplace_back(row["kernel"], median(row["cold"]["samples_ns"], 1));
  return results;
}

void check_json(const std::string& output, const Json& file) {
  const Json json = Json::parse(output);
  promise(json["schema"] == "haze-bench-compare/1", "another schema: ", output);
  const auto want = results_of(file);
  promise(json["results"].size() == want.size(), json["results"].size(), " results, want ",
          want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    const Json& row = json["results"][i];
    promise(row["what"].get<std::string>().starts_with(want[i].first),
            "another name: ", row.dump());
    const double before = row["before_ns"], after = row["after_ns"];
    promise(before == after && row["verdict"] == "same", "not the same as itself: ", row.dump());
    promise(row["ratio"] == 1, "a ratio of ", row["ratio"].dump());
    promise(std::abs(before / want[i].second - 1) < 1e-9, "median ", before, ", want ",
            want[i].second);
  }
}

int compare(const std::string& path, bool as_json, std::string& output) {
  apps::BenchOptions options;
  options.before = options.after = path;
  options.json = as_json;
  options.fail_on = 0;
  apps::CommonOptions common;
  common.quiet = true;
  apps::Console console;
  console.configure(common);
  const std::vector<std::string> arguments;
  const Capture capture;
  const int code = apps::bench_compare(options, apps::Program{common, console, arguments});
  output = capture.text();
  return code;
}

void one_input(Input input) {
  const Folder folder;
  const std::string path = folder.write("bench.json", input);
  std::string output;
  const auto code = accepted([&] { return compare(path, true, output); });
  if (!code) {
    promise(output.empty(), "refused, and written all the same: ", output);
    return;
  }
  promise(*code == 0, "slower than itself");
  const Json file = Json::parse(input.begin(), input.end());
  check_json(output, file);
  if (file["what"] != "kernels")
    for (const char* key : {"batch", "threads"})
      promise(Json::parse(output)["results"][0]["what"].get<std::string>().find(
                  cat(" ", key, "=", file[key].dump(), " ")) != std::string::npos,
              "another ", key, " than ", file[key].dump());
  promise(compare(path, false, output) == 0, "a table is refused where JSON is not");
  for (const auto line : split(output, '\n'))
    promise(fit_for_terminal(line), "a line that is not fit for a terminal");
}

const Target kTarget("bench", one_input);

}  // namespace
}  // namespace haze::fuzz
