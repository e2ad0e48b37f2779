// SPDX-License-Identifier: MIT
// instructions.h — which accesses of threads are one instruction of a warp, and what that costs.
//
// Lanes run one after the other here, so the k-th access that each lane of a warp makes at one
// address of code is taken for one instruction. Of it are counted
//   shared memory   wavefronts: 32 banks of 4 bytes; lanes that want different words of one bank
//                   take turns. 8-byte accesses go in halves of the warp, 16-byte ones (and the
//                   rows of ldmatrix) in quarters. Ideal: one wavefront for each such part
//   device memory   sectors of 32 bytes. Ideal: as many as the different bytes would fill
// (NVIDIA, "CUDA C++ Programming Guide", shared memory of compute capability 5.x and later;
// "Nsight Compute", memory tables.)
#pragma once
#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "kernels/simt/trace/cells.h"
#include "kernels/simt/trace/trace.h"

namespace haze::simt {

/// A thread's own loads and stores; its asynchronous copies; its rows of ldmatrix.
enum class By : std::uint8_t { thread, copy, ldmatrix };

/// A place in the code, as it touches one memory.
struct AccessSite {
  const void* pc;
  Space space;
  Access kind;
  unsigned bytes;
  By by;
};

struct Cost {
  std::uint64_t instructions = 0, transactions = 0, ideal = 0;
  double worst = 0;  // transactions / ideal of the worst instruction
  void add(std::uint64_t t, std::uint64_t i);
  void add(const Cost& c);
};

/// What the active lanes of a warp touch at once.
struct WarpAccess {
  std::uint32_t lanes = 0;
  std::uintptr_t address[32];
};
/// Wavefronts and sectors: what was needed, and the ideal.
struct Transactions {
  unsigned count, ideal;
};
Transactions wavefronts(const WarpAccess& access, unsigned bytes);
Transactions sectors(const WarpAccess& access, unsigned bytes);

class Instructions {
 public:
  using Done = std::function<void(unsigned site, const WarpAccess&)>;
  explicit Instructions(Done done) : done_(std::move(done)) {}

  unsigned site_of(const void* pc, Space space, Access kind, unsigned bytes, By by);
  const AccessSite& site(unsigned i) const { return sites_[i]; }
  unsigned sites() const { return unsigned(sites_.size()); }

  void begin_block(int threads);
  void add(unsigned site, int warp, int lane, std::uintptr_t address);
  void end_block();

 private:
  struct Pending {  // instructions at one site that not all lanes have come to
    std::uint32_t made[32] = {};
    std::uint32_t complete = 0;
    std::vector<WarpAccess> open;  // number `complete`, `complete` + 1, ...
  };
  struct Warp {
    std::uint32_t lanes;
    std::vector<Pending> at;  // by site
  };
  Done done_;
  std::vector<AccessSite> sites_;
  std::unordered_map<std::uint64_t, unsigned> index_;
  struct Recent {
    std::uint64_t key = 0;
    unsigned site = 0;
  };
  std::vector<Recent> recent_ = std::vector<Recent>(1024);
  std::vector<Warp> warps_;
};

}  // namespace haze::simt
