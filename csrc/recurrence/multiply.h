// What a timestep spends its time on: packed weights times rows, on tiles or without.
#pragma once

#include "recurrence/pack.h"
#include "recurrence/product.h"
#include "recurrence/share.h"
#include "recurrence/tiled.h"

namespace elman::ELMAN_ISA {

// Of how many parts in bfloat16 numbers are to be where tiles multiply them; 0: not on tiles. It
// takes a number of products to be worth splitting the weights.
template <class T>
int parts_of(const Sequence<T>& s, const Share<T>& share) {
    constexpr size_t worth = 128;
    if (!tiled<T>) return 0;
    if (s.bfloat16) return 1;
    const size_t rows = share.rows(s.active[0]);
    return rows >= Split<T>::few && rows * s.running >= worth ? 3 : 0;
}

// Adds the products of all weights with `count` rows to those of `out`, `stride` apart, from its
// first panel on. ready(panel, vectors, first, height) precedes and done(..) follows the products
// of some rows from `first` on with one block of panels.
template <class T, class Ready, class Done>
void multiply(const Packed<T>& weights, Split<T>& split, const T* const* rows, size_t count, T* out,
              size_t stride, bool back, Ready ready, Done done) {
    const size_t depth = weights.depth();
    bool on_tiles = false;
    if constexpr (tiled<T>)
        on_tiles = weights.tiles(weights.first()) && split.take(rows, count, depth);
    weights.each(
        [&](size_t panel, size_t vectors, const T* w) {
            T* const to = out + (panel - weights.first()) * weights.groups() * lanes<T>;
            const auto before = [&](size_t i, size_t n) { ready(panel, vectors, i, n); };
            const auto after = [&](size_t i, size_t n) { done(panel, vectors, i, n); };
            if constexpr (tiled<T>)
                if (on_tiles) {
                    const uint16_t* const tiles = weights.tiles(panel);
                    if (split.parts() == 1)
                        return tile_block<1>(vectors, tiles, depth, split.get(), count, to, stride,
                                             before, after);
                    return tile_block<3>(vectors, tiles, depth, split.get(), count, to, stride,
                                         before, after);
                }
            block<T>(vectors, w, depth, rows, count, to, stride, before, after);
        },
        back);
}

}  // namespace elman::ELMAN_ISA
