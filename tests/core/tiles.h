// The tiles of AMX in software, for tests on machines that have bfloat16 and no tiles: comes before
// all of csrc/simd/amx.cpp where the core is built with ELMAN_EMULATE_TILES.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps

namespace elman::emulated {

struct Tiles {
    uint8_t shape[64] = {}, data[8][16][64] = {};
};
inline thread_local Tiles tiles;

inline int rows(int tile) {
    return tiles.shape[48 + tile];
}

inline void load(int tile, const void* from, size_t stride) {
    std::memset(tiles.data[tile], 0, sizeof tiles.data[tile]);
    for (int r = 0; r < rows(tile); ++r)
        std::memcpy(tiles.data[tile][r], static_cast<const char*>(from) + r * stride, 64);
}

inline void store(int tile, void* to, size_t stride) {
    for (int r = 0; r < rows(tile); ++r)
        std::memcpy(static_cast<char*>(to) + r * stride, tiles.data[tile][r], 64);
}

inline float number(const uint8_t* row, int k) {
    uint32_t bits = 0;
    std::memcpy(reinterpret_cast<char*>(&bits) + 2, row + 2 * k, 2);
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline void multiply(int to, int left, int right) {
    for (int m = 0; m < rows(left); ++m)
        for (int n = 0; n < 16; ++n) {
            float sum;
            std::memcpy(&sum, tiles.data[to][m] + 4 * n, sizeof sum);
            for (int k = 0; k < 2 * rows(right); ++k)
                sum += number(tiles.data[left][m], k) *
                       number(tiles.data[right][k / 2], 2 * n + k % 2);
            std::memcpy(tiles.data[to][m] + 4 * n, &sum, sizeof sum);
        }
}

}  // namespace elman::emulated

#define _tile_loadd(tile, from, stride) elman::emulated::load(tile, from, stride)
#define _tile_stored(tile, to, stride) elman::emulated::store(tile, to, stride)
#define _tile_zero(tile) std::memset(elman::emulated::tiles.data[tile], 0, 1024)
#define _tile_dpbf16ps(to, left, right) elman::emulated::multiply(to, left, right)
#define _tile_loadconfig(from) std::memcpy(elman::emulated::tiles.shape, from, 64)
#define _tile_storeconfig(to) std::memcpy(to, elman::emulated::tiles.shape, 64)
