// A tile: the products of one panel's weights with R rows of input, for every format of weights.
//
// Each lane is a hidden unit and each element of the input is broadcast to all of them. What bounds
// a single row is the latency of multiply-add, so its sum is split over several accumulators; what
// bounds large layers is reading the weights, so the narrow formats are widened in registers.
#pragma once

#include "simd/vector.h"

namespace elman::ELMAN_ISA {

// A format says what is stored, what it is multiplied with, and how one vector of units takes one
// group of inputs; also, how many accumulators that needs.
template <class Real>
struct Plain {
    using T = Real;
    using Stored = Real;
    using Operand = Real;
    using Sum = Vec<Real>;
    static constexpr size_t group = 1, chains = 1, parts = 1;
    static ELMAN_INLINE void add(Sum& sum, const Stored* w, const Operand* x) {
        sum += load<T>(w) * broadcast<T>(x[0]);
    }
};

struct BFloat16 {
    using T = float;
    using Stored = uint16_t;
    using Operand = float;
    using Sum = Vec<float>;
    static constexpr size_t group = 2, chains = 1, parts = 1;
    // A bfloat16 is the upper half of a float. Of a pair, the first is shifted up; the second is
    // read with the first below it, and pack() chose it so that this is its nearest value.
    static ELMAN_INLINE void add(Sum& sum, const Stored* w, const Operand* x) {
        Vec<uint32_t> pair;
        __builtin_memcpy(&pair, w, sizeof pair);
#if defined(__AVX512F__)
        asm("" : "+v"(pair));  // else GCC reads it twice, and reading is what takes time
#endif
        sum += (Vec<float>)(pair << 16) * broadcast<float>(x[0]);
        sum += (Vec<float>)pair * broadcast<float>(x[1]);
    }
};

template <class F>
constexpr size_t groups_in(size_t elements) {
    return (elements + F::group - 1) / F::group;
}

// As many panels as hide the latency of multiply-add where they meet one row.
constexpr int panels_of_one_row(int vectors) {
    return vectors >= 4 ? 2 : vectors == 3 ? 4 : 8;
}

// As many rows as leave room for the weights of one group or for one input of each row, beside the
// accumulators.
constexpr int rows_of_tile(int vectors, int chains) {
    constexpr int registers = ELMAN_VECTOR_BYTES == 64 ? 32 : 16;
    const int rows = registers * 4 / 5 / (vectors * chains);
    return rows < 8 ? rows : 8;
}

// sums[r][g] = the products of `groups` groups; what one r has is `w_stride` and `x_stride` behind
// what the one before has. Each sum may be split into several, which are added up in the end: no
// row of a batch is, so that it gives the same bits in whatever company it comes.
template <class F, int G, int R, int split>
ELMAN_INLINE void multiply(const typename F::Stored* w, size_t w_stride, size_t groups,
                           const typename F::Operand* x, size_t x_stride,
                           typename F::Sum (&sums)[R][G]) {
    constexpr size_t vector = lanes<typename F::T> * F::group;
    typename F::Sum parts[split][R][G] = {};
    const auto add = [&](auto& part, size_t j) __attribute__((always_inline)) {
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g)
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r)
                F::add(part[r][g], w + r * w_stride + (j * G + g) * vector,
                       x + r * x_stride + j * F::group);
    };
    size_t j = 0;
    for (; j + split <= groups; j += split)
#pragma GCC unroll 8
        for (int s = 0; s < split; ++s) add(parts[s], j + s);
    for (; j < groups; ++j) add(parts[0], j);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
            sums[r][g] = parts[0][r][g];
#pragma GCC unroll 8
            for (int s = 1; s < split; ++s) sums[r][g] += parts[s][r][g];
        }
}

}  // namespace elman::ELMAN_ISA
