// Products of bfloat16 on the tiles of AMX: 16 rows of 32 inputs times 32 inputs of 16 units, added
// up in float32. Loading the weights takes as long for one row as for 16, so that the rows of an
// input may as well be two: what bfloat16 keeps of a number, and what that has left over.
//
// Weights are [pair of inputs][vector][lane][2], filled up to a whole number of tiles.
#pragma once

#include <immintrin.h>

#include "simd/vector.h"
#include "stream/layer.h"

namespace elman::ELMAN_ISA {

constexpr size_t tile_rows_at_once = 16;

constexpr size_t tiles_in(size_t inputs) {
    return (inputs + tile_depth - 1) / tile_depth;
}

// Makes tiles of this thread's registers, where they are not yet: 0 to 3 sums, 4 inputs, 5 to 7
// weights. They are left so for the next timestep: to look takes 5 ns, to load the shapes 56.
inline void shape_tiles(size_t rows) {
    struct alignas(64) {
        uint8_t palette = 1, first_row = 0, reserved[14] = {};
        uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
        uint8_t rows[16] = {};
    } shape;
    const size_t high = rows < tile_rows_at_once ? rows : tile_rows_at_once;
    for (int i = 0; i < 8; ++i) shape.rows[i] = static_cast<uint8_t>(i < 5 ? high : 16);
    alignas(64) uint8_t known[64];
    _tile_storeconfig(known);
    asm volatile("" ::: "memory");  // the intrinsics do not say what they read and write
    if (__builtin_memcmp(known, &shape, 64)) _tile_loadconfig(&shape);
}

ELMAN_INLINE void zero_tiles() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

// Sums are rows of V vectors, `stride` floats apart.
template <int V>
ELMAN_INLINE void load_tiles(const float* from, size_t stride) {
    constexpr size_t L = lanes<float>;
    asm volatile("" ::: "memory");
    _tile_loadd(0, from, stride * 4);
    if constexpr (V > 1) _tile_loadd(1, from + L, stride * 4);
    if constexpr (V > 2) _tile_loadd(2, from + 2 * L, stride * 4);
    if constexpr (V > 3) _tile_loadd(3, from + 3 * L, stride * 4);
}

template <int V>
ELMAN_INLINE void store_tiles(float* to, size_t stride) {
    constexpr size_t L = lanes<float>;
    _tile_stored(0, to, stride * 4);
    if constexpr (V > 1) _tile_stored(1, to + L, stride * 4);
    if constexpr (V > 2) _tile_stored(2, to + 2 * L, stride * 4);
    if constexpr (V > 3) _tile_stored(3, to + 3 * L, stride * 4);
    asm volatile("" ::: "memory");
}

// Adds x (rows, 32 * tiles) times w to the sums; `apart` takes the fourth sum for the third vector.
// Rows of x are `stride` numbers apart.
template <int V, bool apart = false>
ELMAN_INLINE void add_tiles(const uint16_t* w, size_t tiles, const uint16_t* x, size_t stride) {
    constexpr size_t vector = 2 * lanes<float>, row = V * vector * sizeof(uint16_t);
    asm volatile("" ::: "memory");
    for (size_t k = 0; k < tiles; ++k, x += tile_depth, w += tile_depth / 2 * V * vector) {
        _tile_loadd(4, x, stride * sizeof(uint16_t));
        _tile_loadd(5, w, row);
        _tile_dpbf16ps(0, 4, 5);
        if constexpr (V > 1) {
            _tile_loadd(6, w + vector, row);
            _tile_dpbf16ps(1, 4, 6);
        }
        if constexpr (V > 2) {
            _tile_loadd(7, w + 2 * vector, row);
            if constexpr (apart)
                _tile_dpbf16ps(3, 4, 7);
            else
                _tile_dpbf16ps(2, 4, 7);
        }
        if constexpr (V > 3) {
            _tile_loadd(5, w + 3 * vector, row);
            _tile_dpbf16ps(3, 4, 5);
        }
    }
}

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

// row[n] -> to[32 * tiles_in(n)], with zeros behind.
inline void narrow_row(const float* row, size_t n, uint16_t* to) {
    constexpr size_t L = lanes<float>;
    size_t i = 0;
    for (; i + tile_depth <= n; i += tile_depth)
        narrow(load<float>(row + i), load<float>(row + i + L), to + i);
    if (i == n) return;
    const size_t second = n > i + L ? n - i - L : 0;
    narrow(load<float>(row + i, n - i), second ? load<float>(row + i + L, second) : Vec<float>{},
           to + i);
}

// Each number in bfloat16 to one row and what is left over to the other: together exact to 2^-17 of
// it. What is infinite is in the first alone.
inline void split_row(const float* row, size_t n, uint16_t* upper, uint16_t* lower) {
    constexpr size_t L = lanes<float>;
    for (size_t i = 0; i < n; i += tile_depth) {
        Vec<float> high[2], low[2];
        for (size_t half = 0; half < 2; ++half) {
            const size_t at = i + half * L;
            const Vec<float> v = at < n ? load<float>(row + at) : Vec<float>{};
            const Vec<int32_t> bits = ((Vec<int32_t>)v + 0x8000) & int32_t(0xFFFF0000);
            const Vec<float> near = (Vec<float>)bits;
            high[half] = near - near == 0 ? near : v;
            low[half] = near - near == 0 ? v - near : Vec<float>{};
        }
        narrow(high[0], high[1], upper + i);
        narrow(low[0], low[1], lower + i);
    }
}

}  // namespace elman::ELMAN_ISA
