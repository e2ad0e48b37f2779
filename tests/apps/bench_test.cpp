// SPDX-License-Identifier: MIT
// bench_test.cpp — haze bench: what it times, what it names, what it refuses. That a time is right
// no test can say; that what is timed computes the same as the shipped kernel, these do.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <tuple>
#include <unistd.h>

#include "engine/bench/kernel_cases.h"
#include "engine/device.h"
#include "kernels/base/plan.h"
#include "tests/apps/program.h"

namespace haze::test {
namespace {

using testing::HasSubstr;

nlohmann::json bench_kernels(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"bench", "kernels", "--json"});
  const Outcome got = haze(arguments);
  EXPECT_EQ(got.code, 0) << got.err;
  return nlohmann::json::parse(got.out);
}

TEST(Bench, TimesKernelsAndSteps) {
  const auto json =
      bench_kernels({"-k", "group_norm,mse,mse", "--shape", "n=2,h=4,c=8", "--shape",
                     "n=2,h=4,c=8,co=8", "--device", "cpu"});  // what is named twice comes once
  EXPECT_EQ(json["results"].size(), 3u);  // forward, backward, mse; not group_norm_swish
  EXPECT_EQ(json["results"][0]["kernel"], "group_norm.forward");
  EXPECT_EQ(json["results"][0]["impl"], "haze");
  EXPECT_EQ(json["results"][0]["shape"], "n=2,h=4,c=8,co=8");
  EXPECT_EQ(json["results"][0]["bytes"], 2 * 4 * 2 * 16 * 8);
  for (const char* caches : {"cold", "hot"}) {
    EXPECT_GT(json["results"][0][caches]["median_ns"], 0);
    EXPECT_EQ(json["results"][0][caches]["samples_ns"].size(), 15u);
  }
  EXPECT_GT(json["roof"]["copy_GBs"], 0);
  const Outcome sample = haze({"bench", "sample", "--config", "mnist", "--batch", "1", "--steps",
                               "1", "--set", "model.n_channels=8", "--json"});
  EXPECT_EQ(sample.code, 0) << sample.err;
  EXPECT_EQ(nlohmann::json::parse(sample.out)["what"], "sample");
  EXPECT_THAT(haze({"bench", "kernels", "--list"}).out, HasSubstr("conv3x3.wgrad\n"));
}

#if defined(HAZE_CUDA)
TEST(Bench, SaysWhatABlockIsAskedToHaveAndWhatBothClocksSay) {
  const Outcome step = haze({"bench", "step", "--config", "mnist", "--batch", "1", "--steps", "1",
                             "--warmup", "0", "--set", "model.n_channels=8", "--set",
                             "data.image_size=[8,8]", "--device", "cuda", "--json"});
  ASSERT_EQ(step.code, 0) << step.err;
  const auto use = nlohmann::json::parse(step.out)["shared_memory"];
  EXPECT_GT(use["bytes"], 16 * 1024);  // a ring of four stages at least
  EXPECT_LE(use["bytes"], use["limit"]);
  EXPECT_THAT(std::string(use["kernel"]), testing::Not(testing::IsEmpty()));
  const auto json =
      bench_kernels({"-k", "mse", "--shape", "n=2,h=4,c=8", "--device", "cuda"})["timers"];
  for (const char* time : {"empty_hot_ns", "empty_cold_ns", "lengthy_hot_ns", "lengthy_cold_ns"})
    EXPECT_GT(json[time], 0) << time;
}

// One token more, and the row of scores that it keeps is beyond the 99 KiB of some GPUs.
TEST(Bench, LeavesOutTheVersionThatHasNoRoomForTheTokens) {
  Plan plan;  // nothing is computed
  engine::Context context(planning(engine::open_cuda(0), plan));
  for (const auto& [name, side, there] : {std::tuple{"attention.forward", 158, true},
                                          {"attention.forward", 159, false},
                                          {"attention.backward", 111, true},
                                          {"attention.backward", 112, false}}) {
    const engine::KernelCase at = engine::kernel_case(context, name, {1, side, 8, 8});
    const auto is_v1 = [](const engine::Peer& peer) { return peer.impl.starts_with("v1"); };
    EXPECT_EQ(std::ranges::any_of(at.peers, is_v1), there) << name << ' ' << side;
  }
}
#endif

TEST(Bench, RefusesWhatItCannotTime) {
  for (const auto& [arguments, why] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"bench", "everything"}, "bench: everything; what to time is step, sample or kernels"},
           {{"bench", "kernels", "-k", "conv7x7"}, "--kernel: conv7x7"},
           {{"bench", "kernels", "-k", "conv3x3.forward/v9"}, "--kernel: conv3x3.forward/v9"},
           {{"bench", "kernels", "--explain", "conv7x7"}, "--explain: conv7x7"},
           {{"bench", "kernels", "--shape", "n=0"}, "--shape: n=0"},
           {{"bench", "kernels", "--steps", "3"}, "--steps: given with kernels; it belongs to"},
           {{"bench", "step", "--config", "mnist", "-k", "add"}, "--kernel: given with step"},
           {{"bench", "sample", "--config", "mnist", "--warmup", "3"}, "--warmup: given with"},
           {{"bench", "kernels", "--list", "--json"}, "--json: given with --list"},
           {{"bench", "kernels", "x.json"}, "bench kernels: x.json; files are for compare"},
           {{"bench", "kernels", "--out", "-"}, "--out: -; a file"},
           {{"bench", "kernels", "--list", "--out", "x"}, "--out: given with --list"},
           {{"bench", "step", "--fail-on", "3"}, "--fail-on: given with bench step"},
           {{"bench", "compare", "x.json"}, "haze bench compare BEFORE.json AFTER.json"},
           {{"bench", "compare", "x.json", "y.json"}, "x.json: No such file"},
           {{"bench", "compare", "x.json", "y.json", "--fail-on", "%"},
            "--fail-on: %; a number from 0 to 1000"},
           {{"bench", "compare", "x.json", "y.json", "--fail-on", "3%%"},
            "--fail-on: 3%%; a number from 0 to 1000"},
           {{"bench", "kernels", "--steps", "20%"}, "--steps: 20%; a whole number"},
           {{"bench", "compare", "x.json", "y.json", "--steps", "3"},
            "--steps: given with compare"},
           {{"bench", "kernels", "--shape", "q=3"}, "--shape: q=3"}}) {
    const Outcome got = haze(arguments);
    EXPECT_EQ(got.code, 2) << got.err;
    EXPECT_THAT(got.err, HasSubstr(why));
  }
}

/// A file of `haze bench kernels --json` with these samples for conv3x3.forward, and one for add.
std::string result_file(const std::string& name, std::vector<double> samples) {
  const auto path = fs::temp_directory_path() / cat("haze-compare-", ::getpid(), "-", name);
  const auto row = [](const char* kernel, const char* impl, const std::vector<double>& ns) {
    return nlohmann::json{{"kernel", kernel},
                          {"impl", impl},
                          {"shape", "n=1,h=4,c=8,co=8"},
                          {"dtype", "bf16"},
                          {"cold", {{"samples_ns", ns}}}};
  };
  std::ofstream(path) << nlohmann::json{
      {"schema", "haze-bench/1"},
      {"what", "kernels"},
      {"device", "a device"},
      {"results", {row("conv3x3.forward", "haze", samples), row("add", "cudnn", {5, 5, 5})}}};
  return path;
}

TEST(Bench, ComparesResults) {
  struct Case {
    std::vector<double> after;
    const char* verdict;
    int code;  // with --fail-on 10
  };
  const std::vector<double> before{100, 101, 102, 103, 104};
  const std::string first = result_file("before", before);
  for (const Case& c :
       {Case{{90, 91, 92, 93, 94}, "faster", 0},
        // The extremes overlap, the middles do not:
        Case{{50, 50, 50, 50, 100.5}, "faster", 0}, Case{{103, 105, 105, 105, 105}, "slower", 0},
        Case{{110, 110, 110, 110, 110}, "slower", 0},  // by 7.8 %
        Case{{120, 120, 120, 120, 120}, "slower", 1}, Case{{99, 100, 103, 104, 105}, "same", 0},
        Case{{90, 101, 120, 200, 210}, "unclear", 0}}) {
    const std::string second = result_file("after", c.after);
    const Outcome got = haze({"bench", "compare", first, second, "--json", "--fail-on", "10"});
    EXPECT_EQ(got.code, c.code) << got.err;
    EXPECT_EQ(haze({"bench", "compare", first, second, "--fail-on", "10%"}).code, c.code);
    EXPECT_EQ(haze({"bench", "compare", first, second}).code, 0);
    const auto rows = nlohmann::json::parse(got.out)["results"];
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[0]["what"], "conv3x3.forward n=1,h=4,c=8,co=8 bf16");
    EXPECT_EQ(rows[0]["verdict"], c.verdict);
    EXPECT_DOUBLE_EQ(rows[0]["ratio"], c.after[2] / 102);
    EXPECT_EQ(rows[1]["what"], "add/cudnn n=1,h=4,c=8,co=8 bf16");
    EXPECT_EQ(rows[1]["verdict"], "same");
    fs::remove(second);
  }
  for (const char* bad :
       {"", "{}", "[1]", "{\"schema\": \"haze-bench/1\"}",
        R"({"schema": "haze-bench/1", "device": "d", "what": "kernels",
                              "results": [{"kernel": 3}]})",
        R"({"schema": "haze-bench/1", "device": "d", "what": "kernels", "results": [
            {"kernel": "\u001b[31m", "impl": "haze", "shape": "", "dtype": "", "cold": {"samples_ns": [1]}},
            {"kernel": "\u001b[31m", "impl": "haze", "shape": "", "dtype": "", "cold": {"samples_ns": [1]}}]})",
        R"({"schema": "haze-bench/1", "device": "d", "what": "step", "config": "c",
                              "batch": 1, "threads": 1, "precision": "f32", "milliseconds": []})"}) {
    const std::string broken = first + "-broken";
    std::ofstream(broken) << bad;
    const Outcome got = haze({"bench", "compare", first, broken});
    EXPECT_EQ(got.code, 2) << bad;
    EXPECT_THAT(got.err, HasSubstr(broken + ": not what haze bench --out writes; ")) << bad;
    EXPECT_EQ(got.err.find('\x1b'), got.err.npos) << bad;  // a file does not steer the terminal
    fs::remove(broken);
  }
  fs::remove(first);
}

TEST(Bench, ComparesWhatItMeasured) {
  const auto made = [](const char* precision) {
    const auto path = fs::temp_directory_path() / cat("haze-step-", ::getpid(), "-", precision);
    const Outcome got = haze({"bench", "step", "--config", "mnist", "--batch", "1", "--steps", "2",
                              "--warmup", "0", "--set", "model.n_channels=8", "--device", "cpu",
                              "--precision", precision, "--out", path});
    EXPECT_THAT(got.out, HasSubstr("| mnist | "));  // the table comes all the same
    return path.string();
  };
  const std::string f32 = made("f32"), bf16 = made("bf16");
  EXPECT_THAT(haze({"bench", "compare", f32, f32}).out, HasSubstr("| step mnist batch=1 threads="));
  EXPECT_THAT(haze({"bench", "compare", f32, bf16}).err, HasSubstr("; no result is in both"));
  fs::remove(f32);
  fs::remove(bf16);
}

/// A folder of kernels/ with a contract is a kernel; its cases are called after it.
/// What a folder of kernels/ computes: its own name, or in pointwise/ each function's; nothing if it
/// is a room without a kernel.
std::vector<std::string> kernels_of(const fs::path& folder) {
  const std::string name = folder.filename();
  if (!fs::exists(folder / (name + ".cu")) && !fs::exists(folder / "reference.h")) return {};
  if (name == "conv2d") return {"conv3x3"};
  if (name != "pointwise") return {name};
  std::vector<std::string> functions;
  for (const auto& file : fs::directory_iterator(folder)) {
    const std::string function = file.path().stem();
    if (file.path().extension() == ".h" && function != "pointwise" && function != "reference")
      functions.push_back(function);
  }
  return functions;
}

TEST(Bench, EveryKernelHasACase) {
  const auto names = engine::kernel_case_names();
  int kernels = 0;
  for (const auto& folder : fs::directory_iterator(fs::path(test::source_dir()) / "kernels"))
    for (const std::string& kernel : kernels_of(folder.path())) {
      ++kernels;
      EXPECT_TRUE(std::ranges::any_of(names, [&](const std::string& known) {
        return known.starts_with(kernel);
      })) << kernel;
    }
  EXPECT_GE(kernels, 24);
}

/// Names are lines of their own; a line that begins with # says what a shape means to those below.
TEST(Bench, ListsWhatAShapeMeansToEachKernel) {
  std::string reading;
  std::vector<std::string> names;
  for (const std::string& line : lines(haze({"bench", "kernels", "--list"}).out)) {
    if (line.starts_with("# ")) {
      EXPECT_NE(line.substr(2), reading);
      reading = line.substr(2);
      continue;
    }
    names.push_back(line);
    EXPECT_EQ(engine::shape_reading(line.substr(0, line.find('/'))), reading) << line;
  }
  EXPECT_EQ(names, engine::kernel_case_names());
  EXPECT_EQ(engine::shape_reading("matmul.dgrad"), "n*h*h rows, from c to co features");
  EXPECT_EQ(engine::shape_reading("concat.backward"), "images [n,h,h,c] beside [n,h,h,co]");
  EXPECT_EQ(engine::shape_reading("swish.forward"), "images [n,h,h,c]");
  EXPECT_THROW(engine::shape_reading("conv7x7"), InputError);
  engine::Context context(CpuStream{}, DType::f32);
  try {
    engine::kernel_case(context, "matmul.forward", {2, 0, 3, 4});
    ADD_FAILURE() << "h=0 was taken";
  } catch (const InputError& e) {
    EXPECT_THAT(e.what(), HasSubstr("n=2,h=0,c=3,co=4; n*h*h rows, from c to co features"));
  }
}

/// Every case runs at a size that divides nothing, on the CPU and where there is one on the device,
/// and says what it must move and how long it took.
TEST(Bench, EveryCaseRuns) {
  for (const Stream& stream : streams())
    for (const DType type : {DType::f32, DType::bf16}) {
      engine::Context context(stream, type);
      for (const std::string& name : engine::kernel_case_names()) {
        if (name.find('/') != name.npos) continue;
        const auto at = engine::kernel_case(context, name, {2, 3, 10, 7});
        EXPECT_GT(at.bytes, 0) << name;
        at.run();
        engine::synchronise(context);
      }
    }
}

#if defined(HAZE_CUDA)
/// The versions that are named are those that there are, each beside the shipped kernel, with the
/// same result. f32: sums of at most 90 products and 16 tokens, which differ in order and in how a
/// product is rounded, 2^-24 each, by a random walk under 10·2^-24; ten times that is allowed, for
/// what exp and rsqrt add. bf16: one rounding of the result by 2^-9 at most, and one of attention's
/// probabilities and gradients.
TEST(Bench, EarlierVersionsComputeTheSame) {
  const Stream stream = streams().back();
  ASSERT_TRUE(std::holds_alternative<CudaStream>(stream));
  const auto named = engine::kernel_case_names();
  std::vector<std::string> found;
  for (const DType type : {DType::f32, DType::bf16}) {
    engine::Context context(stream, type);
    found.clear();
    for (const std::string& name : named) {
      if (name.find('/') != name.npos) continue;
      found.push_back(name);
      const auto at = engine::kernel_case(context, name, {2, 4, 10, 7});
      for (const engine::Peer& peer : at.peers) {
        found.push_back(name + "/" + peer.impl);
        const double apart = engine::difference(context, at, peer);
        EXPECT_LT(apart, type == DType::f32 ? 6e-6 : 0.008) << found.back();
        EXPECT_GE(apart, 0) << found.back();  // not NaN
      }
    }
    auto want = named;
    if (type == DType::f32)  // whose versions on tensor cores are of bf16 alone
      std::erase_if(want, [](const std::string& name) {
        return name.ends_with("/v3_tensor_cores") || name.ends_with("/v4_async") ||
               name.ends_with("/v5_swizzle");
      });
    EXPECT_EQ(found, want);
  }
}

TEST(Bench, TimesEarlierVersionsBesideTheShippedKernel) {
  const std::vector<std::string> tiny{"--shape", "n=1,h=4,c=8", "--device", "cuda"};
  const auto with = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), tiny.begin(), tiny.end());
    return arguments;
  };
  const auto rows = bench_kernels(with({"-k", "conv3x3.forward,group_norm.backward"}))["results"];
  ASSERT_EQ(rows.size(), 5u);
  const std::vector<std::string> impls{"haze", "v1_naive", "v2_tiled", "haze", "v1_naive"};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i]["impl"], impls[i]);
    EXPECT_EQ(rows[i]["kernel"], i < 3 ? "conv3x3.forward" : "group_norm.backward");
    const double shipped = rows[i < 3 ? 0 : 3]["cold"]["median_ns"];
    const double own = rows[i]["cold"]["median_ns"];
    EXPECT_GT(own, 0);
    EXPECT_DOUBLE_EQ(rows[i]["ratio"], own / shipped);
    EXPECT_LT(rows[i]["difference"], 1e-5);
  }
  const auto one = bench_kernels(with({"-k", "conv3x3.forward/v2_tiled"}))["results"];
  ASSERT_EQ(one.size(), 2u);
  EXPECT_EQ(one[0]["impl"], "haze");
  EXPECT_EQ(one[1]["impl"], "v2_tiled");
  const char* each = "conv3x3.forward/v2_tiled,conv3x3.forward/v1_naive,conv3x3.forward/v2_tiled";
  EXPECT_EQ(bench_kernels(with({"-k", each}))["results"].size(), 3u);  // haze and each version once
  EXPECT_THAT(haze(with({"bench", "kernels", "-k", "conv3x3.forward"})).out,
              HasSubstr("| v2_tiled | "));
  EXPECT_THAT(haze({"bench", "kernels", "--list"}).out,
              HasSubstr("conv3x3.forward\nconv3x3.forward/v1_naive\nconv3x3.forward/v2_tiled\n"));
  for (const char* named :
       {"conv3x3.forward/v1_naive", "conv3x3.forward,conv3x3.forward/v1_naive"}) {
    const Outcome cpu =
        haze({"bench", "kernels", "-k", named, "--shape", "n=1,h=4,c=8", "--device", "cpu"});
    EXPECT_EQ(cpu.code, 2);
    EXPECT_THAT(cpu.err, HasSubstr("conv3x3.forward/v1_naive; a version for --device cuda"));
  }
}

TEST(Bench, ExplainsEarlierVersions) {
  const Outcome got = haze({"bench", "kernels", "--explain", "conv3x3.forward/v1_naive", "--shape",
                            "n=1,h=4,c=8,co=8", "--shape", "n=2,h=4,c=8,co=8"});
  if (fs::exists(fs::path(test::haze_program()).parent_path() / "haze-traced")) {
    EXPECT_EQ(got.code, 0) << got.err;
    EXPECT_THAT(got.out, HasSubstr("conv3x3.forward/v1_naive, n=1,h=4,c=8,co=8, f32\n"));
    EXPECT_THAT(got.out, HasSubstr("conv3x3.forward/v1_naive, n=2,h=4,c=8,co=8, f32\n"));
    EXPECT_THAT(got.out, HasSubstr("naive<float>"));
    EXPECT_THAT(got.out, HasSubstr("v1_naive.cu:"));
  } else {
    EXPECT_EQ(got.code, 2);
    EXPECT_THAT(got.err, HasSubstr("this build has no traced kernels"));
  }
}
#endif

}  // namespace
}  // namespace haze::test
