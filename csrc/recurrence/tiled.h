// The blocks of `product.h` for numbers that may be rounded to bfloat16, where there are tiles:
// weights and rows are rounded, their products added up in float32.
#pragma once

#include "memory/pool.h"
#include "simd/vector.h"
#include "stream/layer.h"
#ifdef ELMAN_TILES
#include "simd/tiles.h"
#endif

namespace elman::ELMAN_ISA {

// Whether there are tiles for numbers of this kind.
template <class T>
inline constexpr bool tiled = false;

#ifdef ELMAN_TILES
template <>
inline constexpr bool tiled<float> = true;

// [k][vector][lane] of a block -> [k / 2][vector][lane][2], filled up to whole tiles.
inline void narrow_block(const float* from, size_t depth, size_t vectors, uint16_t* to) {
    constexpr size_t L = lanes<float>;
    const auto rounded = [&](size_t k, size_t v) {
        const Vec<float> at = k < depth ? load<float>(from + (k * vectors + v) * L) : Vec<float>{};
        typedef uint16_t Half __attribute__((vector_size(2 * L)));
        return __builtin_convertvector((Half)_mm512_cvtneps_pbh((__m512)at), Vec<uint32_t>);
    };
    for (size_t k = 0; k < tiles_in(depth) * tile_depth; k += 2)
        for (size_t v = 0; v < vectors; ++v) {
            const Vec<uint32_t> pair = rounded(k, v) | rounded(k + 1, v) << 16;
            __builtin_memcpy(to + (k * vectors + v * 2) * L, &pair, sizeof pair);
        }
}

// As block_of; x holds the rows one behind another, as many as fill whole tiles. Of the last tile's
// rows only those that there are may be touched: behind them are other timesteps.
template <int V, class Ready, class Done>
void tile_block_of(const uint16_t* w, size_t depth, const uint16_t* x, size_t count, float* out,
                   size_t stride, Ready ready, Done done) {
    constexpr size_t most = tile_rows_at_once, row = V * lanes<float>;
    const size_t tiles = tiles_in(depth), width = tiles * tile_depth;
    for (size_t first = 0; first < count; first += most, out += most * stride) {
        const size_t height = count - first < most ? count - first : most;
        ready(first, height);
        if (height == most) {
            load_tiles<V>(out, stride);
            add_tiles<V>(w, tiles, x + first * width, width);
            store_tiles<V>(out, stride);
        } else {
            alignas(64) float edge[most * row];
            for (size_t r = 0; r < height; ++r)
                __builtin_memcpy(edge + r * row, out + r * stride, row * sizeof(float));
            load_tiles<V>(edge, row);
            add_tiles<V>(w, tiles, x + first * width, width);
            store_tiles<V>(edge, row);
            for (size_t r = 0; r < height; ++r)
                __builtin_memcpy(out + r * stride, edge + r * row, row * sizeof(float));
        }
        done(first, height);
    }
}

template <class Ready, class Done>
void tile_block(size_t vectors, const uint16_t* w, size_t depth, const uint16_t* x, size_t count,
                float* out, size_t stride, Ready ready, Done done) {
    switch (vectors) {
        case 1: return tile_block_of<1>(w, depth, x, count, out, stride, ready, done);
        case 2: return tile_block_of<2>(w, depth, x, count, out, stride, ready, done);
        case 3: return tile_block_of<3>(w, depth, x, count, out, stride, ready, done);
        default: return tile_block_of<4>(w, depth, x, count, out, stride, ready, done);
    }
}
#endif

// Rows that tiles multiply, in bfloat16. Elsewhere there are none.
template <class T>
class Narrowed {
  public:
    Narrowed() = default;
    Narrowed(size_t rows, size_t depth)
        : codes_(scratch<uint16_t>((rows + 15) / 16 * 16 * code_row(depth))) {}

#ifdef ELMAN_TILES
    static void prepare() { shape_tiles(tile_rows_at_once); }

    void take(const T* const* rows, size_t count, size_t depth) {
        for (size_t i = 0; i < count; ++i)
            narrow_row(rows[i], depth, codes_.get() + i * code_row(depth));
    }
    const uint16_t* get() const { return codes_.get(); }
#endif

  private:
    Scratch<uint16_t> codes_;
};

}  // namespace elman::ELMAN_ISA
