// SPDX-License-Identifier: MIT
// fiber.h — stacks and the switch between them.
//
// On x86-64 the switch is twenty lines of assembly that end in `ret`, so that the processor's
// return-stack predictor stays right when all fibers wait at the same depth. Elsewhere, or with
// HAZE_SIMT_UCONTEXT, it is ucontext: some ten times slower and otherwise the same.
#pragma once
#include <cstddef>

namespace haze::simt {

/// Memory for a fiber to run on, with a guard page below it. Stacks are kept and used again.
struct Stack {
  char* base;
  std::size_t size;
  void* top;  // where a new fiber begins: offset between stacks, so that tops share no cache set
};
Stack* take_stack();
void give_stack(Stack* stack);
/// After an abandoned run: forgets what sanitizers know of frames on any stack.
void clean_stacks();

/// A suspended point of execution. `stack` is null for the program's own.
struct Context {
  void* point = nullptr;
  Stack* stack = nullptr;
};
/// A context that will call entry() on the stack. entry must not return.
Context new_context(Stack* stack, void (*entry)());
/// Suspends the caller into `from` and goes on at `to`.
void switch_context(Context& from, const Context& to);
/// The first thing that an entry function calls.
void context_entered();

}  // namespace haze::simt
