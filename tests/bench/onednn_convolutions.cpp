// SPDX-License-Identifier: MIT
// onednn_convolutions.cpp — what a network's convolutions cost in oneDNN alone: the floor that
// scripts/bench-cpu holds a training step against.
//
// Reads one convolution per line from stdin: "pass type n ci h w co ho wo kh kw stride pad_h pad_w
// pad_h_end pad_w_end" with pass forward | data | weights and type f32 | bf16. Activations are
// NHWC, as haze keeps them; weights are in whatever format oneDNN likes best, and nothing is
// reordered. Every primitive has buffers of its own. Runs the list in its order ROUNDS times
// (argument, default 7) after two rounds of warm-up and prints the median milliseconds of a round,
// then one line per convolution with its own median and GFLOP/s.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <oneapi/dnnl/dnnl.hpp>
#include <sstream>
#include <unordered_map>

namespace {

using dnnl::memory;
using Clock = std::chrono::steady_clock;

struct Convolution {
  std::string pass, type;
  int n, ci, h, w, co, ho, wo, kh, kw, stride, top, left, bottom, right;
  double flops() const { return 2.0 * n * ho * wo * co * ci * kh * kw; }
};

struct Job {
  dnnl::primitive primitive;
  std::unordered_map<int, memory> arguments;
  std::vector<double> milliseconds;
};

memory buffer(const memory::desc& desc, const dnnl::engine& engine) {
  memory m(desc, engine);
  std::memset(m.get_data_handle(), 0, desc.get_size());
  return m;
}

Job make_job(const Convolution& c, const dnnl::engine& engine) {
  const auto type = c.type == "bf16" ? memory::data_type::bf16 : memory::data_type::f32;
  const auto f32 = memory::data_type::f32;
  using tag = memory::format_tag;
  const memory::desc x({c.n, c.ci, c.h, c.w}, type, tag::nhwc),
      y({c.n, c.co, c.ho, c.wo}, type, tag::nhwc), w({c.co, c.ci, c.kh, c.kw}, type, tag::any),
      dw({c.co, c.ci, c.kh, c.kw}, f32, tag::any), b({c.co}, f32, tag::x);
  const memory::dims strides{c.stride, c.stride}, lo{c.top, c.left}, hi{c.bottom, c.right};
  const auto direct = dnnl::algorithm::convolution_direct;
  const auto training = dnnl::prop_kind::forward_training;
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::convolution_forward::primitive_desc fwd(engine, training, direct, x, w, b, y, strides,
                                                      lo, hi);
#else
  const dnnl::convolution_forward::primitive_desc fwd(
      {training, direct, x, w, b, y, strides, lo, hi}, engine);
#endif
  if (c.pass == "forward")
    return {dnnl::convolution_forward(fwd),
            {{DNNL_ARG_SRC, buffer(x, engine)},
             {DNNL_ARG_WEIGHTS, buffer(fwd.weights_desc(), engine)},
             {DNNL_ARG_BIAS, buffer(b, engine)},
             {DNNL_ARG_DST, buffer(y, engine)}},
            {}};
  if (c.pass == "data") {
#if DNNL_VERSION_MAJOR >= 3
    const dnnl::convolution_backward_data::primitive_desc bwd(engine, direct, x, w, y, strides, lo,
                                                              hi, fwd);
#else
    const dnnl::convolution_backward_data::primitive_desc bwd({direct, x, w, y, strides, lo, hi},
                                                              engine, fwd);
#endif
    return {dnnl::convolution_backward_data(bwd),
            {{DNNL_ARG_DIFF_SRC, buffer(x, engine)},
             {DNNL_ARG_WEIGHTS, buffer(bwd.weights_desc(), engine)},
             {DNNL_ARG_DIFF_DST, buffer(y, engine)}},
            {}};
  }
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::convolution_backward_weights::primitive_desc bwd(engine, direct, x, dw, b, y, strides,
                                                               lo, hi, fwd);
#else
  const dnnl::convolution_backward_weights::primitive_desc bwd(
      {direct, x, dw, b, y, strides, lo, hi}, engine, fwd);
#endif
  return {dnnl::convolution_backward_weights(bwd),
          {{DNNL_ARG_SRC, buffer(x, engine)},
           {DNNL_ARG_DIFF_WEIGHTS, buffer(bwd.diff_weights_desc(), engine)},
           {DNNL_ARG_DIFF_BIAS, buffer(b, engine)},
           {DNNL_ARG_DIFF_DST, buffer(y, engine)}},
          {}};
}

double median(std::vector<double> v) {
  std::ranges::nth_element(v, v.begin() + std::ptrdiff_t(v.size() / 2));
  return v[v.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 7, warm_up = 2;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  std::vector<Convolution> list;
  std::vector<Job> jobs;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    Convolution c;
    if (!(in >> c.pass >> c.type >> c.n >> c.ci >> c.h >> c.w >> c.co >> c.ho >> c.wo >> c.kh >>
          c.kw >> c.stride >> c.top >> c.left >> c.bottom >> c.right)) {
      std::fprintf(stderr, "onednn_convolutions: not a convolution: %s\n", line.c_str());
      return 2;
    }
    jobs.push_back(make_job(c, engine));
    list.push_back(c);
  }
  std::vector<double> totals;
  for (int round = 0; round < warm_up + rounds; ++round) {
    double total = 0;
    for (Job& job : jobs) {
      const auto start = Clock::now();
      job.primitive.execute(stream, job.arguments);
      stream.wait();
      const double ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
      total += ms;
      if (round >= warm_up) job.milliseconds.push_back(ms);
    }
    if (round >= warm_up) totals.push_back(total);
  }
  if (totals.empty() || list.empty()) return 2;
  std::printf("total_ms %.3f\n", median(totals));
  for (std::size_t i = 0; i < list.size(); ++i) {
    const double ms = median(jobs[i].milliseconds);
    std::printf("%s %s n%d %dx%d %d->%d k%d s%d  %.3f ms  %.0f GFLOP/s\n", list[i].pass.c_str(),
                list[i].type.c_str(), list[i].n, list[i].h, list[i].w, list[i].ci, list[i].co,
                list[i].kh, list[i].stride, ms, list[i].flops() / ms / 1e6);
  }
}
