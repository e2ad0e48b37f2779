// SPDX-License-Identifier: MIT
#include "model/mismatches.h"

#include <algorithm>

#include "kernels/base/text.h"

namespace haze::model {

using engine::Parameter;
using engine::Parameters;

namespace {

using Given = std::map<std::string, const HostTensor*>;

/// Counts what it is told and keeps the first eight.
class Some {
 public:
  void add(const std::string& one) {
    constexpr int kShown = 8;
    if (count_++ < kShown)
      text_ += (text_.empty() ? "" : ", ") + one;
    else if (count_ == kShown + 1)
      text_ += ", ...";
  }
  /// " 9 missing: a, b, ...;", or nothing.
  std::string said(const char* what) const {
    return count_ == 0 ? "" : cat(" ", count_, " ", what, ": ", text_, ";");
  }

 private:
  int count_ = 0;
  std::string text_;
};

/// A prefix of the given names under which most of the network's are found, and how many; "" if
/// there is none. What stands before the first and the last name of the network is tried.
std::pair<std::string, int> prefix_of(const Parameters& parameters, const Given& given) {
  std::pair<std::string, int> best;
  for (const std::uint32_t at : {0u, std::uint32_t(parameters.count() - 1)}) {
    const std::string& name = parameters[engine::ParamId{at}].name;
    for (const auto& [longer, tensor] : given) {
      if (longer.size() <= name.size() || !longer.ends_with("." + name)) continue;
      const std::string prefix = longer.substr(0, longer.size() - name.size());
      int found = 0;
      for (const Parameter& p : parameters.all()) found += given.contains(prefix + p.name);
      if (found > best.second) best = {prefix, found};
    }
  }
  return 2 * best.second > int(parameters.count()) ? best : std::pair<std::string, int>();
}

/// "module." where every name starts so: the parts, up to a dot, that all names share.
std::string shared_prefix(const Given& given) {
  if (given.size() < 2) return "";
  const std::string &a = given.begin()->first, &b = given.rbegin()->first;  // ordered: these decide
  const auto end = std::ranges::mismatch(a, b).in1;
  const std::string same(a.begin(), end);
  const auto dot = same.rfind('.');
  return dot == same.npos ? "" : same.substr(0, dot + 1);
}

}  // namespace

std::string system_of(const std::vector<std::string>& names) {
  // Names that a system's networks have whatever their size, and no other's.
  struct Sign {
    const char *name, *system;
  };
  static constexpr Sign kSigns[] = {
      {"adam_m.", "a checkpoint of haze, whose weights haze export writes"},
      {"image_proj.weight", "labml"},
      {"time_embedding.linear_1.weight", "diffusers"},
      {"input_blocks.0.0.weight", "OpenAI (improved-diffusion, guided-diffusion)"},
      {"temb.dense.0.weight", "the DDPM of pesser and ermongroup (ddim)"},
      {"downs.0.0.block1.proj.weight", "lucidrains (denoising-diffusion-pytorch)"},
      {"map_layer0.weight", "EDM"},
  };
  for (const Sign& sign : kSigns)
    for (const std::string& name : names)
      if (const auto at = name.find(sign.name);
          at != name.npos && (at == 0 || name[at - 1] == '.' || name[at - 1] == '_'))
        return sign.system;
  return "";
}

std::string mismatches(const Parameters& parameters, const Given& given) {
  Some missing, extra, misshapen;
  Given left = given;
  for (const Parameter& p : parameters.all()) {
    const auto want = pytorch_shape(p);
    const auto found = given.find(p.name);
    left.erase(p.name);
    if (found == given.end())
      missing.add(cat(p.name, ' ', shape_text(want)));
    else if (const HostTensor& t = *found->second; t.shape != want)
      misshapen.add(
          cat(p.name, ' ', shape_text(t.shape), " where the network has ", shape_text(want)));
    else if (t.values.size() != p.size())
      misshapen.add(cat(p.name, " with ", t.values.size(), " values for ", shape_text(want)));
  }
  for (const auto& [name, tensor] : left) extra.add(cat(name, ' ', shape_text(tensor->shape)));
  std::string text = missing.said("missing") + extra.said("extra") + misshapen.said("misshapen");
  if (text.empty()) return text;

  const auto [prefix, fitting] = prefix_of(parameters, given);
  if (!prefix.empty())
    text += cat(
        shared_prefix(given).starts_with(prefix) ? " all names start with " : " names start with ",
        prefix, " and without it ", fitting, " of the network's ", parameters.count(),
        " are there;");
  else if (const std::string shared = shared_prefix(given); !shared.empty())
    text += cat(" all names start with ", shared, ";");
  std::vector<std::string> theirs, ours;
  for (const auto& [name, tensor] : given) theirs.push_back(name);
  for (const Parameter& p : parameters.all()) ours.push_back(p.name);
  const std::string system = system_of(theirs), own = system_of(ours);
  if (!system.empty())
    text += cat(" the file looks like ", system,
                own.empty() || system == own ? "" : "; the network has the names of " + own, ";");
  text.pop_back();
  return text;
}

}  // namespace haze::model
