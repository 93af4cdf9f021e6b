// Products of bfloat16 where there are no tiles, but an instruction that multiplies pairs and adds
// both to a sum in float32.
#pragma once

#include <immintrin.h>

#include "simd/narrow.h"

namespace elman::ELMAN_ISA {

// Adds to R rows of V vectors, `stride` floats apart, the products of as many rows of x.
template <int V, int R>
void dots(const uint16_t* w, size_t tiles, const uint16_t* x, float* out, size_t stride) {
    constexpr size_t L = lanes<float>, pairs = tile_depth / 2;
    __m512 sums[R][V];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sums[r][v] = _mm512_loadu_ps(out + r * stride + v * L);
    for (size_t k = 0; k < tiles; ++k, x += tile_size, w += V * tile_size)
        for (size_t pair = 0; pair < pairs; ++pair) {
            __m512bh weights[V];
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v)
                weights[v] = (__m512bh)_mm512_loadu_si512(w + v * tile_size + pair * 2 * L);
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) {
                int32_t both;
                __builtin_memcpy(&both, x + r * tile_depth + 2 * pair, sizeof both);
                const __m512bh element = (__m512bh)_mm512_set1_epi32(both);
#pragma GCC unroll 4
                for (int v = 0; v < V; ++v)
                    sums[r][v] = _mm512_dpbf16_ps(sums[r][v], weights[v], element);
            }
        }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) _mm512_storeu_ps(out + r * stride + v * L, sums[r][v]);
}

}  // namespace elman::ELMAN_ISA
