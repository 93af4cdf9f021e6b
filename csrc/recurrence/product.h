// Products of packed weights with a few rows: what a timestep spends its time on.
//
// A block is some panels of output units beside one another, [k][vector][lane]; a tile is a block
// times R rows, each given by a pointer. All sums of a tile stay in registers.
#pragma once

#include "simd/vector.h"

namespace elman::ELMAN_ISA {

constexpr size_t registers = ELMAN_VECTOR_BYTES == 64 ? 32 : 16;

// As many rows as leave registers for the weights and for one element of a row.
template <int V>
constexpr size_t tile_rows = (registers - V - 1) / V > 8 ? 8 : (registers - V - 1) / V;

// out[r][v] += sum over k of w[k][v] * x[r][k]; rows of out are `stride` apart.
template <class T, int V, int R>
void tile(const T* w, size_t depth, const T* const* rows, T* out, size_t stride) {
    constexpr size_t L = lanes<T>;
    // A single row is bound by the latency of multiply-add, so its sum is cut into parts.
    constexpr size_t parts = R > 2 ? 1 : R * V >= 4 ? 2 : R * V == 3 ? 3 : R * V == 2 ? 4 : 8;
    Vec<T> sums[parts][R][V];
    const T* x[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
        x[r] = rows[r];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            sums[0][r][v] = load<T>(out + r * stride + v * L);
#pragma GCC unroll 8
            for (size_t part = 1; part < parts; ++part) sums[part][r][v] = Vec<T>{};
        }
    }
    size_t k = 0;
    for (; k + parts <= depth; k += parts, w += parts * V * L)
#pragma GCC unroll 8
        for (size_t part = 0; part < parts; ++part) {
            Vec<T> weights[V];
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) weights[v] = load<T>(w + (part * V + v) * L);
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) {
                const Vec<T> element = broadcast<T>(x[r][k + part]);
#pragma GCC unroll 4
                for (int v = 0; v < V; ++v) sums[part][r][v] += weights[v] * element;
            }
        }
    for (; parts > 1 && k < depth; ++k, w += V * L)
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sums[0][r][v] += load<T>(w + v * L) * broadcast<T>(x[r][k]);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
#pragma GCC unroll 8
            for (size_t part = 1; part < parts; ++part) sums[0][r][v] += sums[part][r][v];
            store<T>(out + r * stride + v * L, sums[0][r][v]);
        }
}

// use() of a number known at run time, from `least` to `most`, as one of the compiler's.
template <int most, int least = 1>
ELMAN_INLINE void constant(size_t number, auto use) {
    if constexpr (least < most)
        if (number > least) return constant<most, least + 1>(number, use);
    use(std::integral_constant<int, least>());
}

// All rows, in tiles of nearly the same height; ready(first, count) precedes and done(first, count)
// follows each of them.
template <class T, int V, class Ready, class Done>
ELMAN_INLINE void block_of(const T* w, size_t depth, const T* const* rows, size_t count, T* out,
                           size_t stride, Ready ready, Done done) {
    const size_t tiles = (count + tile_rows<V> - 1) / tile_rows<V>;
    for (size_t i = 0; i < tiles; ++i) {
        const size_t first = count * i / tiles, height = count * (i + 1) / tiles - first;
        ready(first, height);
        constant<tile_rows<V>>(height, [&](auto R) {
            tile<T, V, R.value>(w, depth, rows + first, out + first * stride, stride);
        });
        done(first, height);
    }
}

// The same for a width known at run time, from 1 to 4 vectors.
template <class T, class Ready, class Done>
ELMAN_INLINE void block(size_t width, const T* w, size_t depth, const T* const* rows, size_t count,
                        T* out, size_t stride, Ready ready, Done done) {
    constant<4>(width, [&](auto V) {
        block_of<T, V.value>(w, depth, rows, count, out, stride, ready, done);
    });
}

}  // namespace elman::ELMAN_ISA
