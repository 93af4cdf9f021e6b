// Products of bfloat16 on the tiles of AMX: 16 rows of 32 inputs times 32 inputs of 16 units, added
// up in float32. Loading the weights takes as long for one row as for 16, so that the rows of an
// input may as well be two: what bfloat16 keeps of a number, and what that has left over.
//
// Weights are [tile][vector][pair of inputs][lane][2], filled up to whole tiles. What is far apart
// in memory is loaded a third slower.
#pragma once

#include <immintrin.h>

#include "simd/vector.h"
#include "stream/layer.h"

namespace elman::ELMAN_ISA {

constexpr size_t tile_rows_at_once = 16, tile_size = tile_rows_at_once * tile_depth;

constexpr size_t tiles_in(size_t inputs) {
    return (inputs + tile_depth - 1) / tile_depth;
}

// Makes tiles of this thread's registers, where they are not yet: 0 to 3 sums, from 4 on inputs, of
// as many parts, and the others weights. They are left so for the next timestep: to look takes 5
// ns, to load the shapes 56.
inline void shape_tiles(size_t rows, size_t inputs) {
    struct alignas(64) {
        uint8_t palette = 1, first_row = 0, reserved[14] = {};
        uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
        uint8_t rows[16] = {};
    } shape;
    const size_t high = rows < tile_rows_at_once ? rows : tile_rows_at_once;
    for (size_t i = 0; i < 8; ++i) shape.rows[i] = static_cast<uint8_t>(i < 4 + inputs ? high : 16);
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
// Rows of x are `stride` numbers apart, every 32 columns `step`. Where the sums are to start anew,
// those of before first go to `last`, each just before it is needed: a tile is stored only once its
// last product is done, and those of the others go on meanwhile.
template <int V, bool apart = false>
ELMAN_INLINE void add_tiles(const uint16_t* w, size_t tiles, const uint16_t* x, size_t stride,
                            size_t step = tile_depth, float* last = nullptr) {
    constexpr size_t L = lanes<float>, last_stride = 4 * L * sizeof(float);
    asm volatile("" ::: "memory");
    for (size_t k = 0; k < tiles; ++k, x += step, w += V * tile_size) {
        _tile_loadd(4, x, stride * sizeof(uint16_t));
#define ELMAN_VECTOR(v, sum, weights)                       \
    if constexpr (v < V) {                                  \
        if (last) {                                         \
            _tile_stored(sum, last + sum * L, last_stride); \
            _tile_zero(sum);                                \
        }                                                   \
        _tile_loadd(weights, w + v * tile_size, 64);        \
        _tile_dpbf16ps(sum, 4, weights);                    \
    }
        ELMAN_VECTOR(0, 0, 5)
        ELMAN_VECTOR(1, 1, 6)
        if constexpr (apart) {
            ELMAN_VECTOR(2, 3, 7)
        } else {
            ELMAN_VECTOR(2, 2, 7)
        }
        ELMAN_VECTOR(3, 3, 5)
#undef ELMAN_VECTOR
        if (V == 3 && last) {
            _tile_stored(3, last + 3 * L, last_stride);
            _tile_zero(3);
        }
        last = nullptr;
    }
    asm volatile("" ::: "memory");
}

// The same of numbers that are three of bfloat16 each: all products of their parts but those below
// 2^-25 of the whole, which float32 would not show either. A tile of x or of w is three, one of
// each part. between() is called after those with each vector, which take a hundred cycles and no
// other unit of the processor. A tile is stored a quarter of a microsecond late where none was for
// half of one: hence those that go nowhere.
template <int V>
ELMAN_INLINE void add_split_tiles(const uint16_t* w, size_t tiles, const uint16_t* x,
                                  auto between) {
    alignas(64) uint16_t nowhere[tile_size];
    asm volatile("" ::: "memory");
    for (size_t k = 0; k < tiles; ++k, x += 3 * tile_size) {
        _tile_loadd(4, x, 64);
        _tile_loadd(5, x + tile_size, 64);
        _tile_loadd(6, x + 2 * tile_size, 64);
        _tile_stored(6, nowhere, 64);
#define ELMAN_VECTOR(v)                        \
    if constexpr (v < V) {                     \
        _tile_loadd(7, w, 64);                 \
        _tile_dpbf16ps(v, 6, 7);               \
        _tile_dpbf16ps(v, 5, 7);               \
        _tile_dpbf16ps(v, 4, 7);               \
        _tile_loadd(7, w + tile_size, 64);     \
        _tile_dpbf16ps(v, 5, 7);               \
        _tile_dpbf16ps(v, 4, 7);               \
        _tile_loadd(7, w + 2 * tile_size, 64); \
        _tile_dpbf16ps(v, 4, 7);               \
        w += 3 * tile_size;                    \
        between();                             \
    }
        ELMAN_VECTOR(0)
        ELMAN_VECTOR(1)
        ELMAN_VECTOR(2)
        ELMAN_VECTOR(3)
#undef ELMAN_VECTOR
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
