// SPDX-License-Identifier: MIT
// debugging_test.cpp — what HAZE_DEBUG turns off changes no bit of a run, alone or with others.
#include "tests/apps/tiny_run.h"

namespace haze::test {
namespace {

using testing::HasSubstr;

class Debugging : public TinyRun {
 protected:
  Outcome run(const std::string& out, const std::string& words) const {
    return haze(arguments(out, 5), [=] { setenv("HAZE_DEBUG", words.c_str(), 1); });
  }
};

TEST_F(Debugging, KeepsEveryBit) {
  ASSERT_EQ(train("plain", 5).code, 0);
  const std::string want = contents(checkpoint("plain", 5));
  for (const std::string words :
       {"no-graphs", "streamed-data", "separate-memory", "separate-memory,streamed-data"}) {
    const Outcome got = run(words, words);
    ASSERT_EQ(got.code, 0) << words << ": " << got.err;
    EXPECT_TRUE(contents(checkpoint(words, 5)) == want) << words;
  }
}

TEST_F(Debugging, AWordThatIsNoneIsRefused) {
  const Outcome got = run("none", "no-graphs,slowly");
  EXPECT_EQ(got.code, 2);
  EXPECT_THAT(got.last_error_line(),
              HasSubstr("HAZE_DEBUG=no-graphs,slowly; no-graphs, streamed-data, separate-memory"));
}

}  // namespace
}  // namespace haze::test
