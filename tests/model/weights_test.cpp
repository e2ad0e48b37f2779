// SPDX-License-Identifier: MIT
// weights_test.cpp — state dicts: layouts element by element, round trips to the bit, refusals.
#include "model/weights.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "tests/model/networks.h"
#include "tests/support/device.h"

namespace haze::model {
namespace {

using test::expect_input_error, test::kFamilies, test::ready, test::tiny;

StateDict weights_of(const Network& network) {
  return to_state_dict(network.parameters(), network.parameters().weights);
}

TEST(Weights, ElementsGoWherePyTorchKeepsThem) {
  engine::Parameters p;
  const auto conv = p.add({.name = "conv", .shape = {2, 3, 3, 5}, .layout = engine::Layout::conv});
  const auto up =
      p.add({.name = "up", .shape = {2, 4, 4, 3}, .layout = engine::Layout::conv_transpose});
  const auto plain = p.add({.name = "plain", .shape = {3, 4}});
  p.allocate(test::device(), 1, false, false, DType::f32);
  std::vector<float> numbers(p.flat_size());
  std::iota(numbers.begin(), numbers.end(), 0.f);
  test::write(p.weights, numbers);
  const StateDict state = to_state_dict(p, p.weights);

  EXPECT_EQ(state.at("conv").shape, (std::vector<std::int64_t>{2, 5, 3, 3}));
  EXPECT_EQ(state.at("up").shape, (std::vector<std::int64_t>{3, 2, 4, 4}));
  EXPECT_EQ(state.at("plain").shape, (std::vector<std::int64_t>{3, 4}));
  const auto at = [&](engine::ParamId id, int i) { return float(p[id].offset + std::size_t(i)); };
  for (int o = 0; o < 2; ++o)
    for (int y = 0; y < 3; ++y)
      for (int x = 0; x < 3; ++x) {
        for (int i = 0; i < 5; ++i)
          ASSERT_EQ(state.at("conv").values[std::size_t(((o * 5 + i) * 3 + y) * 3 + x)],
                    at(conv, ((o * 3 + y) * 3 + x) * 5 + i));
        for (int i = 0; i < 3; ++i)
          ASSERT_EQ(state.at("up").values[std::size_t(((i * 2 + o) * 4 + y) * 4 + x)],
                    at(up, ((o * 4 + y) * 4 + x) * 3 + i));
      }
  EXPECT_EQ(state.at("plain").values[7], at(plain, 7));
}

TEST(Weights, RoundTripToTheBit) {
  for (const Family family : kFamilies) {
    engine::Context context{test::device(), DType::bf16};
    const auto from = ready(tiny(family), context, 1), to = ready(tiny(family), context, 2);
    const auto &a = from->parameters(), &b = to->parameters();
    ASSERT_NE(test::read(a.weights), test::read(b.weights));
    from_state_dict(to->parameters(), b.weights, weights_of(*from));
    EXPECT_EQ(test::read(a.weights), test::read(b.weights));
    const auto x = test::read<bf16>(a.weights_bf16), y = test::read<bf16>(b.weights_bf16);
    EXPECT_TRUE(std::ranges::equal(x, y, {}, &bf16::bits, &bf16::bits)) << "the bf16 copy follows";
  }
}

TEST(Weights, RefusalListsEverythingThatDoesNotFit) {
  engine::Context context{test::device()};
  const auto network = ready(tiny(Family::labml), context);
  const StateDict good = weights_of(*network);
  StateDict bad = good;
  bad.erase("norm.bias");
  bad.erase("down.0.res.conv1.weight");
  bad["extra.weight"] = {{2, 3}, std::vector<float>(6)};
  std::swap(bad.at("image_proj.weight").shape[0], bad.at("image_proj.weight").shape[1]);
  bad.at("final.bias").values.pop_back();
  const auto load = [&] {
    from_state_dict(network->parameters(), network->parameters().weights, bad);
  };
  for (const char* line : {"; 2 missing: down.0.res.conv1.weight [8,8,3,3], norm.bias [8]; 1 "
                           "extra: extra.weight [2,3];",
                           "; 2 misshapen: image_proj.weight [3,8,3,3] where the network has "
                           "[8,3,3,3], final.bias with "
                           "2 values for [3];"})
    expect_input_error(load, line);
  const StateDict after = weights_of(*network);
  for (const auto& [name, t] : good) EXPECT_EQ(after.at(name).values, t.values) << name;
}

std::string refusal(Network& network, const StateDict& state) {
  try {
    from_state_dict(network.parameters(), network.parameters().weights, state);
  } catch (const InputError& e) {
    return e.what();
  }
  return "accepted";
}

TEST(Weights, RefusalShowsEightOfAKindAndHowManyThereAre) {
  engine::Context context{test::device()};
  const auto network = ready(tiny(Family::ddpm), context);
  const std::string none = refusal(*network, {});
  const int all = int(network->parameters().count());
  EXPECT_THAT(none, testing::HasSubstr(cat("; ", all, " missing: conv_in.weight [")));
  EXPECT_EQ(std::ranges::count(none, '['), 8);
  EXPECT_TRUE(none.ends_with(", ...")) << none;
  EXPECT_EQ(none.find('\n'), none.npos) << "one line";
}

TEST(Weights, RefusalSaysThePrefixThatAllNamesCarry) {
  engine::Context context{test::device()};
  const auto network = ready(tiny(Family::ddpm), context);
  const int all = int(network->parameters().count());
  for (const std::string prefix : {"module.", "_orig_mod.", "unet.", "module._orig_mod."}) {
    StateDict state;
    for (const auto& [name, t] : weights_of(*network)) state[prefix + name] = t;
    EXPECT_THAT(refusal(*network, state),
                testing::HasSubstr(cat("; all names start with ", prefix, " and without it ", all,
                                       " of the network's ", all, " are there")));
    state["betas"] = {{2}, std::vector<float>(2)};
    EXPECT_THAT(refusal(*network, state), testing::HasSubstr("; names start with " + prefix));
  }
}

TEST(Weights, RefusalNamesTheSystemWhoseFileItIs) {
  engine::Context context{test::device()};
  const auto network = ready(tiny(Family::labml), context);
  for (const auto& [name, system] : {std::pair{"time_embedding.linear_1.weight", "diffusers"},
                                     {"model.downs.0.0.block1.proj.weight", "lucidrains"},
                                     {"input_blocks.0.0.weight", "OpenAI"},
                                     {"temb.dense.0.weight", "the DDPM of pesser and ermongroup"},
                                     {"model.map_layer0.weight", "EDM"},
                                     {"adam_m.image_proj.weight", "a checkpoint of haze"}}) {
    const std::string text = refusal(*network, {{name, {{1}, {0.f}}}});
    EXPECT_THAT(text, testing::HasSubstr(cat("; the file looks like ", system)));
    EXPECT_TRUE(text.ends_with("; the network has the names of labml")) << text;
  }
  StateDict other = weights_of(*ready(tiny(Family::labml), context));
  other.erase("image_proj.bias");
  EXPECT_TRUE(refusal(*network, other).ends_with("; the file looks like labml"));
  EXPECT_EQ(refusal(*network, {{"some.weight", {{1}, {0.f}}}}).find("looks like"),
            std::string::npos);
}

TEST(Weights, AreComparedBeforeTheNetworkIsAllocated) {
  const auto network = make_network(tiny(Family::labml));
  engine::Parameters& parameters = network->parameters();
  expect_input_error([&] { allocate_from(parameters, test::device(), true, DType::f32, {}); },
                     "missing: image_proj.weight");
  EXPECT_FALSE(parameters.weights);
  engine::Context context{test::device()};
  const StateDict good = weights_of(*ready(tiny(Family::labml), context));
  allocate_from(parameters, test::device(), true, DType::bf16, good);
  EXPECT_TRUE(parameters.gradients);
  for (const auto& [name, t] : weights_of(*network)) EXPECT_EQ(t.values, good.at(name).values);
  for (std::size_t i = 0; i < parameters.flat_size(); i += 97)  // the copy follows
    EXPECT_NEAR(float(test::read<bf16>(parameters.weights_bf16)[i]),
                test::read(parameters.weights)[i], 0.01);
}

TEST(Weights, AcceptsTheOldNamesOfDiffusersAttention) {
  engine::Context context{test::device()};
  const auto network = ready(tiny(Family::ddpm), context, 1);
  const StateDict now = weights_of(*network);
  StateDict old;
  int renamed = 0;
  for (const auto& [name, t] : now) {
    std::string legacy = name;
    for (const auto& [a, b] : {std::pair{"to_q.", "query."},
                               {"to_k.", "key."},
                               {"to_v.", "value."},
                               {"to_out.0.", "proj_attn."}})
      if (const auto at = name.find(a); at != std::string::npos) {
        legacy.replace(at, std::strlen(a), b);
        ++renamed;
      }
    old[legacy] = t;
  }
  // Four layers with weight and bias in: the middle, one block down, two up.
  ASSERT_EQ(renamed, 4 * 2 * 4);
  const auto other = ready(tiny(Family::ddpm), context, 2);
  from_state_dict(other->parameters(), other->parameters().weights, old);
  for (const auto& [name, t] : weights_of(*other)) EXPECT_EQ(t.values, now.at(name).values) << name;
  old["mid_block.attentions.0.to_q.weight"] = now.at("mid_block.attentions.0.to_q.weight");
  expect_input_error(
      [&] { from_state_dict(other->parameters(), other->parameters().weights, old); },
      "both mid_block.attentions.0.query.weight and its present name");
}

TEST(Weights, ImagesTransposeAndBack) {
  std::vector<float> nchw(2 * 3 * 4 * 5);
  for (std::size_t i = 0; i < nchw.size(); ++i) nchw[i] = float(i);
  const auto nhwc = nchw_to_nhwc(nchw, 2, 3, 4, 5);
  EXPECT_EQ(nhwc[((1 * 4 + 2) * 5 + 3) * 3 + 1], nchw[((1 * 3 + 1) * 4 + 2) * 5 + 3]);
  EXPECT_EQ(nhwc_to_nchw(nhwc, 2, 3, 4, 5), nchw);
  EXPECT_THROW(nchw_to_nhwc(nchw, 2, 3, 4, 6), CheckError);
}

}  // namespace
}  // namespace haze::model
