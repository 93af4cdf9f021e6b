// Weights in bfloat16 on tiles, see simd/tiles.h: each row of inputs is two, of 8 bits a number.
#pragma once

#include "simd/tiles.h"
#include "stream/product.h"

namespace elman::ELMAN_ISA {

// Sums of tiles, [row][part][vector][lane].
struct TilePanel {
    static constexpr size_t stride = 4 * lanes<float>;
    alignas(64) float sums[tile_rows_at_once * stride];

    void zero() { zero_tiles(); }

    template <int V, bool apart = false>
    static ELMAN_INLINE void add(const uint16_t* w, size_t inputs, const uint16_t* x,
                                 size_t x_stride) {
        add_tiles<V, apart>(w, tiles_in(inputs), x, x_stride);
    }
    // The same into new sums; those of before are taken.
    template <int V>
    ELMAN_INLINE void start(const uint16_t* w, size_t inputs, const uint16_t* x, size_t x_stride) {
        add_tiles<V>(w, tiles_in(inputs), x, x_stride, tile_depth, sums);
    }
    template <int V>
    void take() {
        store_tiles<V>(sums, stride);
    }
    Vec<float> of(size_t row, size_t vector) const {
        const float* const at = sums + 2 * row * stride + vector * lanes<float>;
        return load<float>(at) + load<float>(at + stride);
    }
};

struct Tiled {
    using T = float;
    using Stored = uint16_t;
    using Operand = uint16_t;
    using Tiles = TilePanel;
    static constexpr size_t group = 2, chains = 1, parts = 2, rows = tile_rows_at_once / parts;

    static void prepare(size_t batch) { shape_tiles(batch * parts, 1); }
    static Code encode(const float* row, size_t n, Operand* codes, size_t stride) {
        Vec<float> left{};
        split_row<2>(row, n, codes, tile_depth, stride, left);
        return {};
    }
};

template <>
constexpr size_t groups_in<Tiled>(size_t elements) {
    return tiles_in(elements) * tile_depth / Tiled::group;
}

}  // namespace elman::ELMAN_ISA
