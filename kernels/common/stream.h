// stream.h — where work runs. A backend is a specialisation of each kernel on the stream type,
// chosen once per op by std::visit. A backend that is missing is a link error naming the function.
#pragma once
#include <variant>

namespace haze {

/// Work runs at once on the calling thread, in OpenMP threads and oneDNN.
struct CpuStream {};

using Stream = std::variant<CpuStream>;

}  // namespace haze
