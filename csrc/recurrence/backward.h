// One layer backward in time: from the gradients of the states to those of the gates, of the
// starting states and of all that is added up over time.
#pragma once

#include <algorithm>
#include <vector>

#include "cells/elman.h"
#include "cells/gru.h"
#include "cells/lstm.h"
#include "recurrence/multiply.h"
#include "recurrence/norm.h"
#include "recurrence/outer.h"
#include "recurrence/totals.h"

namespace elman::ELMAN_ISA {

template <class T, class C>
class Backward {
    static constexpr size_t L = lanes<T>, G = C::gates;
    static constexpr bool lstm = G == 4, gru = G == 3;

  public:
    Backward(const Sequence<T>& sequence, const Gradients<T>& gradients, const Team& team)
        : s(sequence),
          d(gradients),
          team(team),
          share(s, team, s.gain_hh),
          products(s, team, false),
          packed_x(
              d.x ? Packed<T>::columns(products.split(s.inputs), s.weight_ih, G * s.units, s.inputs)
                  : Packed<T>()),
          room(std::max(s.batch, input_rows)),
          product(scratch<T>(room * L * std::max(products.panels(), packed_x.panels()))),
          part(scratch<T>(share.panels() * G * L)),
          restored(scratch<T>(s.gain_hh ? (G + 1) * s.units : 0)),
          seen(scratch<T>(share.panel_end * L)),
          d_seen(scratch<T>(share.panel_end * L)),
          totals(share, G),
          outer(s, d, products, team),
          sums(share.panels()),
          rows(room),
          inputs(room) {
        for (size_t j = 0; j < s.order; ++j)
            packed.push_back(Packed<T>::columns(products.mine(s), s.weight_hh, G * s.units,
                                                s.order * s.units, j * s.units));
        const int parts = parts_of(s, products, 1), parts_x = parts_of(s, products, input_rows);
        for (Packed<T>& each : packed) each.split(parts);
        packed_x.split(parts_x);
        split = Split<T>(room, G * s.units, parts_x);
        // What flows back into the state is kept where the gradient of the first state goes.
        for (size_t i = 0; i < share.rows(s.batch); ++i) {
            const size_t b = s.slot[share.row_at(i)];
            for (size_t j = 0; j < s.order; ++j) start(d.last_h, d.first_h, j * s.batch + b);
            for (size_t j = 0; s.resets && j < s.order; ++j)
                start(nullptr, d.initial_h, j * s.batch + b);
            if (lstm) start(d.last_c, d.first_c, b);
            if (lstm && s.resets) start(nullptr, d.initial_c, b);
        }
    }

    void run() {
        size_t whole = s.running, open = s.running;  // from which step on all, and x, are through
        for (size_t i = s.running; i-- > 0;) {
            const size_t t = s.time(i), count = share.rows(s.active[t]);
            through_gates(t, count);
            const size_t round = products.arrive(team);
            // What all threads have left: a few rows at a time would read all weights for each.
            if (waiting >= input_rows) through_input(i + 1, open), open = i + 1;
            products.leave(team, round);
            through_weights(t);
            waiting += products.rows(s.active[t]);
            if (products.by_rows != share.by_rows) team.meet();
            for (size_t r = 0; s.resets && r < count; ++r) leave_at_reset(t, share.row_at(r));
            const size_t next = s.reverse ? t + 1 : t;
            if (next < s.running && d.start[next] > 0) continue;
            through_input(i, open);
            outer.add(std::min(t, s.time(whole - 1)), std::max(t, s.time(whole - 1)) + 1);
            // Before others' rows are written over; where all rows go on, each has its own place.
            if (!products.by_rows || s.active[s.running - 1] < s.batch) team.meet();
            whole = open = i;
        }
        for (size_t t = team.index; d.x && t < s.steps; t += team.count)
            for (size_t b = t < s.running ? s.active[t] : 0; b < s.batch; ++b)
                std::fill_n(d.x + s.place(t, b) * s.inputs, s.inputs, T(0));
        for (size_t turn = 0; turn < team.count; ++turn) {
            if (turn == team.index) totals.put(d, s.units, turn == 0 || !share.by_rows);
            team.meet();
        }
        outer.put();
    }

  private:
    void start(const T* from, T* to, size_t row) {
        const size_t first = row * s.units + share.column(), n = share.columns(s.units);
        for (size_t unit = first; unit < first + n; ++unit) to[unit] = from ? from[unit] : T(0);
    }

    // dL/dh_t at one panel, and what of it goes straight into the state before.
    struct Incoming {
        Vec<T> h, straight;
    };
    Incoming incoming_h(size_t t, size_t b, size_t col) const {
        const size_t n = s.units - col, place = s.place(t, b);
        Vec<T> h = load<T>(d.first_h + s.slot[b] * s.units + col, n);
        if (d.h) h += load<T>(d.h + place * s.units + col, n);
        if (!s.keep_h) return {h, Vec<T>{}};
        const Vec<T> straight = load<T>(s.keep_h + place * s.keep_stride + col, n) * h;
        return {h - straight, straight};
    }

    // The older past states move up by one, as they did in time; the newest takes `straight`.
    void pass_on(size_t b, size_t col, Vec<T> straight) {
        const size_t n = s.units - col, next = s.batch * s.units;
        T* const at = d.first_h + s.slot[b] * s.units + col;
        for (size_t j = 0; j + 1 < s.order; ++j)
            store<T>(at + j * next, load<T>(at + (j + 1) * next, n), n);
        if (s.order > 1) store<T>(at + (s.order - 1) * next, Vec<T>{}, n);
        store<T>(at, s.order > 1 ? load<T>(at, n) + straight : straight, n);
    }

    // Asks for the cache lines of a row a little later, in this timestep or in the one before.
    void expect(size_t t, size_t i, size_t panel) const {
        constexpr size_t ahead = 4;
        const size_t count = share.rows(s.active[t]);
        size_t later = i + ahead;
        if (later >= count) {
            later -= count;
            t += s.reverse ? 1 : size_t(-1);  // before the first: none of the running timesteps
            if (t >= s.running || later >= share.rows(s.active[t])) return;
        }
        const size_t b = share.row_at(later), col = panel * L;
        const size_t place = s.place(t, b) * s.units + col;
        for (size_t g = 0; g < G; ++g) {
            const size_t to = ((d.start[t] + b) * G + g) * s.units + col;
            const size_t from = (s.row(t, b) * G + g) * s.units + col;
            if (s.gates && !s.gain_hh) __builtin_prefetch(s.gates + from);
            if (s.gain_hh) __builtin_prefetch(s.normal_a + from);
            if (s.gain_hh) __builtin_prefetch(s.normal_u + from);
            __builtin_prefetch(d.a + to, 1);
            if (d.u != d.a) __builtin_prefetch(d.u + to, 1);
        }
        if (d.h) __builtin_prefetch(d.h + place);
        if (lstm) __builtin_prefetch(s.c + place);
    }

    // Row after row, as they lie in memory.
    void through_gates(size_t t, size_t count) {
        std::fill(sums.begin(), sums.end(), Sums<T, G>{});
        for (size_t i = 0; i < count; ++i) {
            if (s.gain_hh) restore_gates<T, C>(s, t, share.row_at(i), restored.get());
            if (lstm && s.gain_c) through_norm_c(t, i);
            for (size_t p = share.panel; p < share.panel_end; ++p)
                gates_of(t, i, p, sums[p - share.panel]);
            if (s.gain_hh) through_norms(t, i);
        }
        for (size_t p = share.panel; p < share.panel_end; ++p) totals.add(p, sums[p - share.panel]);
    }

    ELMAN_INLINE void gates_of(size_t t, size_t i, size_t panel, Sums<T, G>& sums) {
        expect(t, i, panel);
        const size_t b = share.row_at(i), row = s.row(t, b), col = panel * L, n = s.units - col;
        const size_t at = row * G * s.units + col, to = (d.start[t] + b) * G * s.units + col;
        Vec<T> v[G], a[G], u[G], p[3] = {};
        for (size_t g = 0; lstm && s.peephole && g < 3; ++g)
            p[g] = load<T>(s.peephole + g * s.units + col, n);
        const bool is_h = G == 1 && !s.gates;
        const T* gates = is_h ? s.h + s.place(t, b) * s.units + col : s.gates + at;
        if (s.gain_hh) gates = restored.get() + col;
        for (size_t g = 0; g < G; ++g) v[g] = load<T>(gates + g * s.units, n);
        const Incoming in = incoming_h(t, b, col);
        Vec<T> straight = in.straight;
        if constexpr (lstm) {
            lstm_gates(t, b, col, v, p, in.h, a, sums);
        } else if constexpr (gru) {
            const Vec<T> old = load<T>(s.entered(t, b, s.h, s.first_h, s.initial_h) + col, n);
            const T* const inner = s.gain_hh ? gates + G * s.units : s.inner + row * s.units + col;
            const Vec<T> u_n = load<T>(inner, n);
            Vec<T> direct;
            C::template backward<T>(v, u_n, old, in.h, a, u[2], direct);
            straight += direct;
        } else {
            a[0] = C::template backward<T>(s.relu, v[0], in.h);
        }
        pass_on(b, col, straight);
        for (size_t g = 0; g < G; ++g) {
            if (!gru || g < 2) u[g] = a[g];
            sums.a[g] += a[g];
            sums.u[g] += u[g];
            store<T>(d.a + to + g * s.units, a[g], n);
            if (d.u != d.a) store<T>(d.u + to + g * s.units, u[g], n);
        }
    }

    ELMAN_INLINE void lstm_gates(size_t t, size_t b, size_t col, const Vec<T>* v, const Vec<T>* p,
                                 Vec<T> d_h, Vec<T>* a, Sums<T, G>& sums) {
        const size_t n = s.units - col, place = s.place(t, b);
        const Vec<T> old = load<T>(s.entered(t, b, s.c, s.first_c, s.initial_c) + col, n);
        T* const carried = d.first_c + s.slot[b] * s.units + col;
        Vec<T> d_c = load<T>(carried, n), straight{};
        if (d.c) d_c += load<T>(d.c + place * s.units + col, n);
        if (s.keep_c) {
            straight = load<T>(s.keep_c + place * s.keep_stride + col, n) * d_c;
            d_c -= straight;
        }
        const Vec<T> c = C::template remember<T>(v, old);
        Vec<T> out;  // tanh of c, normalised or not
        if (s.gain_c) {
            out = load<T>(seen.get() + col);
            d_c += load<T>(d_seen.get() + col);
        } else {
            out = tanh<T>(c);
            d_c += d_h * v[3] * (1 - out * out);
        }
        a[3] = d_h * out * v[3] * (1 - v[3]);
        store<T>(carried, C::template backward<T>(v, p, old, d_c, a) + straight, n);
        if (s.peephole) {
            sums.peephole[0] += a[0] * old;
            sums.peephole[1] += a[1] * old;
            sums.peephole[2] += a[3] * c;
        }
    }

    // Leaves tanh of the normalised c, and the gradient of c through it, for `lstm_gates`.
    void through_norm_c(size_t t, size_t i) {
        const size_t b = share.row_at(i), row = s.row(t, b);
        T *const out = seen.get(), *const gradient = d_seen.get();
        const T* const normals = s.normal_c + row * s.units;
        ThroughNorm<T> through;
        for (size_t p = 0; p < share.panel_end; ++p) {
            const size_t col = p * L, n = s.units - col;
            const Vec<T> normal = load<T>(normals + col, n);
            const Vec<T> gain = load<T>(s.gain_c + col, n);
            Vec<T> v = normal * gain;
            if (s.bias_c) v += load<T>(s.bias_c + col, n);
            v = tanh<T>(v);
            const Vec<T> o = load<T>(restored.get() + (G - 1) * s.units + col, n);
            const Vec<T> d_v = incoming_h(t, b, col).h * o * (1 - v * v);
            totals.add_norm_c(p, d_v * normal, d_v);
            through.add(d_v * gain, normal);
            store<T>(out + col, v);
            store<T>(gradient + col, d_v * gain);
        }
        through.finish(s.units, s.scale_c[row]);
        for (size_t col = 0; col < share.panel_end * L; col += L)
            store<T>(gradient + col,
                     through.of(load<T>(gradient + col), load<T>(normals + col, s.units - col)));
    }

    // From dL/da_t and dL/du_t normalised to those of the products.
    void through_norms(size_t t, size_t i) {
        const size_t b = share.row_at(i), row = s.row(t, b), from = row * G * s.units;
        const size_t at = (d.start[t] + b) * G * s.units;
        through_norm<T, G>(d.a + at, s.units, s.normal_a + from, s.gain_ih, s.scale_a[row],
                           part.get(), totals.gain_a.data());
        through_norm<T, G>(d.u + at, s.units, s.normal_u + from, s.gain_hh, s.scale_u[row],
                           part.get(), totals.gain_u.data());
    }

    // Calls done(panel, i, product) for `count` of `rows`.
    template <class Done>
    void multiply(const Packed<T>& weights, size_t count, bool back, Done done) {
        const size_t stride = weights.panels() * L;
        const auto at = [&](size_t panel, size_t i) {
            return product.get() + i * stride + (panel - weights.first()) * L;
        };
        const auto ready = [&](size_t panel, size_t vectors, size_t first, size_t height) {
            for (size_t i = first; i < first + height; ++i)
                std::fill_n(at(panel, i), vectors * L, T(0));
        };
        const auto all = [&](size_t panel, size_t vectors, size_t first, size_t height) {
            for (size_t i = first; i < first + height; ++i)
                for (size_t p = panel; p < panel + vectors; ++p) done(p, i, load<T>(at(p, i)));
        };
        ELMAN_ISA::multiply(weights, split, rows.data(), count, product.get(), stride, back, ready,
                            all);
    }

    // dL/dh of the past states, of this thread's units, from all gates.
    void through_weights(size_t t) {
        const size_t count = products.rows(s.active[t]);
        for (size_t i = 0; i < count; ++i)
            rows[i] = d.u + (d.start[t] + products.row_at(i)) * G * s.units;
        for (size_t j = 0; j < s.order; ++j)
            multiply(packed[j], count, t % 2, [&](size_t panel, size_t i, Vec<T> v) {
                collect(j, products.row_at(i), panel, v);
            });
    }

    // dL/dx of the steps from `first` to before `last`, as many rows at once as there is room for.
    void through_input(size_t first, size_t last) {
        waiting = 0;
        if (!d.x) return;
        size_t count = 0;
        const auto done = [&](size_t panel, size_t i, Vec<T> v) {
            store<T>(inputs[i] + panel * L, v, s.inputs - panel * L);
        };
        for (size_t i = first; i < last; ++i)
            for (size_t t = s.time(i), r = 0; r < products.rows(s.active[t]); ++r) {
                const size_t b = products.row_at(r);
                rows[count] = d.a + (d.start[t] + b) * G * s.units;
                inputs[count++] = d.x + s.place(t, b) * s.inputs;
                if (count < room) continue;
                multiply(packed_x, count, last % 2, done);
                count = 0;
            }
        if (count) multiply(packed_x, count, last % 2, done);
    }

    void collect(size_t j, size_t b, size_t panel, Vec<T> v) {
        const size_t col = panel * L, n = s.units - col;
        if (s.mask) v *= load<T>(s.mask + (s.slot[b] * s.order + j) * s.units + col, n);
        T* const to = d.first_h + (j * s.batch + s.slot[b]) * s.units + col;
        store<T>(to, load<T>(to, n) + v, n);
    }

    // What entered at a reset was the initial state: the gradient goes there, and no further.
    void leave_at_reset(size_t t, size_t b) {
        if (!s.resets[s.place(t, b)]) return;
        const size_t n = share.columns(s.units);
        const auto move = [&](T* from, T* to, size_t row) {
            for (size_t at = row * s.units + share.column(), end = at + n; at < end; ++at) {
                to[at] += from[at];
                from[at] = 0;
            }
        };
        for (size_t j = 0; j < s.order; ++j) move(d.first_h, d.initial_h, j * s.batch + s.slot[b]);
        if (lstm) move(d.first_c, d.initial_c, s.slot[b]);
    }

    const Sequence<T>& s;
    const Gradients<T>& d;
    const Team& team;
    const Share<T> share, products;  // of the gates, and of the products with weights
    std::vector<Packed<T>> packed;   // one a past state
    Packed<T> packed_x;
    Split<T> split;
    const size_t room;  // rows that are multiplied at once
    const Scratch<T> product, part;
    const Scratch<T> restored, seen, d_seen;  // of one row that is normalised
    Totals<T> totals;
    Outer<T> outer;
    std::vector<Sums<T, G>> sums;  // of a timestep, one a panel
    std::vector<const T*> rows;
    std::vector<T*> inputs;  // where the gradients of x go
    size_t waiting = 0;      // rows that x has not got its gradient from
};

}  // namespace elman::ELMAN_ISA
