// Products of bfloat16 on the tiles of AMX: 16 rows of 32 inputs times 32 inputs of 16 units, added
// up in float32. Loading the weights takes as long for one row as for 16, so that the rows of an
// input may as well be two: what bfloat16 keeps of a number, and what that has left over.
#pragma once

#include <immintrin.h>

#include "simd/narrow.h"

namespace elman::ELMAN_ISA {

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

}  // namespace elman::ELMAN_ISA
