// SPDX-License-Identifier: MIT
#include <algorithm>
#include <limits>

#include "apps/data/input_file.h"
#include "kernels/base/check.h"

namespace haze::apps {
namespace {
// Deflate spends at least one bit on a copy of up to 258 bytes: nothing inflates further than about
// 1030:1, so a header that promises more is lying.
constexpr std::uint64_t kMostRatio = 1100;
constexpr std::size_t kBlock = 64 << 10;
}  // namespace

ByteSource::ByteSource(const std::string& path, std::uint64_t limit) : file_(path, limit) {
  first_ = file_.first();
  // Browsers unpack files and keep their names, servers do the reverse: the content decides.
  if (!first_.starts_with("\x1f\x8b")) return;
  block_.resize(kBlock);
  zlib_ = std::make_unique<z_stream>();
  // 15: the largest window. 16: a gzip wrapper and no other, with its checksum and length.
  if (inflateInit2(zlib_.get(), 15 + 16) != Z_OK) throw RunError("zlib: cannot start inflating");
}

ByteSource::~ByteSource() {
  if (zlib_) inflateEnd(zlib_.get());
}

std::uint64_t ByteSource::most_left() const {
  if (!zlib_) return file_.size() - position_;
  return file_.size() * kMostRatio - std::min(produced_, file_.size() * kMostRatio);
}

std::size_t ByteSource::inflate_some(std::span<std::uint8_t> out) {
  std::size_t done = 0;
  while (done < out.size() && !ended_) {
    if (zlib_->avail_in == 0) {
      const std::size_t take =
          std::size_t(std::min<std::uint64_t>(kBlock, file_.size() - position_));
      if (take == 0)
        throw InputError(cat(name(), ": ends inside the gzip stream after ", produced_ + done,
                             " bytes of content; a complete file is needed"));
      file_.read_at(position_, {block_.data(), take});
      position_ += take;
      zlib_->next_in = block_.data();
      zlib_->avail_in = uInt(take);
    }
    const uInt room = uInt(std::min<std::size_t>(out.size() - done, 1u << 30));
    zlib_->next_out = out.data() + done;
    zlib_->avail_out = room;
    const int result = inflate(zlib_.get(), Z_NO_FLUSH);
    done += room - zlib_->avail_out;
    ended_ = result == Z_STREAM_END;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
      throw InputError(cat(name(), ": ", zlib_->msg ? zlib_->msg : "damaged gzip stream",
                           " near byte ", position_ - zlib_->avail_in,
                           "; an intact gzip file is needed"));
  }
  produced_ += done;
  return done;
}

void ByteSource::read(std::span<std::uint8_t> out) {
  if (!zlib_) {
    file_.read_at(position_, out);
    position_ += out.size();
  } else if (inflate_some(out) < out.size()) {
    throw InputError(
        cat(name(), ": holds ", produced_, " bytes of content; its header promises more"));
  }
}

void ByteSource::expect_end() {
  if (!zlib_) {
    if (position_ != file_.size())
      throw InputError(cat(name(), ": ", file_.size() - position_,
                           " bytes too many; its header promises ", position_));
    return;
  }
  std::uint8_t extra;  // asking for one byte more makes zlib check the trailer
  if (inflate_some({&extra, 1}) != 0)
    throw InputError(
        cat(name(), ": content goes on; its header promises ", produced_ - 1, " bytes"));
  if (zlib_->avail_in != 0 || position_ != file_.size())
    throw InputError(cat(name(), ": ", zlib_->avail_in + (file_.size() - position_),
                         " bytes behind the gzip stream; one stream and nothing else is allowed"));
}

}  // namespace haze::apps
