// A tile: the products of one panel's weights with R rows of input, for every format of weights.
//
// Each lane is a hidden unit and each element of the input is broadcast to all of them. What bounds
// a single row is the latency of multiply-add, so its sum is split over several accumulators; what
// bounds large layers is reading the weights, so the narrow formats are widened in registers.
#pragma once

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

#include "stream/codes.h"

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
    static void prepare(size_t) {}
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
    static void prepare(size_t) {}
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

// Weights of 8 bits times inputs of 16, summed exactly in 32.
#if defined(__AVX512VNNI__)
// The instruction takes four unsigned inputs of 8 bits: once the upper halves, once the lower ones.
// To be unsigned they are larger by 2^15, and the sums by 2^15 times the sum of the weights, which
// pack() left before them. Beyond 32 bits everything wraps around, and back.
struct Int8 {
    struct Sum {
        Vec<int32_t> upper, lower;
        ELMAN_INLINE void operator+=(const Sum& other) {
            upper += other.upper;
            lower += other.lower;
        }
    };
    using T = float;
    using Stored = int8_t;
    using Operand = uint16_t;
    static constexpr size_t group = 4, chains = 2, parts = 1;
    static void prepare(size_t) {}
    static ELMAN_INLINE void add(Sum& sum, const Stored* w, const Operand* x) {
        int32_t upper, lower;
        __builtin_memcpy(&upper, x, sizeof upper);
        __builtin_memcpy(&lower, x + 2, sizeof lower);
        const __m512i weights = _mm512_loadu_si512(w);
        sum.upper = (Vec<int32_t>)_mm512_dpbusd_epi32((__m512i)sum.upper, _mm512_set1_epi32(upper),
                                                      weights);
        sum.lower = (Vec<int32_t>)_mm512_dpbusd_epi32((__m512i)sum.lower, _mm512_set1_epi32(lower),
                                                      weights);
    }
    static ELMAN_INLINE Vec<int32_t> whole(const Sum& sum, const Stored* head) {
        Vec<uint32_t> excess;
        __builtin_memcpy(&excess, head, sizeof excess);
        return (Vec<int32_t>)(((Vec<uint32_t>)sum.upper << 8) + (Vec<uint32_t>)sum.lower + excess);
    }
#else
struct Int8 {
    using T = float;
    using Stored = int8_t;
    using Operand = uint16_t;
    using Sum = Vec<int32_t>;
    static constexpr size_t group = 2, chains = 1, parts = 1;
    static void prepare(size_t) {}
    static ELMAN_INLINE void add(Sum& sum, const Stored* w, const Operand* x) {
        int32_t both;
        __builtin_memcpy(&both, x, sizeof both);
        const Vec<int32_t> inputs = broadcast<int32_t>(both);
#if defined(__AVX512BW__)
        const __m256i narrow = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
        sum += (Sum)_mm512_madd_epi16(_mm512_cvtepi8_epi16(narrow), (__m512i)inputs);
#elif defined(__AVX2__)
        const __m128i narrow = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w));
        sum += (Sum)_mm256_madd_epi16(_mm256_cvtepi8_epi16(narrow), (__m256i)inputs);
#else
        typedef int8_t Bytes __attribute__((vector_size(2 * lanes<float>)));
        typedef int16_t Wide __attribute__((vector_size(ELMAN_VECTOR_BYTES)));
        Bytes narrow;
        __builtin_memcpy(&narrow, w, sizeof narrow);
        const Vec<int32_t> pair = (Vec<int32_t>)__builtin_convertvector(narrow, Wide);
        sum += (pair << 16 >> 16) * (inputs << 16 >> 16) + (pair >> 16) * (inputs >> 16);
#endif
    }
    static ELMAN_INLINE Vec<int32_t> whole(const Sum& sum, const Stored*) { return sum; }
#endif
    static float encode(const float* row, size_t n, Operand* codes, size_t) {
        return ELMAN_ISA::encode<group>(row, n, codes);
    }
};

template <class F>
constexpr size_t groups_in(size_t elements) {
    return (elements + F::group - 1) / F::group;
}

// In how many parts a row's sum is split to hide the latency of the additions, where the weights
// meet one row. Where they meet several it is not split, so that a row of a batch gives the same
// bits in whatever company it comes.
constexpr int parts_of_one_row(int vectors) {
    return vectors >= 4 ? 2 : vectors == 3 ? 3 : 8;
}

// As many panels as hide that latency where they meet one row whose sums must not be split.
constexpr int panels_of_one_row(int vectors) {
    return vectors >= 4 ? 2 : vectors == 3 ? 4 : 8;
}

// As many rows as leave room for the weights of one group or for one input of each row, whichever
// is fewer, beside the accumulators.
constexpr int rows_of_tile(int vectors, int chains) {
    constexpr int registers = ELMAN_VECTOR_BYTES == 64 ? 32 : 16;
    int rows = 1;
    while (rows < 8) {
        const int more = rows + 1, beside = (more < vectors ? more : vectors) + chains;
        if (more * vectors * chains + beside > registers) break;
        rows = more;
    }
    return rows;
}

// sums[r][g] = the products of `groups` groups; what one r has is `w_stride` and `x_stride` behind
// what the one before has.
template <class F, int G, int R, int split>
ELMAN_INLINE void multiply(const typename F::Stored* w, size_t w_stride, size_t groups,
                           const typename F::Operand* x, size_t x_stride,
                           typename F::Sum (&sums)[R][G]) {
    constexpr size_t vector = lanes<typename F::T> * F::group;
    typename F::Sum parts[split][R][G] = {};
    size_t j = 0;
    for (; j + split <= groups; j += split, w += split * G * vector) {
#pragma GCC unroll 8
        for (int s = 0; s < split; ++s)
#pragma GCC unroll 4
            for (int g = 0; g < G; ++g)
#pragma GCC unroll 16
                for (int r = 0; r < R; ++r)
                    F::add(parts[s][r][g], w + r * w_stride + (s * G + g) * vector,
                           x + r * x_stride + (j + s) * F::group);
    }
    for (; j < groups; ++j, w += G * vector)
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g)
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r)
                F::add(parts[0][r][g], w + r * w_stride + g * vector,
                       x + r * x_stride + j * F::group);
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
