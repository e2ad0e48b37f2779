// SPDX-License-Identifier: MIT
// words_test.cpp — the tables of words: every enumerator has one, and it leads back to it.
#include "apps/words.h"

#include "apps/common_options.h"
#include "apps/config/config.h"
#include "apps/data/points.h"
#include "tests/support/test.h"

namespace haze::test {
namespace {

using namespace haze::apps;

template <class E>
class Words : public testing::Test {};
using Enumerations =
    testing::Types<Color, DataRange, Precision, PointSet, model::Family, model::ScheduleKind,
                   model::Variance, model::Prediction, model::Start, model::LossWeight,
                   model::Timesteps, model::LrDecay, model::SamplerKind, model::Spacing>;
TYPED_TEST_SUITE(Words, Enumerations);

TYPED_TEST(Words, LeadBackToTheirValues) {
  const auto words = words_of<TypeParam>();
  for (std::size_t k = 0; k < words.size(); ++k) {
    EXPECT_FALSE(words[k].empty());
    EXPECT_EQ(value_of<TypeParam>(words[k]), TypeParam(k)) << words[k];  // no word stands twice
    EXPECT_EQ(name_of(TypeParam(k)), words[k]);
  }
  for (const char* other : {"", " ", "noword", "0"})
    EXPECT_EQ(value_of<TypeParam>(other), std::nullopt);
}

/// What words_for checks: a table that is too short or too long does not compile.
TEST(WordTables, EndWithTheLastEnumerator) {
  enum class Fruit : std::uint8_t { apple, pear, plum };
  static_assert(is_enumerator<Fruit(0)>() && is_enumerator<Fruit(2)>());
  static_assert(!is_enumerator<Fruit(3)>());
  static_assert(HasWords<Color> && !HasWords<Fruit> && !HasWords<int>);
}

TEST(WordTables, AreJoinedInOrder) {
  EXPECT_EQ(joined(kWords<model::SamplerKind>, "|"), "ddpm|ddim|dpmpp|heun");
  EXPECT_EQ(joined(std::vector<std::string>{"one"}, ", "), "one");
  EXPECT_EQ(joined(std::vector<std::string>{}, ", "), "");
}

}  // namespace
}  // namespace haze::test
