// SPDX-License-Identifier: MIT
// idx_test.cpp — IDX files, plain and gz: what is read, and every way in which a file can lie.
#include "apps/data/idx.h"

#include <sys/stat.h>
#include <zlib.h>

#include "apps/data/dataset.h"
#include "tests/support/data_files.h"
#include "tests/support/test.h"

namespace haze::apps {
namespace {
using test::Bytes;
using test::DataFolder;
using test::expect_refused;

Bytes idx(const std::vector<std::uint32_t>& dims, const Bytes& data) {
  Bytes file = {0, 0, 8, std::uint8_t(dims.size())};
  for (const std::uint32_t d : dims)
    for (int shift = 24; shift >= 0; shift -= 8) file.push_back(std::uint8_t(d >> shift));
  file.insert(file.end(), data.begin(), data.end());
  return file;
}

Bytes gz(const Bytes& content, int level = 6) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  Bytes packed(deflateBound(&z, content.size()) + 32);
  z.next_in = const_cast<Bytef*>(content.data());
  z.avail_in = uInt(content.size());
  z.next_out = packed.data();
  z.avail_out = uInt(packed.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  packed.resize(z.total_out);
  deflateEnd(&z);
  return packed;
}

Bytes text(const std::string& s) { return {s.begin(), s.end()}; }

Bytes joined(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Bytes counting(std::size_t n) {
  Bytes b(n);
  for (std::size_t i = 0; i < n; ++i) b[i] = std::uint8_t(i * 7);
  return b;
}

TEST(Idx, ReadsPlainAndGz) {
  const DataFolder folder;
  const Bytes data = counting(2 * 3 * 4);
  for (const std::string& path :
       {folder.write("a", idx({2, 3, 4}, data)), folder.write("a.gz", gz(idx({2, 3, 4}, data))),
        folder.write("packed", gz(idx({2, 3, 4}, data))),
        folder.write("unpacked.gz", idx({2, 3, 4}, data))}) {
    const Idx read = read_idx(path, 3);
    EXPECT_EQ(read.dims, (std::vector<std::uint32_t>{2, 3, 4}));
    EXPECT_EQ(read.data, data);
  }
  EXPECT_EQ(read_idx(folder.write("b", idx({24}, data)), 1).data, data);
  EXPECT_EQ(read_idx(folder.write("c", idx({2, 3, 2, 2}, data)), 4).dims.size(), 4u);
}

TEST(Idx, ReadsHighlyCompressibleContent) {
  const DataFolder folder;
  const Bytes zeros(5 << 20);  // packs about 1028:1, the most that deflate can
  const Bytes packed = gz(idx({5, 1024, 1024}, zeros), 9);
  EXPECT_GT(zeros.size() / packed.size(), 900u);
  EXPECT_EQ(read_idx(folder.write("z.gz", packed), 3).data, zeros);
}

TEST(Idx, RefusesEveryTruncationAndEveryAddition) {
  const DataFolder folder;
  const Bytes plain = idx({2, 3, 4}, counting(24)), packed = gz(plain);
  for (const auto& [name, whole] : {std::pair{"t", plain}, std::pair{"t.gz", packed}}) {
    read_idx(folder.write(name, whole), 3);
    for (std::size_t n = 0; n < whole.size(); ++n)
      expect_refused(
          [&] {
            read_idx(folder.write(name, Bytes(whole.begin(), whole.begin() + std::ptrdiff_t(n))),
                     3);
          },
          "", cat(name, " cut at ", n));
    for (const std::uint8_t extra : {0, 31, 255})
      expect_refused([&] { read_idx(folder.write(name, joined(whole, {extra})), 3); }, "",
                     cat(name, " and a byte ", int(extra)));
  }
}

// Each byte of a gz matters, apart from hints: time stamp (4-7), level (8), system (9), bit 0 of
// the flags (3), and the bits that fill up the last byte of the stream. 9).
TEST(Idx, RefusesEveryDamagedByteOfAGz) {
  const DataFolder folder;
  const Bytes whole = gz(idx({2, 3, 4}, counting(24)));
  for (std::size_t n = 0; n < whole.size(); ++n) {
    if (n >= 4 && n <= 9) continue;
    Bytes bad = whole;
    bad[n] ^= n == 3 ? 0x40 : 0x01;
    expect_refused([&] { read_idx(folder.write("d.gz", bad), 3); }, "", cat("byte ", n));
  }
}

struct Hostile {
  const char* name;
  Bytes bytes;
  const char* why;
};

TEST(Idx, RefusesFilesThatLie) {
  const Bytes data = counting(24), good = idx({2, 3, 4}, data);
  const auto with = [](Bytes b, std::size_t at, std::uint8_t value) {
    b[at] = value;
    return b;
  };
  const std::uint32_t big = 0xFFFFFFFF, half = 0x80000000;
  const Hostile files[] = {
      {"empty", {}, "ends at byte 0"},
      {"labels in place of images", idx({24}, data),
       "starts with bytes 0 0 8 1; an IDX file of unsigned bytes in 3 dimensions"},
      {"magic byte 0", with(good, 0, 1), "starts with bytes 1 0 8 3"},
      {"magic byte 1", with(good, 1, 1), "starts with bytes 0 1 8 3"},
      {"signed bytes", with(good, 2, 9), "starts with bytes 0 0 9 3"},
      {"floats", with(good, 2, 13), "starts with bytes 0 0 13 3"},
      {"PNG", {0x89, 'P', 'N', 'G'}, "starts with bytes 137 80 78 71"},
      {"no images", idx({0, 3, 4}, {}), "dimension 0 is 0"},
      {"no rows", idx({2, 0, 4}, {}), "dimension 1 is 0"},
      {"no columns", idx({2, 3, 0}, {}), "dimension 2 is 0"},
      {"one image less", idx({3, 3, 4}, data),
       "promises 36 bytes; a file of this size holds at most 24"},
      {"one image more", idx({1, 3, 4}, data), "12 bytes too many"},
      {"product wraps 2^32", idx({1u << 16, 1u << 16, 1}, data), "2 GiB"},
      {"product wraps 2^32 to 24", idx({0x20000001, 8, 3}, data), "2 GiB"},
      {"product wraps 2^64", idx({big, big, big}, data), "2 GiB"},
      {"product wraps 2^64 to 0", idx({half, half, 4}, data), "2 GiB"},
      {"just above 2 GiB", idx({half + 1, 1, 1}, data), "2 GiB"},
      {"just 2 GiB, not there", idx({half, 1, 1}, data), "holds at most 24"},
      {"empty.gz", {}, "ends at byte 0"},
      {"zlib, not gzip.gz", joined({0x78, 0x9C}, gz(good)), "starts with bytes 120 156"},
      {"page.gz", text("<!DOCTYPE html><html>"), "it is an HTML page"},
      {"pointer", text("version https://git-lfs.github.com/spec/v1\noid sha256:0"),
       "it is a pointer of Git LFS"},
      {"method.gz", with(gz(good), 2, 7), "unknown compression method"},
      {"flags.gz", with(gz(good), 3, 0xE0), "unknown header flags set"},
      {"two-members.gz", joined(gz(good), gz(good)), "behind the gzip stream"},
      {"zeros-behind.gz", joined(gz(good), Bytes(512)), "behind the gzip stream"},
      {"short.gz", gz(idx({3, 3, 4}, data)), "its header promises more"},
      {"long.gz", gz(idx({1, 3, 4}, data)), "content goes on; its header promises 28 bytes"},
      {"bomb.gz", gz(idx({1000, 1000, 1000}, data)),
       "promises 1000000000 bytes; a file of this size holds at most"},
      {"endless.gz", gz(idx({2, 3, 4}, Bytes(1 << 20))), "content goes on"},
  };
  const DataFolder folder;
  for (const Hostile& h : files)
    expect_refused([&] { read_idx(folder.write(h.name, h.bytes), 3); }, h.why, h.name);
  Bytes crc = gz(good), length = crc;
  crc[crc.size() - 8] ^= 1;
  length[length.size() - 1] ^= 1;
  expect_refused([&] { read_idx(folder.write("crc.gz", crc), 3); }, "incorrect data check");
  expect_refused([&] { read_idx(folder.write("length.gz", length), 3); }, "incorrect length check");
}

TEST(Idx, RefusesWhatIsNoFile) {
  const DataFolder folder;
  expect_refused([&] { read_idx(folder / "none", 3); }, "No such file");
  expect_refused([&] { read_idx(folder.path, 3); }, "not a regular file");
  expect_refused([&] { read_idx("/dev/zero", 3); }, "not a regular file");
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_refused([&] { read_idx(folder / "pipe", 3); }, "not a regular file");  // and does not wait
  expect_refused([&] { read_idx(std::string("a\0b", 3), 3); }, "a\\x00b");
}

const char* const kImages = "train-images-idx3-ubyte";
const char* const kLabels = "train-labels-idx1-ubyte";

TEST(Mnist, ReadsImagesWithLabels) {
  const DataFolder folder;
  const Bytes data = counting(2 * 3 * 4);
  folder.write(kImages, idx({2, 3, 4}, data));
  folder.write(std::string(kLabels) + ".gz", gz(idx({2}, {9, 0})));
  folder.write("t10k-images-idx3-ubyte", idx({1, 3, 4}, Bytes(12, 5)));
  folder.write("t10k-labels-idx1-ubyte", idx({1}, {3}));
  const Dataset set = open_dataset("mnist:" + folder.path);
  EXPECT_EQ(std::vector({set.count, set.height, set.width, set.channels}),
            std::vector({2, 3, 4, 1}));
  EXPECT_EQ(set.images, data);
  EXPECT_EQ(set.labels, (std::vector<std::int32_t>{9, 0}));
  EXPECT_EQ(open_dataset("mnist:" + folder.path + "#train").fingerprint, set.fingerprint);
  EXPECT_EQ(open_dataset("mnist:" + folder.path + "#test").labels, std::vector<std::int32_t>{3});
  folder.write(std::string(kLabels) + ".gz", gz(idx({2}, {9, 1})));
  EXPECT_NE(open_dataset("mnist:" + folder.path).fingerprint, set.fingerprint);
}

TEST(Mnist, IsFoundBelowTheFolderAndUnderDottedNames) {
  for (const std::string below : {"", "raw/", "MNIST/raw/"})
    for (const std::string ending : {"", ".gz"}) {
      const DataFolder folder;
      const auto pack = [&](const Bytes& b) { return ending.empty() ? b : gz(b); };
      folder.write(below + "train-images.idx3-ubyte" + ending, pack(idx({2, 3, 4}, counting(24))));
      folder.write(below + "train-labels.idx1-ubyte" + ending, pack(idx({2}, {9, 0})));
      folder.write("photos/a.png", text("not looked at"));
      const Dataset set = open_dataset("mnist:" + folder.path);
      EXPECT_EQ(set.labels, (std::vector<std::int32_t>{9, 0})) << below;
      EXPECT_EQ(set.notes.size(), below.empty() ? 0u : 2u);
      if (!below.empty()) {
        EXPECT_THAT(set.notes[0], testing::HasSubstr("found: " + folder.path + "/" + below));
      }
    }
  const DataFolder two;
  for (const std::string name : {"MNIST/raw/", "FashionMNIST/raw/"})
    two.write(name + kImages, idx({2, 3, 4}, counting(24)));
  expect_refused([&] { open_dataset("mnist:" + two.path); },
                 "FashionMNIST/raw/train-images-idx3-ubyte and ");
}

TEST(Mnist, RefusesSetsThatDoNotFit) {
  const DataFolder folder;
  const auto refused = [&](const std::string& why) {
    expect_refused([&] { open_dataset("mnist:" + folder.path); }, why);
  };
  refused("train-images-idx3-ubyte: not found");
  folder.write(kImages, idx({2, 3, 4}, counting(24)));
  refused("train-labels-idx1-ubyte: not found");
  folder.write(kLabels, idx({3}, {1, 2, 3}));
  refused("3 labels; 2 are needed");
  folder.write(kLabels, idx({2}, {1, 10}));
  refused("label 10 at index 1; 0 to 9 are allowed");
  folder.write(kLabels, idx({2}, {255, 0}));
  refused("label 255 at index 0");
  folder.write(kLabels, idx({2}, {1, 2}));
  EXPECT_EQ(open_dataset("mnist:" + folder.path).count, 2);
  folder.write(kImages, idx({2, 1, 16385}, Bytes(2 * 16385)));
  refused("2 images of 1x16385");
}

TEST(Cifar10, SaysWhatThereIsInPlaceOfTheBinaryVersion) {
  for (const auto& [name, says] :
       {std::pair{"cifar-10-batches-py/data_batch_1", "the Python version of CIFAR-10"},
        {"cifar-10-python.tar.gz", "the Python version of CIFAR-10"},
        {"cifar-10-binary.tar.gz", "unpack cifar-10-binary.tar.gz"},
        {"cifar-100-binary/train.bin", "this is CIFAR-100"},
        {"other.txt", "needs the files of cifar-10-binary.tar.gz"},
        {"data_batch_1.bin", "it is an HTML page"}}) {
    const DataFolder folder;
    folder.write(name, text("<html>"));
    expect_refused([&] { open_dataset("cifar10:" + folder.path); }, says, name);
  }
}

Bytes cifar_record(std::uint8_t label, int seed) {
  Bytes record = {label};
  for (int i = 0; i < 3072; ++i) record.push_back(std::uint8_t(i * 13 + seed + i / 1024));
  return record;
}

TEST(Cifar10, ReadsBatchesInOrder) {
  const DataFolder folder;
  for (int n = 1; n <= 5; ++n)
    folder.write(cat("data_batch_", n, ".bin"),
                 n == 3 ? joined(cifar_record(3, 3), cifar_record(9, 33))
                        : cifar_record(std::uint8_t(n), n));
  folder.write("test_batch.bin", cifar_record(7, 7));
  const Dataset set = open_dataset("cifar10:" + folder.path);
  EXPECT_EQ(std::vector({set.count, set.height, set.width, set.channels}),
            std::vector({6, 32, 32, 3}));
  EXPECT_EQ(set.labels, (std::vector<std::int32_t>{1, 2, 3, 9, 4, 5}));
  EXPECT_EQ(set.class_names.at(9), "truck");
  const Bytes record = cifar_record(9, 33);
  for (const std::size_t pixel : {0u, 1u, 31u, 32u, 1023u})  // planes become channels
    for (std::size_t c = 0; c < 3; ++c)
      EXPECT_EQ(set.images[(3 * 1024 + pixel) * 3 + c], record[1 + c * 1024 + pixel])
          << pixel << ' ' << c;
  EXPECT_EQ(open_dataset("cifar10:" + folder.path + "#test").labels, std::vector<std::int32_t>{7});
}

TEST(Cifar10, RefusesDamagedBatches) {
  const DataFolder folder;
  const auto refused = [&](const Bytes& bytes, const std::string& why) {
    folder.write("test_batch.bin", bytes);
    expect_refused([&] { open_dataset("cifar10:" + folder.path + "#test"); }, why);
  };
  expect_refused([&] { open_dataset("cifar10:" + folder.path); }, "data_batch_1.bin: not found");
  const Bytes good = joined(cifar_record(1, 1), cifar_record(2, 2));
  refused({}, "0 bytes; a whole number of records of 3073");
  refused(Bytes(good.begin(), good.end() - 1), "6145 bytes");
  refused(joined(good, {0}), "6147 bytes");
  refused(Bytes(3074), "3074 bytes");
  refused(joined(cifar_record(1, 1), cifar_record(10, 2)),
          "label 10 in record 1; 0 to 9 are allowed");
}

TEST(RealData, MnistAndFashionMnist) {
  HAZE_NEEDS_DATA("mnist");
  HAZE_NEEDS_DATA("fashion-mnist");
  for (const std::string name : {"mnist", "fashion-mnist"}) {
    const std::string spec = "mnist:" + test::data_folder() + "/" + name;
    const Dataset train = open_dataset(spec), test = open_dataset(spec + "#test");
    EXPECT_EQ(std::vector({train.count, train.height, train.width, train.channels}),
              std::vector({60000, 28, 28, 1}));
    EXPECT_EQ(test.count, 10000);
    ASSERT_EQ(train.labels.size(), 60000u);
    const bool digits = name == "mnist";  // the first labels as published
    EXPECT_EQ(std::vector(train.labels.begin(), train.labels.begin() + 5),
              (digits ? std::vector<std::int32_t>{5, 0, 4, 1, 9}
                      : std::vector<std::int32_t>{9, 0, 0, 3, 0}));
    double mean = 0;
    for (const std::uint8_t v : train.images) mean += v;
    // 0.1307 and 0.2860: the normalisation constants that everyone uses for the two sets.
    EXPECT_NEAR(mean / 255 / double(train.images.size()), digits ? 0.1307 : 0.2860, 5e-5);
  }
}

}  // namespace
}  // namespace haze::apps
