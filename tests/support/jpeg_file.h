// SPDX-License-Identifier: MIT
// jpeg_file.h — JPEG files for tests, written by libjpeg.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <jpeglib.h>
#include <vector>

#include "tests/support/pictures.h"

namespace haze::test {

struct JpegOptions {
  int quality = 95;
  std::vector<jpeg_scan_info> scans = {};  // not empty: progressive, with these
  bool progressive = false;                // with libjpeg's own scans
  Bytes app1 = {};                         // content of an APP1 segment
};

/// `pixels` [height, width, channels]; 4 channels are CMYK with Adobe's marker (stored inverted).
inline Bytes jpeg_file(const Bytes& pixels, int height, int width, int channels,
                       const JpegOptions& options = {}) {
  jpeg_compress_struct c{};
  jpeg_error_mgr errors;
  c.err = jpeg_std_error(&errors);  // a mistake of the test ends it
  jpeg_create_compress(&c);
  unsigned char* to = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&c, &to, &size);
  c.image_width = JDIMENSION(width);
  c.image_height = JDIMENSION(height);
  c.input_components = channels;
  c.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&c);
  jpeg_set_quality(&c, options.quality, TRUE);
  for (int i = 0; i < c.num_components; ++i)  // colour at full resolution: values stay close
    c.comp_info[i].h_samp_factor = c.comp_info[i].v_samp_factor = 1;
  if (options.progressive) jpeg_simple_progression(&c);
  if (!options.scans.empty()) {
    c.scan_info = options.scans.data();
    c.num_scans = int(options.scans.size());
  }
  jpeg_start_compress(&c, TRUE);
  if (!options.app1.empty())
    jpeg_write_marker(&c, JPEG_APP0 + 1, options.app1.data(), unsigned(options.app1.size()));
  while (c.next_scanline < c.image_height) {
    auto* row =
        const_cast<JSAMPLE*>(pixels.data()) + std::size_t(c.next_scanline) * width * channels;
    jpeg_write_scanlines(&c, &row, 1);
  }
  jpeg_finish_compress(&c);
  jpeg_destroy_compress(&c);
  Bytes file(to, to + size);
  std::free(to);
  return file;
}

}  // namespace haze::test
