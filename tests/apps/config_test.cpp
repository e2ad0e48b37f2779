// SPDX-License-Identifier: MIT
#include "apps/config/config.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/config/find.h"
#include "apps/config/keys.h"
#include "apps/json_writer.h"
#include "apps/suggest.h"
#include "tests/support/test.h"

namespace haze::apps {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// The InputError of f, or "" with a failure.
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const InputError& e) {
    return e.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}
std::string refusal(const std::string& json) {
  return error_of([&] { resolve(parse_settings(json, "f.json")); });
}
RunConfig with(const std::string& assignment) {
  Settings s;
  parse_assignment(assignment, "--set", s);
  return resolve(s);
}

TEST(Config, MisspeltKeyNamesTheNearest) {
  EXPECT_THAT(
      refusal(R"({"model": {"n_chanels": 3}})"),
      AllOf(HasSubstr("f.json: model.n_chanels: 3"), HasSubstr("did you mean model.n_channels?")));
  EXPECT_THAT(refusal(R"({"modle": {"n_channels": 3}})"), HasSubstr("did you mean model?"));
  EXPECT_THAT(refusal(R"({"train": {"zzzzzzzzzzzz": 3}})"), HasSubstr("haze info --keys"));
  EXPECT_THAT(error_of([] { with("train.batchsize=3"); }),
              HasSubstr("did you mean train.batch_size?"));
}

TEST(Config, NamesThatAreNotUtf8ComeBackByteForByte) {
  for (const std::string name : {"caf\xe9", "\xff\xfe", "\xc3\xa9", "\xc3", "\xed\xa0\x80",
                                 "a\x80"
                                 "e9"}) {
    RunConfig config;
    config.data.spec = "images:" + name;
    config.data.label = name;
    const std::string json = to_json(config);
    EXPECT_TRUE(nlohmann::json::accept(json)) << json;
    const RunConfig again = resolve(parse_settings(json, "f.json"));
    EXPECT_EQ(again.data.spec, config.data.spec);
    EXPECT_EQ(again.data.label, name);
    EXPECT_EQ(to_json(again), json);
  }
  for (const char* broken : {"\\u0000", "\\u0000e", "\\u00007f", "\\u0000xy", "\\u0000+9"})
    EXPECT_THAT(refusal(cat(R"({"data": {"spec": "a)", broken, R"("}})")), HasSubstr("U+0000"));
}

TEST(Config, WordsOfOtherTrainersLeadToTheKey) {
  for (const auto& [word, key] :
       {std::pair{"train.lr", "train.learning_rate?"},
        {"lr", "train.learning_rate?"},
        {"learning_rate", "train.learning_rate?"},
        {"learnin_rate", "train.learning_rate?"},
        {"batch", "train.batch_size?"},
        {"train.bs", "train.batch_size?"},
        {"train.epochs", "train.steps? (in steps: an epoch is the number of images / "},
        {"ema", "train.ema_decay?"},
        {"seed", "train.seed?"},
        {"channels", "model.image_channels or model.n_channels?"},
        {"model.dim", "model.n_channels?"},
        {"timesteps", "diffusion.steps?"},
        {"model.timesteps", "diffusion.steps?"},
        {"steps", "diffusion.steps or train.steps?"},
        {"model.dim_mults", "model.ch_mults?"},
        {"diffusion.objective", "diffusion.prediction?"}})
    EXPECT_THAT(error_of([&] { with(cat(word, "=3")); }),
                HasSubstr(cat(word, ": 3; no such key; did you mean ", key)));
  Settings ddpm;
  parse_assignment("model.type=ddpm_unet", "--set", ddpm);
  parse_assignment("dim=64", "--set", ddpm);
  EXPECT_THAT(error_of([&] { resolve(ddpm); }), HasSubstr("mean model.block_out_channels?"));
}

TEST(Config, WrongTypeAndRangeSayKeyValueAndWhatIsAllowed) {
  EXPECT_EQ(error_of([] { with("train.steps=0"); }),
            "--set: train.steps: 0; a whole number from 1 to 1000000000");
  for (const char* bad :
       {"train.steps=1.5", "train.steps=many", "train.steps=[1]", "train.steps=true",
        "train.steps=1e30", "train.steps=-1", "train.steps=null", "train.steps=4294967297",
        "train.learning_rate=nan", "train.learning_rate=\"1\"", "train.flip=1", "model.ch_mults=2",
        "model.ch_mults=[1,\"2\"]", "model.is_attn=[0,1]", "diffusion.schedule=linar",
        "data.image_size=[0,4]", "model.dropout=1", "train.seed=-1", "train.precision=f16"})
    EXPECT_THAT(error_of([&] { with(bad); }),
                HasSubstr(std::string(bad).substr(0, std::string(bad).find('='))))
        << bad;
  EXPECT_EQ(with("train.steps=1e3").train.steps, 1000);
  EXPECT_EQ(with("train.seed=1.5e1").seed, 15u);
  EXPECT_EQ(with("model.ch_mults=[1e0,2.0]").model.ch_mults, (std::vector{1, 2}));
  EXPECT_THAT(error_of([] { with("data.image_size=[28]"); }), HasSubstr("[height, width]"));
  EXPECT_THAT(error_of([] { with("train.accumulate=7"); }),
              HasSubstr("train.batch_size, which is 64"));
  EXPECT_THAT(error_of([] { with("model.layers_per_block=2"); }), HasSubstr("a key of ddpm_unet"));
}

TEST(Config, EveryPrecisionHasItsActivations) {
  for (const auto& [word, precision, type] : {std::tuple{"f32", Precision::f32, DType::f32},
                                              {"tf32", Precision::tf32, DType::f32},
                                              {"bf16", Precision::bf16, DType::bf16}}) {
    const RunConfig config = with(cat("train.precision=", word));
    EXPECT_EQ(config.precision, precision);
    EXPECT_EQ(config.activations(), type);
    EXPECT_STREQ(name_of(precision), word);
    EXPECT_EQ(resolve(parse_settings(to_json(config), "again")).precision, precision);
  }
}

/// JSON that is no value of the key: other types, and beyond both ends of its range.
std::vector<std::string> wrong_values(const Key& key) {
  RunConfig any;
  const std::string below = std::to_string(std::int64_t(key.min) - 1),
                    above = json_number(key.max * 2 + 1);
  const Field field = key.field(any);
  if (std::holds_alternative<bool*>(field)) return {"1", "\"yes\"", "[true]", "null"};
  if (std::holds_alternative<std::string*>(field)) return {"3", "true", "[\"a\"]", "null"};
  if (std::holds_alternative<Choice>(field)) return {"\"noword\"", "0", "true", "null"};
  if (std::holds_alternative<std::vector<bool>*>(field)) return {"true", "[1]", "[\"a\"]"};
  if (std::holds_alternative<std::vector<int>*>(field))
    return {"1", "[1.5]", "[true]", "[" + below + "]", "[" + above + "]"};
  std::vector<std::string> wrong = {"\"a\"", "true", "[1]", "null", below, above};
  if (std::holds_alternative<int*>(field) || std::holds_alternative<std::uint64_t*>(field))
    wrong.emplace_back("1.5");
  return wrong;
}

TEST(Config, EveryKeyRefusesWhatItCannotBeAndSaysWhatItCan) {
  for (const Key& key : keys())
    for (const std::string& wrong : wrong_values(key)) {
      std::string owner = owners_of(key);
      owner.resize(std::min(owner.find(','), owner.size()));
      const std::string name = std::string(key.name), section = name.substr(0, name.find('.'));
      const std::string own = cat('"', name.substr(section.size() + 1), "\": ", wrong);
      const std::string type = cat("\"type\": \"", owner, '"');
      const std::string model = name == "model.type" ? own
                                : section == "model" ? cat(type, ", ", own)
                                                     : type;
      const std::string rest = section == "model" ? "" : cat(", \"", section, "\": {", own, "}");
      const std::string message = refusal(cat("{\"model\": {", model, "}", rest, "}"));
      EXPECT_THAT(message, testing::StartsWith(cat("f.json: ", key.name, ": ")));
      EXPECT_THAT(message, testing::EndsWith("; " + allowed(key))) << wrong;
    }
}

TEST(Config, KeysThatSayNothingAreRefused) {
  const auto unused = [](const std::vector<std::string>& assignments) {
    Settings s;
    for (const auto& a : assignments) parse_assignment(a, "--set", s);
    return error_of([&] { refuse_unused_keys(resolve(s)); });
  };
  EXPECT_EQ(
      unused({"train.min_snr_gamma=3"}),
      "train.min_snr_gamma: 3; it counts only where train.loss_weight is min_snr: leave it at "
      "5");
  EXPECT_THAT(
      unused({"diffusion.schedule=cosine", "diffusion.beta_end=0.5"}),
      HasSubstr("diffusion.beta_end: 0.5; it counts only where diffusion.schedule is linear"));
  EXPECT_THAT(unused({"diffusion.schedule=sigmoid_alpha_bar", "diffusion.beta_start=0.001"}),
              HasSubstr("diffusion.beta_start: 0.001"));
  EXPECT_THAT(unused({"train.vlb_weight=1"}), HasSubstr("diffusion.variance is learned"));
  EXPECT_THAT(unused({"train.label_dropout=0.5"}), HasSubstr("model.num_classes is above 0"));
  EXPECT_THAT(unused({"train.ema_warmup=true"}), HasSubstr("train.ema_warmup: true"));
  EXPECT_THAT(unused({"data.spec=points:moons", "train.flip=true"}), HasSubstr("train.flip: true"));
  EXPECT_THAT(unused({"data.spec=points:moons", "data.range=zero_one"}), HasSubstr("data.range"));
  for (const std::string& name : shipped_configs())
    EXPECT_NO_THROW(refuse_unused_keys(resolve(load_config(name)))) << name;
  EXPECT_NO_THROW(refuse_unused_keys(with("train.loss_weight=min_snr")));
}

TEST(Config, KeysThatExcludeEachOtherAreRefused) {
  EXPECT_THAT(refusal(R"({"model": {"type": "ddpm_unet", "self_condition": true},
                          "diffusion": {"variance": "learned"}})"),
              HasSubstr("model.self_condition: true; false where diffusion.variance is learned"));
}

TEST(Config, BrokenAndHostileTextIsRefused) {
  EXPECT_THAT(refusal(R"({"train": {"steps": 1, "steps": 2}})"),
              HasSubstr("train.steps: given twice"));
  EXPECT_THAT(refusal(R"({"train": {}, "train": {}})"), HasSubstr("given twice"));
  EXPECT_THAT(refusal("{"), HasSubstr("not JSON"));
  EXPECT_THAT(refusal(""), HasSubstr("not JSON"));
  EXPECT_THAT(refusal(R"({"train": {"steps": 1}} x)"), HasSubstr("not JSON"));
  EXPECT_THAT(refusal(R"({"train": {"learning_rate": NaN}})"), HasSubstr("not JSON"));
  EXPECT_THAT(refusal(R"({"train": {"learning_rate": 1e999}})"), HasSubstr("1e999"));
  EXPECT_THAT(refusal("[1]"), HasSubstr("an object of the sections"));
  EXPECT_THAT(refusal("3"), HasSubstr("an object of the sections"));
  EXPECT_THAT(refusal(R"({"train": 3})"), HasSubstr("an object of the sections"));
  EXPECT_THAT(refusal(R"({"train": {"steps": {}}})"), HasSubstr("train.steps"));
  EXPECT_THAT(refusal(R"({"model": {"ch_mults": [[1]]}})"), HasSubstr("flat"));
  EXPECT_THAT(refusal(R"({"model": )" + std::string(200000, '[')), HasSubstr("model"));
  EXPECT_THAT(refusal(std::string(200000, '{')), HasSubstr("not JSON"));
  EXPECT_THAT(refusal(std::string((1 << 20) + 1, ' ')), HasSubstr("at most 1048576"));
  EXPECT_THAT(refusal(R"({"data": {"spec": ")" + std::string(5000, 'a') + "\"}}"),
              HasSubstr("at most 4096"));
}

TEST(Config, EveryPrefixOfAFileIsRefused) {
  const std::string whole =
      R"({"model": {"type": "labml_unet", "ch_mults": [1, 2]}, "train": {"flip": true}})";
  resolve(parse_settings(whole, "whole"));
  for (std::size_t n = 0; n < whole.size(); ++n) refusal(whole.substr(0, n));
}

TEST(Config, WrittenConfigurationGivesItselfBack) {
  for (const std::string& name : shipped_configs()) {
    const RunConfig config = resolve(load_config(name));
    const RunConfig again = resolve(parse_settings(to_json(config), "again"));
    EXPECT_EQ(to_json(config), to_json(again)) << name;
    EXPECT_TRUE(differences(config, again).empty()) << name;
  }
  EXPECT_THAT(shipped_configs(), testing::IsSupersetOf({"celeba64", "ddpm-cifar10", "demo",
                                                        "fashion-mnist", "labml", "mnist"}));
}

TEST(Config, EveryKeyIsSetAndReadBack) {
  std::set<void*> places;  // two keys must not share one
  for (const Key& key : keys()) {
    RunConfig c;
    std::visit(
        [&](auto place) {
          if constexpr (std::is_pointer_v<decltype(place)>)
            places.insert(reinterpret_cast<char*>(place) - reinterpret_cast<std::uintptr_t>(&c));
          else
            places.insert(static_cast<char*>(place.place) - reinterpret_cast<std::uintptr_t>(&c));
        },
        key.field(c));
  }
  EXPECT_EQ(places.size(), keys().size());
  const RunConfig c = with("train.learning_rate=0.00025");
  EXPECT_EQ(json_of(*find_key("train.learning_rate"), c), "0.00025");
  EXPECT_EQ(with("model.ch_mults=[1,3]").model.ch_mults, (std::vector{1, 3}));
  EXPECT_EQ(with("data.spec=mnist:data/x").data.spec, "mnist:data/x");
  EXPECT_EQ(with("data.label=3").data.label, "3");  // a text, though JSON reads a number
  EXPECT_EQ(with("data.label=\"3\"").data.label, "3");
  EXPECT_EQ(differences(with("train.steps=7"), with("train.steps=8")),
            std::vector<std::string>{"train.steps: 7, not 8"});
}

TEST(Config, NoiseInTheLastStepFollowsTheFamily) {
  EXPECT_TRUE(with("model.type=labml_unet").diffusion.noise_at_t0);
  EXPECT_FALSE(with("model.type=ddpm_unet").diffusion.noise_at_t0);
  EXPECT_FALSE(with("diffusion.noise_at_t0=false").diffusion.noise_at_t0);
}

TEST(Config, UnknownNamesListTheShippedOnes) {
  EXPECT_THAT(error_of([] { load_config("mnits"); }),
              AllOf(HasSubstr("ddpm-cifar10"), HasSubstr("did you mean mnist?")));
  EXPECT_THAT(error_of([] { load_config("no/such.json"); }), HasSubstr("no/such.json"));
}

TEST(Suggest, NearestKnowsSwapsAndKeepsQuietAboutStrangers) {
  EXPECT_EQ(edit_distance("trian", "train"), 1);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(nearest("smaple", {"train", "sample"}), "sample");
  EXPECT_EQ(nearest("quux", {"train", "sample"}), "");
}

TEST(JsonWriter, EscapesAndNumbers) {
  EXPECT_EQ(json_quoted("a\"\\\n\x01\xff\xc3\xa9"), "\"a\\\"\\\\\\n\\u0001\\u0000ff\xc3\xa9\"");
  EXPECT_EQ(json_number(0.1f), "0.1");
  EXPECT_EQ(json_number(NAN), "null");
  JsonWriter w(0);
  w.begin_object()
      .field("a", 1)
      .key("b")
      .begin_array()
      .value(true)
      .value("x")
      .end_array()
      .end_object();
  EXPECT_EQ(w.text(), R"({"a": 1, "b": [true, "x"]})");
}

}  // namespace
}  // namespace haze::apps
