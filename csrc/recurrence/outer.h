// The gradients of the weights on tiles: sums over all timesteps of the gates' gradients times what
// entered. Each thread adds up some of the rows, one block of the sums after another, which stays
// in its cache.
#pragma once

#include <algorithm>
#include <vector>

#include "memory/pool.h"
#include "recurrence/sequence.h"
#include "recurrence/tiled.h"
#include "threads/team.h"

namespace elman::ELMAN_ISA {

template <class T>
class Outer {
  public:
    Outer(const Sequence<T>& sequence, const Gradients<T>& gradients, const Team& team)
        : s(sequence), d(gradients), team(team) {}

#ifndef ELMAN_TILES
    void run() {}
#else
    void run() {
        if constexpr (tiled<T>) {
            if (!d.weight_ih && !d.weight_hh) return;
            if (s.bfloat16)
                sums<1>();
            else
                sums<3>();
        }
    }

  private:
    static constexpr size_t L = lanes<float>;
    static constexpr size_t high = 512, wide = 320;  // gates and columns of a block
    template <int parts>
    static constexpr size_t deep = parts == 1 ? 256 : 128;  // its rows, which the cache holds too
    static constexpr size_t stride = wide + L;              // not all on one border of a page

    // What entered at the rows, and where the sums with it go. Columns count in whole vectors.
    struct Factor {
        std::vector<const float*> rows;
        size_t width;
        float* out;
        size_t vectors() const { return out ? (width + L - 1) / L : 0; }
    };

    template <int parts>
    void sums() {
        shape_tiles(tile_rows_at_once);
        const size_t rows = s.start[s.running - 1] + s.active[s.running - 1];
        const size_t first = rows * team.index / team.count, gates = gates_of(s.cell) * s.units;
        const size_t last = rows * (team.index + 1) / team.count;
        factors[0] = {{}, s.inputs, d.weight_ih};
        factors[1] = {{}, s.order * s.units, d.weight_hh};
        for (size_t t = 0; t < s.running; ++t)
            for (size_t i = 0; i < s.active[t]; ++i) {
                const size_t row = s.row(t, i);
                if (row < first || row >= last) continue;
                factors[0].rows.push_back(s.x + s.place(t, i) * s.inputs);
                factors[1].rows.push_back(s.entering
                                              ? s.entering + row * s.order * s.units
                                              : s.entered(t, i, s.h, s.first_h, s.initial_h));
            }
        total = scratch<float>(high * stride);
        turned = scratch<uint16_t>(high * deep<parts> * parts);
        columns = scratch<uint16_t>(wide * deep<parts> * parts);
        const size_t x = factors[0].vectors(), both = x + factors[1].vectors();
        // Of the GRU's gates only n has a gradient of its own for W_hh.
        const size_t alike = d.a == d.u ? gates : s.gain_hh ? 0 : 2 * s.units;
        for (size_t gate = 0; gate < gates; gate += high) {
            const bool joined = std::min(gate + high, gates) <= alike;
            sum<parts>(d.a + first * gates, gate, 0, joined ? both : x);
            if (!joined) sum<parts>(d.u + first * gates, gate, x, both);
        }
    }

    // Calls use(factor, its vector, a vector from 0 on) for the vectors from `first` to `last`.
    template <class Use>
    void each(size_t first, size_t last, Use use) const {
        for (size_t v = first; v < last; ++v) {
            const size_t of_x = factors[0].vectors();
            use(factors[v >= of_x], v >= of_x ? v - of_x : v, v - first);
        }
    }

    // The sums over all threads' rows of up to `high` gates' gradients (.., G*H) times those
    // vectors.
    template <int parts>
    void sum(const float* gradients, size_t gate, size_t first, size_t last) {
        const size_t gates = gates_of(s.cell) * s.units, height = std::min(high, gates - gate);
        const size_t rows = factors[1].rows.size();
        for (; first < last; first += wide / L) {
            const size_t end = std::min(last, first + wide / L);
            std::fill_n(total.get(), high * stride, 0.f);
            for (size_t r = 0; r < rows; r += deep<parts>)
                add<parts>(gradients + r * gates + gate, height, r, std::min(deep<parts>, rows - r),
                           first, end);
            for (size_t turn = 0; turn < team.count; ++turn) {
                if (turn == team.index)
                    each(first, end, [&](const Factor& f, size_t v, size_t at) {
                        put(f.out + gate * f.width + v * L, f.width, height, at, f.width - v * L,
                            turn == 0);
                    });
                team.meet();
            }
        }
    }

    // Adds some rows' products to the block. The rows are read tile after tile, as they lie.
    template <int parts>
    void add(const float* gradients, size_t height, size_t row, size_t count, size_t first,
             size_t last) {
        const size_t tiles = tiles_in(count), gates = gates_of(s.cell) * s.units;
        const size_t vectors = last - first;
        bool finite = true;
        for (size_t tile = 0; tile < tiles; ++tile) {
            // Vectors of these rows, at(k) being the k-th, to [blocks of `together`][tile][vector].
            const auto split = [&](uint16_t* to, size_t together, size_t all, size_t v, size_t n,
                                   auto at) {
                const size_t begin = v / together * together,
                             width = std::min(together, all - begin);
                const size_t place = begin * tiles + tile * width + v - begin;
                finite &= split_tile<parts>(
                    [&](size_t k) {
                        k += tile * tile_depth;
                        if (k + tile_depth < count) __builtin_prefetch(at(k + tile_depth));
                        return k < count ? load<float>(at(k), n) : Vec<float>{};
                    },
                    to + place * parts * tile_size, together == 1);
            };
            for (size_t v = 0; v * L < height; ++v)
                split(turned.get(), 1, (height + L - 1) / L, v, height - v * L,
                      [&](size_t k) { return gradients + k * gates + v * L; });
            each(first, last, [&](const Factor& f, size_t v, size_t at) {
                split(columns.get(), 4, vectors, at, f.width - v * L,
                      [&](size_t k) { return f.rows[row + k] + v * L; });
            });
        }
        if (!finite) return add_plainly(gradients, height, row, count, first, last);
        const auto nothing = [](auto...) {};
        for (size_t v = 0; v < vectors; v += 4)
            tile_block<parts>(std::min<size_t>(4, vectors - v),
                              columns.get() + v * tiles * parts * tile_size, count, turned.get(),
                              (height + L - 1) / L * L, total.get() + v * L, stride, nothing,
                              nothing, nothing);
    }

    // The parts of what is not finite do not add up to it.
    void add_plainly(const float* gradients, size_t height, size_t row, size_t count, size_t first,
                     size_t last) {
        const size_t gates = gates_of(s.cell) * s.units;
        each(first, last, [&](const Factor& f, size_t v, size_t at) {
            for (size_t k = 0; k < count; ++k)
                for (size_t i = 0; i < height; ++i) {
                    float* const to = total.get() + i * stride + at * L;
                    store<float>(to, load<float>(to) +
                                         broadcast<float>(gradients[k * gates + i]) *
                                             load<float>(f.rows[row + k] + v * L, f.width - v * L));
                }
        });
    }

    // Writes a vector of `total`, or adds it to what another thread wrote.
    void put(float* to, size_t width, size_t height, size_t at, size_t n, bool first) const {
        for (size_t i = 0; i < height; ++i, to += width) {
            const Vec<float> v = load<float>(total.get() + i * stride + at * L);
            store<float>(to, first ? v : v + load<float>(to, n), n);
        }
    }

    Factor factors[2];                  // x, and the states
    Scratch<float> total;               // [gate][column] of a block
    Scratch<uint16_t> turned, columns;  // gates' gradients, turned, and what entered

#endif
  private:
    const Sequence<T>& s;
    const Gradients<T>& d;
    const Team& team;
};

}  // namespace elman::ELMAN_ISA
