// commands.h — the subcommands. Each returns the exit code and throws what main.cpp maps to one.
#pragma once
#include <string>
#include <vector>

#include "apps/console.h"
#include "apps/options.h"

namespace haze::apps {

/// What a command is given besides its options.
struct Program {
  const CommonOptions& common;
  Console& console;
  const std::vector<std::string>& arguments;  // the command line, for run.json
};

int run_train(const TrainOptions& options, Program program);
int run_sample(const SampleOptions& options, Program program);
int run_points(const PointsOptions& options, Program program);
int run_edit(const EditOptions& options, Program program);
int run_verify(const VerifyOptions& options, Program program);
int run_export(const ExportOptions& options, Program program);
int run_data(const DataOptions& options, Program program);
int run_bench(const BenchOptions& options, Program program);
int run_eval(const EvalOptions& options, Program program);
int run_classifier(const ClassifierOptions& options, Program program);
int run_info(const InfoOptions& options, Program program);

}  // namespace haze::apps
