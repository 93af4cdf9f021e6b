// The blocks of `product.h` on tiles, where there are any: weights and rows become bfloat16, their
// products are added up in float32. One part of each is enough for numbers that may be rounded to
// bfloat16; three are as exact as float32, and sooner for eight rows or more.
#pragma once

#include <type_traits>

#include "memory/pool.h"
#include "simd/vector.h"
#include "stream/layer.h"
#ifdef ELMAN_TILES
#include "simd/tiles.h"
#elif defined(__AVX512BF16__)
#include "recurrence/product.h"
#include "simd/dots.h"
#endif

namespace elman::ELMAN_ISA {

// Whether there are products of bfloat16 for numbers of this kind, and tiles, for those that are
// as exact as float32 too.
template <class T>
inline constexpr bool bfloat16_products = false;
template <class T>
inline constexpr bool tiled = false;

#ifdef __AVX512BF16__
template <>
inline constexpr bool bfloat16_products<float> = true;
#ifdef ELMAN_TILES
template <>
inline constexpr bool tiled<float> = true;
#endif

// A tile of weights, 32 rows of 16 lanes, as sums of parts in bfloat16: [part][pair of
// rows][lane][2]; `turned` it is a tile of rows to be multiplied, [part][lane][pair][2]. row(k)
// gives the k-th row; of three parts the pairs are 16 rows apart. Returns whether these are finite.
template <int parts, class Row>
ELMAN_INLINE bool split_tile(Row row, uint16_t* to, bool turned) {
    constexpr size_t L = lanes<float>;
    typedef uint16_t Both __attribute__((vector_size(ELMAN_VECTOR_BYTES)));
    Both order;
    for (size_t i = 0; i < 2 * L; ++i) order[i] = static_cast<uint16_t>(i / 2 + i % 2 * L);
    Vec<float> pairs[parts][L], left{};
    for (size_t i = 0; i < L; ++i) {
        if constexpr (parts == 3) {
            Vec<float> first = row(i), second = row(i + L);
            Vec<int32_t> each[3];
            split_pair(first, second, each);
            for (size_t part = 0; part < 3; ++part) pairs[part][i] = (Vec<float>)each[part];
            left += first + second;
        } else {
            const Both both = (Both)_mm512_cvtne2ps_pbh((__m512)row(2 * i + 1), (__m512)row(2 * i));
            pairs[0][i] = (Vec<float>)_mm512_permutexvar_epi16((__m512i)order, (__m512i)both);
        }
    }
    for (int part = 0; part < parts; ++part) {
        if (turned) transpose<float>(pairs[part]);
        for (size_t i = 0; i < L; ++i, to += tile_depth)
            __builtin_memcpy(to, &pairs[part][i], sizeof pairs[part][i]);
    }
    return sum<float>(left - left) == 0;
}

// [k][vector][lane] of a block -> [tile][vector][part][pair of inputs][lane][2], filled up to whole
// tiles. Returns whether all are finite.
template <int parts>
bool split_block(const float* from, size_t depth, size_t vectors, uint16_t* to) {
    bool finite = true;
    for (size_t k = 0; k < depth; k += tile_depth)
        for (size_t v = 0; v < vectors; ++v, to += parts * tile_size) {
            const auto row = [&](size_t i) {
                const size_t at = ((k + i) * vectors + v) * lanes<float>;
                return k + i < depth ? load<float>(from + at) : Vec<float>{};
            };
            finite &= split_tile<parts>(row, to, false);
        }
    return finite;
}

#ifdef ELMAN_TILES
// Adds to `height` rows of `out` the products of as many of x, which are filled up to `most`.
template <int V, int parts>
void add_products(const uint16_t* w, size_t tiles, const uint16_t* x, size_t height, size_t most,
                  float* out, size_t stride, auto between) {
    constexpr size_t row = V * lanes<float>;
    const auto add = [&] {
        if constexpr (parts == 3)
            add_split_tiles<V>(w, tiles, x, between);
        else
            add_tiles<V>(w, tiles, x, tile_depth, tile_size);
    };
    if (height == most) {
        load_tiles<V>(out, stride);
        add();
        store_tiles<V>(out, stride);
    } else {
        alignas(64) float edge[tile_rows_at_once * row];
        for (size_t r = 0; r < height; ++r)
            __builtin_memcpy(edge + r * row, out + r * stride, row * sizeof(float));
        load_tiles<V>(edge, row);
        add();
        store_tiles<V>(edge, row);
        for (size_t r = 0; r < height; ++r)
            __builtin_memcpy(out + r * stride, edge + r * row, row * sizeof(float));
    }
}
#else
template <int V, int parts>
void add_products(const uint16_t* w, size_t tiles, const uint16_t* x, size_t height, size_t,
                  float* out, size_t stride, auto) {
    static_assert(parts == 1);
    const size_t count = (height + tile_rows<V> - 1) / tile_rows<V>;
    for (size_t i = 0; i < count; ++i) {
        const size_t first = height * i / count;
        constant<tile_rows<V> >(height * (i + 1) / count - first, [&](auto R) {
            dots<V, R.value>(w, tiles, x + first * tile_depth, out + first * stride, stride);
        });
    }
}
#endif

// As block; x is [`most` of 16 rows][tile][part][row][32]. Of the last tile's rows only those that
// there are may be touched in `out`: behind them are other timesteps. For between() see
// simd/tiles.h.
template <int parts>
void tile_block(size_t vectors, const uint16_t* w, size_t depth, const uint16_t* x, size_t count,
                size_t most, float* out, size_t stride, auto ready, auto between, auto done) {
    const size_t tiles = tiles_in(depth);
    constant<4>(vectors, [&](auto V) {
        for (size_t first = 0; first < count; first += most, x += tiles * parts * tile_size) {
            const size_t height = count - first < most ? count - first : most;
            ready(first, height);
            add_products<V.value, parts>(w, tiles, x, height, most, out + first * stride, stride,
                                         between);
            done(first, height);
        }
    });
}
#endif

// Rows that tiles multiply, as sums of `parts` in bfloat16. Elsewhere, or of no parts, there are
// none.
template <class T>
class Split {
  public:
    Split() = default;
    Split(size_t rows, size_t depth, int parts) : parts_(parts) {
        const size_t all = (rows + 15) / 16 * 16 * code_row(depth) * static_cast<size_t>(parts);
        if (all) codes_ = scratch<uint16_t>(all);
    }

#ifdef __AVX512BF16__
    // Whether tiles are to multiply these rows, which it then has, in tiles of nearly the same
    // height: lower ones are sooner. The parts of what is not finite do not add up to it, and for
    // few rows tiles are no faster.
    bool take(const float* const* rows, size_t count, size_t depth) {
        if (count < (parts_ > 1 ? few : 1)) return false;
        const size_t step = static_cast<size_t>(parts_) * tile_size;
        const size_t high = (count + tile_rows_at_once - 1) / tile_rows_at_once;
        height_ = (count + high - 1) / high;
#ifdef ELMAN_TILES
        shape_tiles(height_, static_cast<size_t>(parts_));
#endif
        Vec<float> left{};
        for (size_t i = 0; i < count; ++i) {
            uint16_t* const to =
                codes_.get() + i / height_ * tiles_in(depth) * step + i % height_ * tile_depth;
            if (parts_ == 1)
                split_row<1>(rows[i], depth, to, step, tile_size, left);
            else
                split_row<3>(rows[i], depth, to, step, tile_size, left);
        }
        return sum<float>(left - left) == 0;
    }
#endif
    const uint16_t* get() const { return codes_.get(); }
    int parts() const { return parts_; }
    size_t height() const { return height_; }  // of the tiles

    static constexpr size_t few = 8;

  private:
    int parts_ = 0;
    size_t height_ = 0;
    Scratch<uint16_t> codes_;
};

}  // namespace elman::ELMAN_ISA
