// bench_explain.cpp — `haze bench kernels --explain`, and which kernels and shapes the user means.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <unistd.h>

#include "apps/commands/bench.h"
#include "apps/config/find.h"
#include "apps/device.h"
#include "engine/device.h"
#include "kernels/base/explain.h"

namespace haze::apps {
namespace {

engine::KernelShape parse_kernel_shape(const std::string& text) {
  engine::KernelShape shape;
  bool co = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string part = text.substr(at, end - at);
    const std::size_t equals = part.find('=');
    const std::string key = part.substr(0, equals);
    int value = 0;
    const char* last = part.data() + part.size();
    const char* first = equals == part.npos ? last : part.data() + equals + 1;
    const auto [stop, error] = std::from_chars(first, last, value);
    int* to = key == "n"    ? &shape.n
              : key == "h"  ? &shape.h
              : key == "c"  ? &shape.c
              : key == "co" ? &shape.co
                            : nullptr;
    if (!to || error != std::errc() || stop != last || value < 1)
      throw InputError(cat("--shape: ", part, "; n=, h=, c= or co= and a whole number from 1"));
    *to = value;
    co |= key == "co";
    at = end + 1;
  }
  if (!co) shape.co = shape.c;
  return shape;
}

}  // namespace

std::vector<engine::KernelShape> kernel_shapes(const std::vector<std::string>& wanted,
                                               const engine::KernelShape& usual) {
  std::vector<engine::KernelShape> shapes;
  for (const std::string& text : wanted) {
    const engine::KernelShape shape = parse_kernel_shape(text);
    if (std::ranges::find(shapes, shape) == shapes.end()) shapes.push_back(shape);
  }
  if (shapes.empty()) shapes.push_back(usual);
  return shapes;
}

std::vector<ChosenKernel> choose_kernels(const char* flag, const std::vector<std::string>& wanted) {
  const auto all = engine::kernel_case_names();
  std::vector<ChosenKernel> chosen;
  const auto add = [&](const std::string& kernel, const std::string& version) {
    auto at = std::ranges::find(chosen, kernel, &ChosenKernel::kernel);
    if (at == chosen.end()) at = chosen.insert(at, {kernel, {}});
    if (version.empty())
      at->all = true;
    else if (std::ranges::find(at->versions, version) == at->versions.end())
      at->versions.push_back(version);
  };
  const auto take = [&](auto fits) {
    bool found = false;
    for (const std::string& name : all) {
      const std::size_t slash = name.find('/');
      if (!fits(name, slash != name.npos)) continue;
      add(name.substr(0, slash), slash == name.npos ? "" : name.substr(slash + 1));
      found = true;
    }
    return found;
  };
  if (wanted.empty()) take([](const std::string&, bool version) { return !version; });
  for (const std::string& name : wanted)
    if (!take([&](const std::string& known, bool version) {
          return known == name || (!version && known.starts_with(name + "."));
        }) &&
        !take([&](const std::string& known, bool version) {
          return !version && known.starts_with(name);
        }))
      throw InputError(cat(flag, ": ", name, "; haze bench kernels --list names them"));
  return chosen;
}

std::vector<engine::Peer> chosen_peers(const ChosenKernel& chosen, const engine::KernelCase& at) {
  std::vector<engine::Peer> peers;
  for (const std::string& version : chosen.versions) {
    const auto peer = std::ranges::find(at.peers, version, &engine::Peer::impl);
    if (peer == at.peers.end())
      throw InputError(
          cat(chosen.kernel, '/', version,
              "; a version for --device cuda that this device, precision or shape does not have"));
    peers.push_back(*peer);
  }
  return chosen.all ? at.peers : peers;
}

int explain_kernel(const BenchOptions& options, const Program& program) {
  const std::vector<ChosenKernel> all = choose_kernels("--explain", {options.explain});
  const auto shapes = kernel_shapes(options.shapes, {2, 8, 32, 32});
  const auto explainer = kernels::explainer();
  if (!explainer) {
    const auto self = std::filesystem::read_symlink("/proc/self/exe");
    const std::string traced = (self.parent_path() / "haze-traced").string();
    std::vector<std::string> arguments = program.arguments;
    arguments[0] = traced;
    std::vector<char*> words;
    for (std::string& argument : arguments) words.push_back(argument.data());
    words.push_back(nullptr);
    ::execv(traced.c_str(), words.data());
    throw InputError(
        "--explain: this build has no traced kernels; build the preset simt, there is "
        "haze-traced beside haze");
  }
  const RunConfig config = resolve(options.settings);
  engine::Context context(in_precision(engine::open_cuda(0), config.precision, "train.precision"),
                          config.activations());
  for (const engine::KernelShape& shape : shapes)
    for (const ChosenKernel& chosen : all) {
      const engine::KernelCase at = engine::kernel_case(context, chosen.kernel, shape);
      const auto run = chosen.all ? at.run : chosen_peers(chosen, at).front().run;
      engine::synchronise(context);
      std::printf("%s%s, %s, %s\n\n", chosen.kernel.c_str(),
                  chosen.all ? "" : ("/" + chosen.versions.front()).c_str(), shape.str().c_str(),
                  name_of(config.precision));
      std::printf("%s\n", explainer([&] {
                            run();
                            engine::synchronise(context);
                          }).c_str());
    }
  return 0;
}

}  // namespace haze::apps
