// SPDX-License-Identifier: MIT
// info.cpp — `haze info`: what to paste into a report of a fault, and what a configuration makes.
#include <cstdio>
#include <jpeglib.h>
#include <png.h>
#include <zlib.h>

#include "apps/command.h"
#include "apps/config/find.h"
#include "apps/config/keys.h"
#include "apps/data/input_file.h"
#include "apps/device.h"
#include "apps/image/png.h"
#include "apps/json_writer.h"
#include "apps/network_blocks.h"
#include "apps/standard_output.h"
#include "apps/version.h"

namespace haze::apps {
namespace {

struct InfoOptions {
  std::string config, picture;
  Settings settings;
  bool json = false, keys = false, schema = false;
};

void add_flags(Flags& flags, InfoOptions& i) {
  flags.input("PNG", i.picture, "", "a picture that haze has drawn: print how it was made");
  flags.input("--config", i.config, "FILE|NAME|-", "describe this configuration's network too");
  flags.settings(i.settings);
  flags.boolean("--keys", i.keys, "list every configuration key: what is allowed, what it is for");
  flags.boolean("--schema", i.schema,
                "the keys as JSON Schema, for editors that complete and check");
  flags.boolean("--json", i.json, "one JSON document on standard output");
}

#define HAZE_TEXT_(x) #x
#define HAZE_TEXT(x) HAZE_TEXT_(x)
using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs libraries() {
  return {{"oneDNN", HAZE_ONEDNN_VERSION},
          {"zlib", zlibVersion()},
          {"libpng", png_get_libpng_ver(nullptr)},
          {"libjpeg-turbo", HAZE_TEXT(LIBJPEG_TURBO_VERSION)}};
}

struct Described {
  RunConfig config;
  std::vector<NetworkBlock> blocks;
  std::size_t parameters = 0;
};

Described describe(const InfoOptions& options) {
  Settings settings = load_config(options.config);
  for (const auto& [key, setting] : options.settings) settings[key] = setting;
  Described d;
  d.config = resolve(settings);
  const auto network = model::make_network(d.config.model);
  const auto& size = d.config.data.image_size;
  if (!size.empty()) model::check_image_size(d.config.model, size[0], size[1]);
  d.blocks = blocks_of(*network, size.empty() ? 0 : size[0], size.empty() ? 0 : size[1]);
  d.parameters = network->parameters().elements();
  return d;
}

std::string with_commas(std::size_t n) {
  std::string text = std::to_string(n);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string as_text(const InfoOptions& options) {
  std::string text =
      cat("haze       ", version(), " (", commit(), "), ", HAZE_BUILD_TYPE, " build\n",
          "compiler   ", "g++ " __VERSION__, ", C++", __cplusplus / 100 % 100, "\n", "devices   ");
  for (const std::string& device : devices())
    text += cat(text.ends_with('\n') ? "          " : "", " ", device, "\n");
  text += "libraries ";
  for (const auto& [name, number] : libraries()) text += cat(" ", name, " ", number);
  text += "\nconfigs   ";
  for (const auto& name : shipped_configs()) text += " " + name;
  text += "\n";
  if (options.config.empty()) return text;
  const Described d = describe(options);
  char line[160];
  std::snprintf(line, sizeof line, "\n%-36s %18s %14s\n", "block", "output", "parameters");
  text += line;
  for (const NetworkBlock& b : d.blocks) {
    std::snprintf(line, sizeof line, "%-36s %18s %14s\n", b.name.c_str(), shape_text(b).c_str(),
                  with_commas(b.parameters).c_str());
    text += line;
  }
  std::snprintf(line, sizeof line, "%-36s %18s %14s\n", "all", "",
                with_commas(d.parameters).c_str());
  return text + line;
}

std::string as_json(const InfoOptions& options) {
  JsonWriter w;
  w.begin_object().field("version", version()).field("commit", commit());
  w.field("build", HAZE_BUILD_TYPE).field("compiler", "g++ " __VERSION__);
  w.field("cpu", cpu_description()).field("threads", thread_count());
  w.key("devices").begin_array();
  for (const std::string& device : devices()) {
    const std::size_t colon = device.find(": ");
    w.begin_object().field("name", device.substr(0, colon));
    w.field("description", device.substr(colon + 2)).end_object();
  }
  w.end_array();
  w.key("libraries").begin_object();
  for (const auto& [name, number] : libraries()) w.field(name, number);
  w.end_object().key("configs").begin_array();
  for (const auto& name : shipped_configs()) w.value(name);
  w.end_array();
  if (!options.config.empty()) {
    const Described d = describe(options);
    w.key("network").begin_object().field("parameters", d.parameters).key("blocks").begin_array();
    for (const NetworkBlock& b : d.blocks) {
      w.begin_object().field("name", b.name).key("output").begin_array();
      for (const int extent : b.output) w.value(extent);
      w.end_array().field("parameters", b.parameters).end_object();
    }
    w.end_array().end_object();
  }
  return w.end_object().text() + "\n";
}

std::string keys_as_json() {
  const RunConfig defaults = resolve({});
  JsonWriter w;
  w.begin_object().key("keys").begin_array();
  for (const Key& key : keys()) {
    w.begin_object().field("name", key.name).key("default").raw(json_of(key, defaults));
    w.field("allowed", allowed(key)).field("help", key.help);
    w.field("of", owners_of(key)).end_object();
  }
  return w.end_array().end_object().text() + "\n";
}

std::string keys_as_text() {
  const RunConfig defaults = resolve({});
  std::string text;
  for (const Key& key : keys()) {
    text += cat(key.name, "  [", json_of(key, defaults), "]\n    ", key.help, "; ", allowed(key));
    if (key.families != kAny) text += cat(" (", owners_of(key), ")");
    text += "\n";
  }
  return text;
}

/// How a picture was made, one line of JSON.
std::string recipe_of(const std::string& picture) {
  const auto recipe = png_recipe(read_file(picture, kMostFileBytes), printable(picture));
  if (!recipe)
    throw InputError(
        cat(printable(picture),
            ": nothing in it says how it was made; haze sample, edit, points and train "
            "write that into their PNG files, unless --no-metadata"));
  return printable(*recipe) + "\n";  // one line, of what may be a foreign file
}

int run(const InfoOptions& options, const Program& program) {
  if (options.config.empty())
    program.common.refuse({"--set"}, "no --config", "it changes a configuration's keys");
  if (options.keys)
    program.common.refuse({"--config"}, "--keys", "which lists the keys of every configuration");
  if (options.schema)
    program.common.refuse({"--config", "--keys", "--json"}, "--schema",
                          "which is JSON, of every key");
  if (!options.picture.empty())
    program.common.refuse({"--config", "--keys", "--schema"}, "a picture", "one of the two");
  const std::string text = !options.picture.empty() ? recipe_of(options.picture)
                           : options.schema         ? json_schema()
                           : options.keys ? (options.json ? keys_as_json() : keys_as_text())
                           : options.json ? as_json(options)
                                          : as_text(options);
  print(text);
  return 0;
}

}  // namespace

Command info_command() {
  return {
      .name = "info",
      .summary = "this build, this machine, a configuration, a picture",
      .examples = R"(  haze info
  haze info --config mnist
)",
      .about =
          R"(What to paste into a report of a fault. With a configuration: the network's blocks, their
shapes and the number of parameters. With a PNG that haze has drawn: how it was made, as JSON:
checkpoint, sampler, seed and the rest, enough to draw it again.)",
      .action = {add_flags, run}};
}

}  // namespace haze::apps
