// Numbers as bfloat16, and as sums of several; and how those that are multiplied lie in memory: in
// tiles of 32 inputs, of 16 rows or of the 16 units of a vector.
//
// Weights are [tile][vector][pair of inputs][lane][2], filled up to whole tiles. What is far apart
// in memory is loaded a third slower.
#pragma once

#include <immintrin.h>

#include "simd/vector.h"
#include "stream/layer.h"

namespace elman::ELMAN_ISA {

// 32 numbers, rounded to nearest, ties to even.
ELMAN_INLINE void narrow(Vec<float> first, Vec<float> second, uint16_t* to) {
    const __m512bh both = _mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
    __builtin_memcpy(to, &both, sizeof both);
}

// The first n of 16.
ELMAN_INLINE void narrow(Vec<float> v, size_t n, uint16_t* to) {
    const __mmask16 some = n < lanes<float> ? static_cast<__mmask16>((1u << n) - 1) : 0xFFFF;
    _mm256_mask_storeu_epi16(to, some, (__m256i)_mm512_cvtneps_pbh((__m512)v));
}

// v in bfloat16, and what that leaves over to v. What is infinite leaves nothing.
ELMAN_INLINE Vec<float> upper(Vec<float>& v) {
    const Vec<int32_t> bits = ((Vec<int32_t>)v + 0x8000) & int32_t(0xFFFF0000);
    const Vec<float> near = (Vec<float>)bits, whole = v;
    v = near - near == 0 ? whole - near : Vec<float>{};
    return near - near == 0 ? near : whole;
}

// Two numbers as three in bfloat16 each, the next what the last have left over, exact to their last
// bits: in every part the first number is in the lower half. What is left over to `first` and
// `second` is not a number where they are not finite, or rounded are not.
ELMAN_INLINE void split_pair(Vec<float>& first, Vec<float>& second, Vec<int32_t> (&parts)[3]) {
    constexpr int32_t upper = int32_t(0xFFFF0000);
    for (int part = 0; part < 3; ++part) {
        const auto near = [&](Vec<float>& low) {
            const Vec<int32_t> bits = ((Vec<int32_t>)low + 0x8000) & upper;
            low -= (Vec<float>)bits;
            return bits;
        };
        // The last parts are short enough as they are.
        const Vec<int32_t> one = part < 2 ? near(first) : (Vec<int32_t>)first;
        const Vec<int32_t> other = part < 2 ? near(second) : (Vec<int32_t>)second;
        parts[part] = (Vec<int32_t>)((Vec<uint32_t>)one >> 16) | (other & upper);
    }
}

// A row in bfloat16, 32 numbers after 32, `step` apart: as they are rounded; and what that leaves
// over, exact to 2^-17, `stride` behind them; or all three parts of pairs that are 16 apart, and to
// `left` is added what these leave over.
template <int parts>
ELMAN_INLINE void split_row(const float* row, size_t n, uint16_t* to, size_t step, size_t stride,
                            Vec<float>& left) {
    constexpr size_t L = lanes<float>;
    for (size_t i = 0; i < n; i += tile_depth, to += step) {
        Vec<float> low[2] = {load<float>(row + i, n - i),
                             i + L < n ? load<float>(row + i + L, n - i - L) : Vec<float>{}};
        if constexpr (parts == 3) {
            Vec<int32_t> pairs[3];
            split_pair(low[0], low[1], pairs);
            for (size_t part = 0; part < 3; ++part)
                __builtin_memcpy(to + part * stride, &pairs[part], sizeof pairs[part]);
            left += low[0] + low[1];
            continue;
        }
        if (parts == 2) {
            const Vec<float> high[2] = {upper(low[0]), upper(low[1])};
            narrow(high[0], high[1], to);
        }
        narrow(low[0], low[1], to + (parts - 1) * stride);
    }
}

}  // namespace elman::ELMAN_ISA
