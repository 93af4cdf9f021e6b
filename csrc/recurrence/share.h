// What of the work is one thread's: all rows of some hidden units, or all units of some rows.
//
// Units split the weights, so that each core keeps its part in its own cache, and meet at a barrier
// after every timestep. Rows never meet, but every core reads all weights.
#pragma once

#include <algorithm>

#include "recurrence/pack.h"
#include "recurrence/sequence.h"
#include "simd/vector.h"
#include "threads/team.h"

namespace elman::ELMAN_ISA {

template <class T>
struct Share {
    static constexpr size_t L = lanes<T>;
    size_t panel = 0, panel_end;  // vectors of hidden units
    size_t index, threads;
    bool by_rows;
    // Rows go in groups of 2^together to the threads in turn: what a core fetches ahead is its own.
    // Where some are shorter than others single rows are fairer.
    size_t together;

    // `whole`: all units of a row must be one thread's.
    Share(const Sequence<T>& s, const Team& team, bool whole)
        : panel_end((s.units + L - 1) / L), index(team.index), threads(team.count) {
        // Weights that leave half of a core's cache free are no reason to meet. For fewer rows they
        // are read as often, and have to be smaller.
        constexpr size_t cache = size_t(1) << 20, enough = 16;
        const size_t bytes = bfloat16_products<T> && s.bfloat16 ? 2 : sizeof(T);
        const size_t weights = gates_of(s.cell) * s.units * (s.order * s.units + s.inputs);
        const size_t each = std::max(s.batch / team.count, size_t(1));
        const size_t few = std::min(cache / 2, cache / 8 * each);
        const bool small = weights * bytes <= (each < enough ? few : cache);
        by_rows = team.count > 1 && (whole || panel_end < team.count || small);
        together = s.active[s.running - 1] < s.batch ? 0 : 3;
        while (together && s.batch % (team.count << together)) --together;
        if (by_rows) return;
        panel = panel_end * team.index / team.count;
        panel_end = panel_end * (team.index + 1) / team.count;
    }

    // How many of the first n rows are this thread's.
    size_t rows(size_t n) const {
        if (!by_rows) return n;
        const size_t group = size_t(1) << together, before = index << together;
        const size_t over = n % (threads << together), last = over > before ? over - before : 0;
        return (n / (threads << together) << together) + (last < group ? last : group);
    }
    size_t row_at(size_t i) const {
        if (!by_rows) return i;
        const size_t group = i >> together;
        return i + ((group * (threads - 1) + index) << together);
    }
    size_t panels() const { return panel_end - panel; }
    Panels mine(const Sequence<T>& s) const { return {panel, panel_end, s.units}; }
    // This thread's part of other columns, as the units are split.
    Panels split(size_t columns) const {
        const size_t all = (columns + L - 1) / L;
        if (by_rows) return {0, all, columns};
        return {all * index / threads, all * (index + 1) / threads, columns};
    }
    size_t column() const { return panel * L; }
    size_t columns(size_t units) const {
        const size_t end = panel_end * L < units ? panel_end * L : units;
        return end > column() ? end - column() : 0;
    }
    // The row and panel that are worked on a little later than these, in this timestep or the next.
    struct Position {
        size_t t, i, panel;
    };
    Position after(const Sequence<T>& s, size_t t, size_t i, size_t panel, bool reverse) const {
        constexpr size_t ahead = 8;
        size_t count = rows(s.active[t]);
        if (i + ahead < count) return {t, i + ahead, panel};
        size_t later = (panel - this->panel) * count + i + ahead;
        if (later >= count * panels()) {
            later -= count * panels();
            t += reverse ? size_t(-1) : 1;  // behind the last: none of the running timesteps
            if (t >= s.running) return {t, 0, 0};
            count = rows(s.active[t]);
            if (later >= count * panels()) return {s.running, 0, 0};
        }
        return {t, later % count, this->panel + later / count};
    }
    void meet(const Team& team) const {
        if (!by_rows) team.meet();
    }
    size_t arrive(const Team& team) const { return by_rows ? 0 : team.arrive(); }
    void leave(const Team& team, size_t round) const {
        if (!by_rows) team.leave(round);
    }
};

}  // namespace elman::ELMAN_ISA
