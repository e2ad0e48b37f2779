// SPDX-License-Identifier: MIT
// debugging.h — what the environment variable HAZE_DEBUG turns off, to find out where a fault on a
// device comes from. Results keep every bit; only time and memory change.
#pragma once

namespace haze::engine {

/// HAZE_DEBUG=word,word: each word makes one of these false.
struct Debugging {
  bool graphs = true;         // no-graphs: CUDA work is called each time, never captured (replay.h)
  bool resident_data = true;  // streamed-data: each step's images are sent to the device
  /// separate-memory: each allocation of the arena is one of the device's, of just its bytes, and
  /// is given back at once, so that a memory checker sees what goes beyond its end. Without graphs,
  /// because addresses then change.
  bool arena = true;
};
/// As the environment has it now. Throws InputError for a word that is none of these.
Debugging debugging();

}  // namespace haze::engine
