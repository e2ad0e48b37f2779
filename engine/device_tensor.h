// SPDX-License-Identifier: MIT
// device_tensor.h — tensors made, filled, read and converted: the one place that moves memory
// between host and device.
//
// All of it happens in stream order. Where a Stream is asked for, a Context will do. Sizes and
// types that do not fit throw CheckError with both in the text.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "engine/context.h"
#include "engine/tensor.h"

namespace haze::engine {

/// How long memory is held: within one step (from the arena), or across steps (memory of its own,
/// because the arena can only be consolidated when nothing in it is live).
enum class Lifetime : std::uint8_t { step, run };

// ---- made ---------------------------------------------------------------------------------------

/// Uninitialised memory. Throws RunError with the size when there is none.
Tensor empty(Context& context, Shape shape, DType type, Lifetime lifetime = Lifetime::step);
/// The same with Lifetime::run, which needs no arena.
Tensor lasting(const Stream& stream, Shape shape, DType type);
/// Zeros of any type.
Tensor zeros(Context& context, Shape shape, DType type, Lifetime lifetime = Lifetime::step);
/// Uninitialised bytes from the arena, for one kernel call; null for 0 bytes.
std::shared_ptr<void> scratch(Context& context, std::size_t bytes);

/// Host values as a tensor on the device, of the type of the values.
Tensor upload(Context& context, Shape shape, std::span<const float> values,
              Lifetime lifetime = Lifetime::step);
Tensor upload(Context& context, Shape shape, std::span<const std::int32_t> values,
              Lifetime lifetime = Lifetime::step);
Tensor upload(Context& context, Shape shape, std::span<const std::uint8_t> values,
              Lifetime lifetime = Lifetime::step);
/// Host values as a tensor that is only read: on the CPU the values themselves, which must stay.
Tensor resident(const Stream& stream, Shape shape, std::span<const float> values);
Tensor resident(const Stream& stream, Shape shape, std::span<const std::uint8_t> values);

/// Elements [first, first + n) of the first axis; shares storage.
Tensor rows(const Tensor& t, int first, int n);

// ---- filled -------------------------------------------------------------------------------------

/// Overwrites `to`, a tensor of the values' type, with
/// host values. What `values` holds may change afterwards.
void overwrite(const Stream& stream, const Tensor& to, std::span<const float> values);
void overwrite(const Stream& stream, const Tensor& to, std::span<const std::int32_t> values);
void overwrite(const Stream& stream, const Tensor& to, std::span<const std::uint8_t> values);
/// The same bytes in a tensor of any type.
void overwrite(const Stream& stream, const Tensor& to, std::span<const std::byte> bytes);
/// Overwrites `to` with `from`, of equal size and type, on the device.
void copy(const Stream& stream, const Tensor& to, const Tensor& from);
void zero(const Stream& stream, const Tensor& to);
/// Exchanges what two tensors of equal size and type hold, on the device: their addresses stay, as
/// captured work needs it (replay.h). Takes memory of at most `through` bytes meanwhile.
void exchange(const Stream& stream, const Tensor& a, const Tensor& b,
              std::size_t through = std::size_t{4} << 20);

// ---- read ---------------------------------------------------------------------------------------

/// The values of an f32 or bf16 tensor; zeros where work is only planned. Waits until the stream has
/// reached this point.
std::vector<float> download(const Stream& stream, const Tensor& from);
/// The bytes of a tensor of any type. Waits likewise.
void download(const Stream& stream, const Tensor& from, std::span<std::byte> to);

// ---- converted ----------------------------------------------------------------------------------

/// Overwrites `to` with the values of `from`, both f32 or bf16, of equal size.
void convert(const Stream& stream, const Tensor& to, const Tensor& from);
/// x in that type, f32 or bf16: x itself if it has it.
Tensor converted(Context& context, const Tensor& x, DType type);
inline Tensor to_f32(Context& context, const Tensor& x) {
  return converted(context, x, DType::f32);
}
inline Tensor to_activations(Context& context, const Tensor& x) {
  return converted(context, x, context.activations);
}

// ---- values that captured work reads --------------------------------------------------------------

/// A struct at an address on the device that stays: what changes from step to step while the calls
/// that read it are captured once and replayed (replay.h).
template <class T>
class DeviceValue {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  /// Uninitialised.
  explicit DeviceValue(const Stream& stream)
      : bytes_(lasting(stream, {int(sizeof(T))}, DType::u8)) {}
  void set(const Stream& stream, const T& value) {
    overwrite(stream, bytes_, std::as_bytes(std::span(&value, 1)));
  }
  /// Where kernels find it; the host may take addresses of its members.
  const T* on_device() const { return static_cast<const T*>(bytes_.raw()); }

 private:
  Tensor bytes_;
};

}  // namespace haze::engine
