// SPDX-License-Identifier: MIT
// loaders.h — one function per kind of data set, called by open_dataset. Each fills everything but
// spec and fingerprint, at the stored size unless it takes options. Errors: InputError.
#pragma once
#include <string>

#include "apps/data/dataset.h"

namespace haze::apps {

/// Images drawn by the program: the same ones for the same count on every machine.
Dataset draw_digits(int count);
Dataset draw_shapes(int count);

/// `test`: the test split in place of the training split.
Dataset load_mnist(const std::string& folder, bool test);
Dataset load_cifar10(const std::string& folder, bool test);

/// Resizes and converts to options' size and channels while decoding.
Dataset load_image_folder(const std::string& folder, const DatasetOptions& options);

}  // namespace haze::apps
