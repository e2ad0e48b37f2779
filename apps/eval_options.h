// eval_options.h — what `haze classifier` and `haze eval` are asked, as plain structs.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace haze::apps {

struct ClassifierOptions {
  std::string data, test, out;
  int epochs = 3, batch = 128;
  double learning_rate = 1e-3;
  std::uint64_t seed = 0;
  bool json = false, fusion = true;
};

}  // namespace haze::apps
