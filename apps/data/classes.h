// SPDX-License-Identifier: MIT
// classes.h — numbers and names of classes: in which order folders are counted, and how a message
// names a class.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace haze::apps {

using ClassNames = std::vector<std::string>;  // of the classes 0, 1, ...; printable

/// Whether a comes before b as people count: runs of digits by their number, 2 before 10, all else
/// bytewise. A total order.
bool natural_less(std::string_view a, std::string_view b);

/// Which number each sub-folder of a data set's folder gets.
struct ClassOrder {
  ClassNames known = {};  // these first, there or not, as a run counts them; others after them
  bool bytewise = false;  // others in bytewise order, as haze counted before it kept the names
};

/// "2", or "2 (dog)" where the name says more than the number.
std::string class_text(int number, const ClassNames& names);
/// "0 to 9" where names say no more than the numbers, else "0 (cat), 1 (dog), ...": at most 20.
std::string classes_text(int count, const ClassNames& names);

/// The number of the class that is meant by a name or, if no class has that name, by a number below
/// `count`.
std::optional<int> class_number(const std::string& asked, int count, const ClassNames& names);

/// Makes labels of classes `from` labels of classes `to`, by the names. InputError that starts with
/// `what` for a class with images that `to` does not have.
void renumber(std::vector<std::int32_t>& labels, const ClassNames& from, const ClassNames& to,
              const std::string& what);

/// As one text, in metadata, and back: one a line. InputError for more than 256 KiB of it.
std::string class_lines(const ClassNames& names);

}  // namespace haze::apps
