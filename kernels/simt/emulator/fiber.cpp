// SPDX-License-Identifier: MIT
#include "kernels/simt/emulator/fiber.h"

#include <cstdint>
#include <cstdlib>
#include <pthread.h>
#include <sys/mman.h>
#include <vector>

#include "kernels/base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define HAZE_SIMT_ASAN 1
#else
#define HAZE_SIMT_ASAN 0
#endif
#if !defined(__x86_64__)
#define HAZE_SIMT_UCONTEXT
#endif
#if defined(HAZE_SIMT_UCONTEXT)
#include <ucontext.h>
#endif

namespace haze::simt {
namespace {

constexpr std::size_t kGuard = 4096, kStackBytes = HAZE_SIMT_ASAN ? 256 * 1024 : 64 * 1024;
std::vector<Stack*>& all_stacks() {
  static std::vector<Stack*> stacks;
  return stacks;
}
std::vector<Stack*>& free_stacks() {
  static std::vector<Stack*> stacks;
  return stacks;
}

}  // namespace

Stack* take_stack() {
  auto& free = free_stacks();
  if (!free.empty()) {
    Stack* stack = free.back();
    free.pop_back();
    return stack;
  }
  void* memory = ::mmap(nullptr, kStackBytes + kGuard, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || ::mprotect(memory, kGuard, PROT_NONE) != 0)
    throw RunError(cat("no memory for the stack of an emulated thread, ", kStackBytes, " bytes"));
  char* base = static_cast<char*>(memory) + kGuard;
  const std::size_t colour = all_stacks().size() * 5 % 61 * 64;
  all_stacks().push_back(new Stack{base, kStackBytes, base + kStackBytes - 64 - colour});
  return all_stacks().back();
}

void give_stack(Stack* stack) { free_stacks().push_back(stack); }

void clean_stacks() {
#if HAZE_SIMT_ASAN
  for (const Stack* s : all_stacks()) ASAN_UNPOISON_MEMORY_REGION(s->base, s->size);
#endif
}

// ---- the bare switch
// -------------------------------------------------------------------------------
#if defined(HAZE_SIMT_UCONTEXT)
namespace {
/// A ucontext is kept beside the stack it belongs to (the program's own has a static one).
ucontext_t* context_of(Stack* stack) {
  static ucontext_t program;
  if (!stack) return &program;
  return reinterpret_cast<ucontext_t*>(stack->base);  // the lowest bytes: overflow meets them last
}
void bare_switch(Context& from, const Context& to) {
  swapcontext(context_of(from.stack), context_of(to.stack));
}
}  // namespace

static Context fresh(Stack* stack, void (*entry)()) {
  ucontext_t* context = context_of(stack);
  getcontext(context);
  context->uc_stack.ss_sp = stack->base + sizeof(ucontext_t);
  context->uc_stack.ss_size =
      std::size_t(static_cast<char*>(stack->top) - stack->base) - sizeof(ucontext_t);
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
  return {context, stack};
}
#else
extern "C" void haze_simt_switch(void** save, void* to);
asm(R"(.text
.globl haze_simt_switch
.type haze_simt_switch,@function
haze_simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size haze_simt_switch,.-haze_simt_switch
)");
namespace {
void bare_switch(Context& from, const Context& to) { haze_simt_switch(&from.point, to.point); }
}  // namespace

/// Lays out the stack as the switch leaves it: six saved registers below the address to return to.
static Context fresh(Stack* stack, void (*entry)()) {
  auto* sp = reinterpret_cast<std::uintptr_t*>(reinterpret_cast<std::uintptr_t>(stack->top) &
                                               ~std::uintptr_t{15});
  *--sp = 0;  // the ABI wants the stack pointer to be 8 past a multiple of 16 on entry
  *--sp = reinterpret_cast<std::uintptr_t>(entry);
  for (int i = 0; i < 6; ++i) *--sp = 0;
  return {sp, stack};
}
#endif

Context new_context(Stack* stack, void (*entry)()) {
#if HAZE_SIMT_ASAN  // frames of the stack's last user that never returned
  ASAN_UNPOISON_MEMORY_REGION(static_cast<char*>(stack->top) - 8192, 8192);
#endif
  return fresh(stack, entry);
}

#if HAZE_SIMT_ASAN
namespace {
Stack program_stack() {
  pthread_attr_t attributes;
  pthread_getattr_np(pthread_self(), &attributes);
  void* base;
  std::size_t size;
  pthread_attr_getstack(&attributes, &base, &size);
  pthread_attr_destroy(&attributes);
  return {static_cast<char*>(base), size, nullptr};
}
}  // namespace
#endif

void switch_context(Context& from, const Context& to) {
#if HAZE_SIMT_ASAN
  static const Stack program = program_stack();
  const Stack& next = to.stack ? *to.stack : program;
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, next.base, next.size);
  bare_switch(from, to);
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#else
  bare_switch(from, to);
#endif
}

void context_entered() {
#if HAZE_SIMT_ASAN
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

}  // namespace haze::simt
