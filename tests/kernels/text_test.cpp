// SPDX-License-Identifier: MIT
// text_test.cpp — numbers, lists and shapes as text (kernels/base/text.h).
#include "kernels/base/text.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "tests/support/test.h"

namespace haze::test {
namespace {

TEST(ParseNumber, TakesTheWholeTextOrNothing) {
  EXPECT_EQ(parse_number<int>("0"), 0);
  EXPECT_EQ(parse_number<int>("-12"), -12);
  EXPECT_EQ(parse_number<int>("007"), 7);
  EXPECT_EQ(parse_number<std::uint64_t>("18446744073709551615"), UINT64_MAX);
  for (const char* text : {"", " ", " 3", "3 ", "+3", "--3", "3x", "x3", "1.5", "1e3", "0x10",
                           "2147483648", "-2147483649", "99999999999999999999", "nan", "\n3"})
    EXPECT_EQ(parse_number<int>(text), std::nullopt) << '"' << text << '"';
  EXPECT_EQ(parse_number<int>(std::string_view("3\0", 2)), std::nullopt);  // a NUL is no digit
  for (const char* text : {"-1", "-0", "+1", "18446744073709551616"})
    EXPECT_EQ(parse_number<std::uint64_t>(text), std::nullopt) << text;
}

TEST(ParseNumber, ReadsFloatingPointAsItIsWritten) {
  EXPECT_EQ(parse_number<double>("0.1"), 0.1);
  EXPECT_EQ(parse_number<double>("-2.5e-3"), -2.5e-3);
  EXPECT_EQ(parse_number<double>(".5"), 0.5);
  EXPECT_EQ(parse_number<double>("inf"), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(parse_number<double>("nan").value()));
  for (const char* text : {"", " 1", "+1", "1e", "1e999", "0.1.2", "1,5", "3%", "0x1p3"})
    EXPECT_EQ(parse_number<double>(text), std::nullopt) << '"' << text << '"';
}

TEST(ParseNumber, OfARangeRefusesWhatIsOutsideAndNaN) {
  EXPECT_EQ(parse_number<int>("1", 1, 3), 1);
  EXPECT_EQ(parse_number<int>("3", 1, 3), 3);
  EXPECT_EQ(parse_number<int>("0", 1, 3), std::nullopt);
  EXPECT_EQ(parse_number<int>("4", 1, 3), std::nullopt);
  EXPECT_EQ(parse_number<double>("nan", 0.0, 1.0), std::nullopt);
  EXPECT_EQ(parse_number<double>("inf", 0.0, 1.0), std::nullopt);
}

TEST(Split, GivesOnePartMoreThanSeparators) {
  using Parts = std::vector<std::string_view>;
  EXPECT_EQ(split("", ','), Parts{""});
  EXPECT_EQ(split("a", ','), Parts{"a"});
  EXPECT_EQ(split("a,bc", ','), (Parts{"a", "bc"}));
  EXPECT_EQ(split("a,,b,", ','), (Parts{"a", "", "b", ""}));
  EXPECT_EQ(split(",", ','), (Parts{"", ""}));
}

TEST(LeadingDigits, EndAtTheFirstOtherCharacter) {
  EXPECT_EQ(leading_digits("00042-run"), "00042");
  EXPECT_EQ(leading_digits("7"), "7");
  EXPECT_EQ(leading_digits("-7"), "");
  EXPECT_EQ(leading_digits(""), "");
}

TEST(ShapeText, ListsTheExtents) {
  EXPECT_EQ(shape_text(std::vector<int>{64, 28, 28, 32}), "[64,28,28,32]");
  EXPECT_EQ(shape_text(std::vector<std::int64_t>{1, 0}), "[1,0]");
  EXPECT_EQ(shape_text(std::vector<std::int64_t>{3}), "[3]");
  EXPECT_EQ(shape_text(std::vector<int>{}), "[]");
}

}  // namespace
}  // namespace haze::test
