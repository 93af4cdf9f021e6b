// Large blocks of memory that are used again. The system hands out fresh memory page by page as it
// is touched, which costs a layer's pass over a long sequence as much as half of its arithmetic.
#pragma once

#include <cstddef>
#include <memory>

namespace elman {

// A block of at least `bytes` on a 64-byte border, not cleared. Throws std::bad_alloc.
void* take_memory(size_t bytes);
// Keeps the block for the next who asks. The oldest go back to the system where more than 512 MiB,
// or 256 blocks, are kept.
void return_memory(void* block) noexcept;

// For tests: from now on every block is filled with this byte first (0xFF is NaN); -1: not.
void fill_memory_with(int byte);
// Returns all that is kept to the system, and how many bytes that was.
size_t release_memory();

struct ReturnMemory {
    void operator()(void* block) const noexcept { return_memory(block); }
};
template <class T>
using Scratch = std::unique_ptr<T[], ReturnMemory>;

template <class T>
Scratch<T> scratch(size_t count) {
    return Scratch<T>(static_cast<T*>(take_memory(count * sizeof(T))));
}

}  // namespace elman
