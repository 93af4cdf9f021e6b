// Inputs in 16 bits, for the instructions that multiply narrow numbers.
//
// For int8 weights, rows of floats become whole numbers with one scale a row. The largest is chosen
// so that a sum of n products with 8 bits cannot leave 32 bits, which makes the sum exact; up to
// n = 515 the whole 16 bits are used.
#pragma once

#include "simd/vector.h"
#include "stream/layer.h"

namespace elman::ELMAN_ISA {

typedef uint16_t Narrow __attribute__((vector_size(ELMAN_VECTOR_BYTES / 2)));
typedef uint8_t NarrowBytes __attribute__((vector_size(ELMAN_VECTOR_BYTES / 2)));

inline float largest_code(size_t n) {
    const size_t most = 0x7FFFFFFF / (127 * n);
    return static_cast<float>(most < 32767 ? most : 32767);
}

// The upper bytes of every four numbers, then their lower bytes: what Int8 takes in groups of 4.
ELMAN_INLINE Narrow planes(Narrow v) {
    NarrowBytes order;
    for (size_t i = 0; i < sizeof order; ++i)
        order[i] = static_cast<uint8_t>(i / 8 * 8 + (i % 4) * 2 + (i % 8 < 4));
#if defined(__clang__)  // which has no shuffle by a variable, and finds the instruction itself
    NarrowBytes to;
    for (size_t i = 0; i < sizeof to; ++i) to[i] = ((NarrowBytes)v)[order[i]];
    return (Narrow)to;
#else
    return (Narrow)__builtin_shuffle((NarrowBytes)v, order);
#endif
}

// row[n] -> codes[padded(n)] and what one step of them is worth. Not a number, or infinite, makes
// the scale so too, and with it every sum: nothing is hidden.
template <size_t group>
float encode(const float* row, size_t n, uint16_t* codes) {
    constexpr size_t lane = lanes<float>;
    Vec<float> most{}, bad{};
    for (size_t i = 0; i < n; i += lane) {
        const Vec<float> v = magnitude<float>(load<float>(row + i));
        most = v > most ? v : most;
        bad += v - v;  // 0, but NaN for NaN and for infinities
    }
    float largest = 0;
    for (size_t i = 0; i < lane; ++i) largest = most[i] > largest ? most[i] : largest;
    const float steps = largest_code(n), faulty = sum<float>(bad);
    // Below this the inverse would be infinite; such a row is zero beside any bias.
    const bool usable = largest > 1e-30f && faulty == 0;
    const float inverse = usable ? steps / largest : 0.f;
    for (size_t i = 0; i < padded(n); i += lane) {
        const Vec<float> v = usable ? load<float>(row + i) * inverse : Vec<float>{};
        // The number that rounds to a whole one has it in its lowest bits.
        const Vec<int32_t> whole = (Vec<int32_t>)(v + 0x1.8p23f);
        Narrow narrow = __builtin_convertvector(whole, Narrow);
        if constexpr (group == 4) narrow = planes(narrow ^ 0x8000);
        __builtin_memcpy(codes + i, &narrow, sizeof narrow);
    }
    return (usable ? largest / steps : 0.f) + faulty;
}

}  // namespace elman::ELMAN_ISA
