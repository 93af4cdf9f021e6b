// The gradients of the weights on tiles: sums over all timesteps of the gates' gradients times what
// entered. A thread adds up the gates and the rows that are its own, one piece of time after the
// other.
#pragma once

#include <algorithm>
#include <vector>

#include "memory/pool.h"
#include "recurrence/sequence.h"
#include "recurrence/share.h"
#include "recurrence/tiled.h"
#include "threads/team.h"

namespace elman::ELMAN_ISA {

template <class T>
class Outer {
  public:
#ifndef __AVX512BF16__
    Outer(const Sequence<T>&, const Gradients<T>&, const Share<T>&, const Team&) {}
    void add(size_t, size_t) {}
    void put() {}
#else
    Outer(const Sequence<T>& sequence, const Gradients<T>& gradients, const Share<T>& share,
          const Team& team)
        : s(sequence), d(gradients), share(share), team(team) {
        if constexpr (bfloat16_products<T>) {
            size_t room = divide(0, s.inputs, d.weight_ih, 0);
            room = divide(1, s.order * s.units, d.weight_hh, room);
            if (room == 0) return;
            total = scratch<float>(room);
            std::fill_n(total.get(), room, 0.f);
            columns = scratch<uint16_t>((high + 4 * wide) * numbers);
        }
    }

    // Adds what the timesteps from `first` to before `last` are worth, which a and u still hold.
    void add(size_t first, size_t last) {
        if constexpr (bfloat16_products<T>) {
            if (!total) return;
            list(first, last);
#ifdef ELMAN_TILES
            shape_tiles(tile_rows_at_once, 1);
            if (!s.bfloat16) return sum<3>();
#endif
            sum<1>();
        }
    }

    // Writes the sums; those of several threads' rows are added, in turn.
    void put() {
        if constexpr (bfloat16_products<T>)
            for (size_t turn = 0; total && turn < (share.by_rows ? team.count : 1); ++turn) {
                if (!share.by_rows || turn == team.index)
                    for (const Strip& strip : strips) put(strip, turn == 0);
                if (share.by_rows) team.meet();
            }
    }

  private:
    static constexpr size_t L = lanes<float>;
    // What is multiplied at once, for all of it to stay in the cache: vectors of gates, and with
    // fewer of them more strips of columns; rows.
    static constexpr size_t high = 32, wide = 5;
    template <int parts>
    static constexpr size_t deep = parts == 1 ? 256 : 128;
    static constexpr size_t numbers = std::max(deep<1>, 3 * deep<3>) * L;  // for a vector of them

    // Up to four vectors of columns, of x (0) or of the states (1), and where their sums go.
    struct Strip {
        size_t of, first, vectors, width;
        float* out;
        size_t total;  // where they are added up: [own gate][column]
    };
    // Own vectors of gates, from `first` on, and up to which of them x and the states want.
    struct Gates {
        const float* gradients;
        size_t first, ends[2];
    };

    size_t divide(size_t of, size_t width, float* out, size_t room) {
        for (size_t first = 0; out && first < width; first += 4 * L) {
            const size_t vectors = (std::min(width - first, 4 * L) + L - 1) / L;
            strips.push_back({of, first, vectors, width, out, room});
            room += own * L * vectors * L;
        }
        return room;
    }

    void list(size_t first, size_t last) {
        kept.clear(), entered[0].clear(), entered[1].clear();
        for (size_t t = first; t < last; ++t)
            for (size_t i = 0; i < share.rows(s.active[t]); ++i) {
                const size_t b = share.row_at(i);
                kept.push_back((d.start[t] + b) * gates);
                entered[0].push_back(s.x + s.place(t, b) * s.inputs);
                entered[1].push_back(s.entering ? s.entering + s.row(t, b) * s.order * s.units
                                                : s.entered(t, b, s.h, s.first_h, s.initial_h));
            }
    }

    // Cuts what would be too much at once into parts of nearly the same size.
    static size_t part(size_t all, size_t most) {
        const size_t count = (all + most - 1) / most;
        return (all + count - 1) / count;
    }

    template <int parts>
    void sum() {
        const size_t step = part(own, high);
        const size_t strip_step = part(strips.size(), wide + (high - step) / 4);
        // Of the GRU's gates only n has a gradient of its own for W_hh.
        const size_t alike = d.a == d.u ? own : s.gain_hh ? 0 : 2 * share.panels();
        for (size_t gate = 0; gate < own; gate += step)
            for (size_t strip = 0; strip < strips.size(); strip += strip_step)
                for (size_t row = 0; row < kept.size(); row += deep<parts>) {
                    const size_t count = std::min(deep<parts>, kept.size() - row);
                    const size_t last = std::min(strip + strip_step, strips.size());
                    const size_t end = std::min(gate + step, own);
                    const size_t middle = std::clamp(alike, gate, end);
                    const bool finite = split_columns<parts>(strip, last, row, count);
                    add<parts>({d.a, gate, {end, middle}}, strip, last, row, count, finite);
                    if (middle < end)
                        add<parts>({d.u, middle, {middle, end}}, strip, last, row, count, finite);
                }
    }

    // 16 columns of some rows, the k-th at(k), tile after tile, `step` numbers apart. Returns
    // whether all are finite.
    template <int parts>
    bool split(size_t count, size_t n, uint16_t* to, size_t step, bool turned, auto at) {
        bool finite = true;
        for (size_t first = 0; first < count; first += tile_depth, to += step)
            finite &= split_tile<parts>(
                [&](size_t k) {
                    k += first;
                    if (k + tile_depth < count) __builtin_prefetch(at(k + tile_depth));
                    return k < count ? load<float>(at(k), n) : Vec<float>{};
                },
                to, turned);
        return finite;
    }

    template <int parts>
    bool split_columns(size_t strip, size_t last, size_t row, size_t count) {
        bool finite = true;
        uint16_t* to = columns.get();
        for (; strip < last; to += strips[strip++].vectors * numbers)
            for (size_t v = 0; v < strips[strip].vectors; ++v) {
                const Strip& each = strips[strip];
                const size_t col = each.first + v * L;
                finite &= split<parts>(count, each.width - col, to + v * parts * tile_size,
                                       each.vectors * parts * tile_size, false,
                                       [&](size_t k) { return entered[each.of][row + k] + col; });
            }
        return finite;
    }

    // Adds the products of some rows of gates with those of the columns.
    template <int parts>
    void add(const Gates& of, size_t strip, size_t last, size_t row, size_t count, bool finite) {
        const size_t tiles = tiles_in(count);
        uint16_t* turned = columns.get();
        for (size_t i = strip; i < last; ++i) turned += strips[i].vectors * numbers;
        for (size_t v = of.first; v < std::max(of.ends[0], of.ends[1]); ++v)
            finite &= split<parts>(
                count, units_at(v), turned + (v - of.first) * tiles * parts * tile_size,
                parts * tile_size, true,
                [&](size_t k) { return of.gradients + kept[row + k] + gate_at(v); });
        const auto nothing = [](auto...) {};
        const uint16_t* from = columns.get();
        for (; strip < last; from += strips[strip++].vectors * numbers) {
            const Strip& each = strips[strip];
            const size_t high = (of.ends[each.of] - of.first) * L, stride = each.vectors * L;
            float* const to = total.get() + each.total + of.first * L * stride;
            if (finite)
                tile_block<parts>(each.vectors, from, count, turned, high, L, to, stride, nothing,
                                  nothing, nothing);
            else
                add_plainly(of, each, row, count, high, to);
        }
    }

    // The parts of what is not finite do not add up to it.
    void add_plainly(const Gates& of, const Strip& strip, size_t row, size_t count, size_t high,
                     float* to) {
        for (size_t i = 0; i < high; ++i) {
            const size_t v = of.first + i / L;
            for (size_t k = 0; k < count && i % L < units_at(v); ++k) {
                const float gradient = of.gradients[kept[row + k] + gate_at(v) + i % L];
                const float* const x = entered[strip.of][row + k] + strip.first;
                for (size_t j = 0; j < strip.vectors * L && strip.first + j < strip.width; ++j)
                    to[i * strip.vectors * L + j] += gradient * x[j];
            }
        }
    }

    void put(const Strip& strip, bool first) const {
        const float* from = total.get() + strip.total;
        const size_t n = std::min(strip.vectors * L, strip.width - strip.first);
        for (size_t i = 0; i < own * L; ++i, from += strip.vectors * L) {
            if (i % L >= units_at(i / L)) continue;
            float* const to = strip.out + (gate_at(i / L) + i % L) * strip.width + strip.first;
            for (size_t j = 0; j < n; ++j) to[j] = first ? from[j] : to[j] + from[j];
        }
    }

    // Where an own vector of gates begins, and how many of it there are from there on.
    size_t gate_at(size_t v) const {
        return v / share.panels() * s.units + (share.panel + v % share.panels()) * L;
    }
    size_t units_at(size_t v) const { return s.units - (share.panel + v % share.panels()) * L; }

    const Sequence<T>& s;
    const Gradients<T>& d;
    const Share<T>& share;
    const Team& team;
    const size_t gates = gates_of(s.cell) * s.units, own = gates_of(s.cell) * share.panels();
    std::vector<Strip> strips;
    std::vector<size_t> kept;  // where the gradients of the rows are, and what entered
    std::vector<const T*> entered[2];
    Scratch<float> total;
    Scratch<uint16_t> columns;  // what entered, and behind it the gates' gradients, turned
#endif
};

}  // namespace elman::ELMAN_ISA
