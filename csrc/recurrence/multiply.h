// What a timestep spends its time on: packed weights times rows, on tiles or without.
#pragma once

#include "recurrence/pack.h"
#include "recurrence/product.h"
#include "recurrence/share.h"
#include "recurrence/tiled.h"

namespace elman::ELMAN_ISA {

// Rows of several timesteps whose inputs, or their gradients, are multiplied at once: none waits
// for another.
constexpr size_t input_rows = 64;

// Of how many parts in bfloat16 numbers are to be where tiles multiply those of `steps` timesteps;
// 0: not on tiles. It takes a number of products to be worth splitting the weights.
template <class T>
int parts_of(const Sequence<T>& s, const Share<T>& share, size_t steps) {
    constexpr size_t worth = 128;
    if (s.bfloat16) return bfloat16_products<T> ? 1 : 0;
    if (!tiled<T>) return 0;
    const size_t rows = share.rows(s.active[0]);
    return rows * steps >= Split<T>::few && rows * s.running >= worth ? 3 : 0;
}

// What is to be done with rows once their products are finished: one row at a time, while tiles
// compute the next products.
template <class Done>
struct Later {
    Done done;
    size_t panel = 0, vectors = 0, next = 0, end = 0;

    __attribute__((noinline)) void one() {
        if (next < end) done(panel, vectors, next++, size_t(1));
    }
    void all() {
        while (next < end) one();
    }
    void put_off(size_t of, size_t width, size_t first, size_t height) {
        all();
        panel = of, vectors = width, next = first, end = first + height;
    }
};

// Adds the products of all weights with `count` rows to those of `out`, `stride` apart, from its
// first panel on. ready(panel, vectors, first, height) precedes and done(..) follows the products
// of some rows from `first` on with one block of panels.
template <class T, class Ready, class Done>
void multiply(const Packed<T>& weights, Split<T>& split, const T* const* rows, size_t count, T* out,
              size_t stride, bool back, Ready ready, Done done) {
    const size_t depth = weights.depth();
    bool on_tiles = false;
    if constexpr (bfloat16_products<T>)
        on_tiles = weights.tiles(weights.first()) && split.take(rows, count, depth);
    Later<Done> later{done};
    weights.each(
        [&](size_t panel, size_t vectors, const T* w) {
            T* const to = out + (panel - weights.first()) * weights.groups() * lanes<T>;
            const auto before = [&](size_t i, size_t n) { ready(panel, vectors, i, n); };
            const auto after = [&](size_t i, size_t n) { done(panel, vectors, i, n); };
            if (!on_tiles)
                return block<T>(vectors, w, depth, rows, count, to, stride, before, after);
            if constexpr (bfloat16_products<T>)
                if (split.parts() == 1)
                    return tile_block<1>(
                        vectors, weights.tiles(panel), depth, split.get(), count, split.height(),
                        to, stride, before, [] {}, after);
            if constexpr (tiled<T>) {
                const auto between = [&] { later.one(); };
                const auto put_off = [&](size_t i, size_t n) {
                    later.put_off(panel, vectors, i, n);
                };
                tile_block<3>(vectors, weights.tiles(panel), depth, split.get(), count,
                              split.height(), to, stride, before, between, put_off);
            }
        },
        back);
    later.all();
}

}  // namespace elman::ELMAN_ISA
