// SPDX-License-Identifier: MIT
// checkpoint.h — checkpoints that survive a crash at any point, and are found again.
//
// One safetensors file per checkpoint, RUN/checkpoints/step-NNNNNNNN.safetensors, readable by any
// safetensors reader: tensors `model.<name>`, `ema.<name>`, `adam_m.<name>`, `adam_v.<name>` in
// PyTorch's layout, everything else as strings in the metadata. It holds no random or sampler
// state: both are functions of the step. The same state gives the same bytes.
//
//   metadata   format "haze-checkpoint/1"; step, seed (decimal); version; config (JSON text),
//              config_hash; dataset (fingerprint); classes (names by number, one a line; where
//              there are any); threads (where the run's bits depend on how many compute it);
//              hash.<tensor> of each tensor's bytes;
//              header_hash of the header's JSON with the digits of header_hash itself as '0'.
//              All hashes are XXH3-128, 32 hexadecimal digits.
//   writing    temporary file, reserved, data, header last, fsync, close, read back and compared,
//              renamed, directory fsynced: only then is it saved. Old ones go after that.
//   loading    newest first; one that fails any rule or hash is named and passed over.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/files/safetensors.h"

namespace haze::engine {

/// Exclusive use of a run folder, until it dies. Creates RUN and
/// RUN/checkpoints where absent and removes what killed writers left
/// there. InputError if another process (or object) has the folder.
class RunLock {
 public:
  RunLock(FileSystem& fs, const std::string& run);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  FileSystem& fs_;
  int fd_ = -1;
};

struct CheckpointMeta {
  std::uint64_t step = 0;  // steps done
  std::uint64_t seed = 0;
  std::string version;       // of the haze that wrote it
  std::string config;        // the resolved configuration, JSON
  std::string dataset;       // fingerprint of the training set
  std::string classes = {};  // names of its classes 0, 1, ..., one a line; "": none, or not kept
  int threads = 0;           // of the CPU, on which the run's bits depend; 0: they do not
  bool operator==(const CheckpointMeta&) const = default;
};

/// A host tensor to save: f32, row-major. The memory stays the caller's.
struct CheckpointTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::span<const float> values;
};

struct CheckpointOptions {
  int keep = 3;                  // newest ones kept; at least 2 are
  std::uint64_t keep_every = 0;  // steps that are multiples of this are kept too; 0: none
  bool verify = true;            // read back before naming; without it nothing is ever removed
};

struct SaveReport {
  std::string path;
  std::uint64_t bytes = 0;
  std::vector<std::string> messages;  // what a log should say: removed, replaced, could not remove
};

class CheckpointWriter {
 public:
  /// The caller holds the RunLock of `run`.
  CheckpointWriter(FileSystem& fs, std::string run, const CheckpointOptions& options = {});

  /// Writes a checkpoint on the calling thread. When it returns, the checkpoint is durable. Throws
  /// RunError if it cannot be made so, or if a value is not finite. On a full disk it makes room by
  /// removing the oldest ones that would go once this one is saved, while two verified ones remain;
  /// DiskFullError if that is not enough. Older ones are untouched otherwise.
  SaveReport save(const CheckpointMeta& meta, std::span<const CheckpointTensor> tensors);

  /// Never removes this step (the best one, say).
  void pin(std::uint64_t step) { pinned_.insert(step); }
  /// Says that a step's file was read and found whole, as load_newest_checkpoint's result was.
  void mark_verified(std::uint64_t step) { verified_.insert(step); }

 private:
  /// Steps that need not be kept, newest first; with `next`, as if that one were saved already.
  std::vector<std::uint64_t> spare(std::optional<std::uint64_t> next) const;
  bool remove(std::uint64_t step, std::vector<std::string>& messages);
  void remove_old(std::vector<std::string>& messages);
  /// The oldest of spare(next), to make room; false if there is none.
  bool remove_oldest(std::uint64_t next, std::vector<std::string>& messages);
  FileSystem& fs_;
  std::string run_;
  CheckpointOptions options_;
  std::set<std::uint64_t> verified_, pinned_;
};

/// A checkpoint's header: what can be judged before its data is read.
struct CheckpointHeader {
  std::string path;
  CheckpointMeta meta;
  std::vector<SafetensorsEntry> tensors;
  std::string hash;  // header_hash: as the header holds the hash of each tensor, one of all of it
};

/// A tensor as loaded: f32, PyTorch's layout.
struct LoadedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

struct Checkpoint {
  std::string path;
  CheckpointMeta meta;
  std::vector<LoadedTensor> tensors;  // by name, ascending; every hash was right
  std::vector<std::string> messages;  // newer ones that were passed over, and why
  std::string hash;                   // as of its header
};

/// Called with a header before data is read. What it throws leaves the load function: for what no
/// older checkpoint could mend, such as another configuration, data set or network.
using AcceptCheckpoint = std::function<void(const CheckpointHeader&)>;

/// Reads the header of one file and checks header_hash and config_hash. InputError if it is not a
/// whole header of a haze checkpoint.
CheckpointHeader read_checkpoint_header(FileSystem& fs, const std::string& path);

/// Of a run's newest checkpoint with a whole header, before anything is loaded; none if it has none.
std::optional<CheckpointHeader> newest_checkpoint_header(FileSystem& fs, const std::string& run);

/// Loads one file; only tensors whose names start with `prefix` ("ema.", say; empty: all).
Checkpoint load_checkpoint(FileSystem& fs, const std::string& path, const std::string& prefix = "",
                           const AcceptCheckpoint& accept = {});

/// Loads the newest whole checkpoint of a run. None if the run has no checkpoint files at all;
/// InputError that names each file and its fault if it has some and none is whole.
std::optional<Checkpoint> load_newest_checkpoint(FileSystem& fs, const std::string& run,
                                                 const std::string& prefix = "",
                                                 const AcceptCheckpoint& accept = {});

/// Steps of the checkpoint files in a run, ascending, by name only.
std::vector<std::uint64_t> list_checkpoints(FileSystem& fs, const std::string& run);
/// RUN/checkpoints/step-NNNNNNNN.safetensors
std::string checkpoint_path(const std::string& run, std::uint64_t step);

}  // namespace haze::engine
