// The gradients of the weights: sums over all timesteps of the gates' gradients times what entered.
// A thread adds up the gates and the rows that are its own, one piece of time after the other.
#pragma once

#include <algorithm>
#include <vector>

#include "memory/pool.h"
#include "recurrence/product.h"
#include "recurrence/sequence.h"
#include "recurrence/share.h"
#include "recurrence/tiled.h"
#include "threads/team.h"

namespace elman::ELMAN_ISA {

template <class T>
class Outer {
  public:
    Outer(const Sequence<T>& sequence, const Gradients<T>& gradients, const Share<T>& share,
          const Team& team)
        : s(sequence), d(gradients), share(share), team(team) {
        size_t room = divide(0, s.inputs, d.weight_ih, 0);
        room = divide(1, s.order * s.units, d.weight_hh, room);
        if (room == 0) return;
        total = scratch<T>(room);
        std::fill_n(total.get(), room, T(0));
    }

    // Adds what the timesteps from `first` to before `last` are worth, which a and u still hold.
    void add(size_t first, size_t last) {
        if (!total) return;
        list(first, last);
#ifdef ELMAN_TILES
        if constexpr (tiled<T>) {
            shape_tiles(tile_rows_at_once, 1);
            if (!s.bfloat16) return sum<3>();
        }
#endif
        if constexpr (bfloat16_products<T>)
            if (s.bfloat16) return sum<1>();
        sum<0>();
    }

    // Writes the sums; those of several threads' rows are added, in turn.
    void put() {
        for (size_t turn = 0; total && turn < (share.by_rows ? team.count : 1); ++turn) {
            if (!share.by_rows || turn == team.index)
                for (const Strip& strip : strips) put(strip, turn == 0);
            if (share.by_rows) team.meet();
        }
    }

  private:
    static constexpr size_t L = lanes<T>;
    // What is multiplied at once, for all of it to stay in the cache: vectors of gates, and with
    // fewer of them more strips of columns; rows, of numbers as they are or in parts of bfloat16.
    static constexpr size_t high = 32, wide = 5;
    template <int parts>
    static constexpr size_t deep = parts == 1 ? 256 : 128;
    template <int parts>
    static constexpr size_t numbers = std::max(parts, 1) * deep<parts> * L;  // for a vector of them

    // Up to four vectors of columns, of x (0) or of the states (1), and where their sums go.
    struct Strip {
        size_t of, first, vectors, width;
        T* out;
        size_t total;  // where they are added up: [own gate][column]
    };
    // Own vectors of gates, from `first` on, and up to which of them x and the states want; strips
    // of columns; rows.
    struct Block {
        const T* gradients;
        size_t first, ends[2];
        size_t strip, last, row, count;
    };

    size_t divide(size_t of, size_t width, T* out, size_t room) {
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
                    const Block a{d.a, gate, {end, middle}, strip, last, row, count};
                    const Block u{d.u, middle, {middle, end}, strip, last, row, count};
                    const bool finite = split_columns<parts>(a);
                    add<parts>(a, finite);
                    if (middle < end) add<parts>(u, finite);
                }
    }

    // What entered, strip after strip, and behind it the gates' gradients, turned.
    template <int parts>
    auto* operands() {
        auto& room = [&]() -> auto& {
            if constexpr (parts == 0)
                return plain;
            else
                return codes;
        }();
        using Number = std::remove_reference_t<decltype(room[0])>;
        if (!room) room = scratch<Number>((high + 4 * wide) * numbers<parts>);
        return room.get();
    }

    // A vector of columns of some rows, the k-th at(k), as they are multiplied: [row][..][lane],
    // or, as gates are, [lane][row].
    template <int parts>
    bool split(size_t count, size_t n, T* to, size_t step, bool turned, auto at) {
        for (size_t k = 0; k < count; k += L) {
            Vec<T> tile[L];
            for (size_t i = 0; i < L; ++i) tile[i] = row(k + i, L, count, n, at);
            if (turned) transpose<T>(tile);
            T* const first = turned ? to + k : to + k * step;
            for (size_t i = 0; i < L; ++i) store<T>(first + i * step, tile[i]);
        }
        return true;
    }

    // The same in parts of bfloat16, tile after tile, `step` numbers apart. Returns whether all are
    // finite.
    template <int parts>
    bool split(size_t count, size_t n, uint16_t* to, size_t step, bool turned, auto at) {
        bool finite = true;
        for (size_t k = 0; k < count; k += tile_depth, to += step)
            finite &= split_tile<parts>(
                [&](size_t i) { return row(k + i, tile_depth, count, n, at); }, to, turned);
        return finite;
    }

    // The k-th of `count` rows, zeros behind them. Asks for one that comes `ahead` later.
    static ELMAN_INLINE Vec<T> row(size_t k, size_t ahead, size_t count, size_t n, auto at) {
        if (k + ahead < count) __builtin_prefetch(at(k + ahead));
        return k < count ? load<T>(at(k), n) : Vec<T>{};
    }

    template <int parts>
    bool split_columns(const Block& block) {
        constexpr size_t tile = parts ? parts * tile_size : L;  // of one vector
        bool finite = true;
        auto* to = operands<parts>();
        for (size_t i = block.strip; i < block.last; to += strips[i++].vectors * numbers<parts>)
            for (size_t v = 0; v < strips[i].vectors; ++v) {
                const Strip& strip = strips[i];
                const size_t col = strip.first + v * L;
                const auto at = [&](size_t k) { return entered[strip.of][block.row + k] + col; };
                finite &= split<parts>(block.count, strip.width - col, to + v * tile,
                                       strip.vectors * tile, false, at);
            }
        return finite;
    }

    // Adds the products of some rows of gates with those of the columns, which are split.
    template <int parts>
    void add(const Block& block, bool finite) {
        const size_t depth = block.count, end = std::max(block.ends[0], block.ends[1]);
        const size_t vector = parts ? tiles_in(depth) * parts * tile_size : numbers<0>;
        auto* const columns = operands<parts>();
        auto* turned = columns;
        for (size_t i = block.strip; i < block.last; ++i)
            turned += strips[i].vectors * numbers<parts>;
        for (size_t v = block.first; v < end; ++v) {
            const auto at = [&](size_t k) {
                return block.gradients + kept[block.row + k] + gate_at(v);
            };
            finite &= split<parts>(depth, units_at(v), turned + (v - block.first) * vector,
                                   parts ? parts * tile_size : deep<0>, true, at);
        }
        // The parts of what is not finite do not add up to it.
        if (parts && !finite) return add_plainly(block);
        if constexpr (parts == 0) {
            rows.clear();
            for (size_t i = 0; i < (end - block.first) * L; ++i)
                rows.push_back(turned + i * deep<0>);
        }
        const auto nothing = [](auto...) {};
        const auto* from = columns;
        for (size_t i = block.strip; i < block.last; from += strips[i++].vectors * numbers<parts>) {
            const Strip& strip = strips[i];
            const size_t height = (block.ends[strip.of] - block.first) * L;
            const size_t stride = strip.vectors * L;
            T* const to = total.get() + strip.total + block.first * L * stride;
            if constexpr (parts == 0)
                ELMAN_ISA::block<T>(strip.vectors, from, depth, rows.data(), height, to, stride,
                                    nothing, nothing);
            else
                tile_block<parts>(strip.vectors, from, depth, turned, height, L, to, stride,
                                  nothing, nothing, nothing);
        }
    }

    void add_plainly(Block block) {
        for (size_t left = block.count; left > 0; block.row += block.count, left -= block.count) {
            block.count = std::min(left, deep<0>);
            split_columns<0>(block);
            add<0>(block, true);
        }
    }

    void put(const Strip& strip, bool first) const {
        const T* from = total.get() + strip.total;
        const size_t n = std::min(strip.vectors * L, strip.width - strip.first);
        for (size_t i = 0; i < own * L; ++i, from += strip.vectors * L) {
            if (i % L >= units_at(i / L)) continue;
            T* const to = strip.out + (gate_at(i / L) + i % L) * strip.width + strip.first;
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
    std::vector<const T*> entered[2], rows;
    Scratch<T> total, plain;
    Scratch<uint16_t> codes;
};

}  // namespace elman::ELMAN_ISA
