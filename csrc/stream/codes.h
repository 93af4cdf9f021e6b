// The input of int8 weights: rows of floats as whole numbers of 16 bits with one scale a row.
//
// The largest number is chosen so that a sum of n products with 8 bits cannot leave 32 bits, which
// makes the sum exact; up to n = 515 the whole 16 bits are used.
#pragma once

#include "simd/vector.h"
#include "stream/layer.h"

namespace elman::ELMAN_ISA {

inline float largest_code(size_t n) {
    const size_t most = 0x7FFFFFFF / (127 * n);
    return static_cast<float>(most < 32767 ? most : 32767);
}

// row[n] -> codes[padded(n)] and what one step of them is worth. Not a number, or infinite, makes
// the scale so too, and with it every sum: nothing is hidden.
inline float encode(const float* row, size_t n, int16_t* codes) {
    constexpr size_t lane = lanes<float>;
    typedef int16_t Short __attribute__((vector_size(ELMAN_VECTOR_BYTES / 2)));
    Vec<float> most{}, bad{};
    for (size_t i = 0; i < padded(n); i += lane) {
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
        const Vec<float> rounded = (v + 0x1.8p23f) - 0x1.8p23f;
        const Vec<int32_t> whole = __builtin_convertvector(rounded, Vec<int32_t>);
        const Short narrow = __builtin_convertvector(whole, Short);
        __builtin_memcpy(codes + i, &narrow, sizeof narrow);
    }
    return (usable ? largest / steps : 0.f) + faulty;
}

}  // namespace elman::ELMAN_ISA
