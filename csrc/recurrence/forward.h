// One layer forward in time. At every timestep: choose or mask the state that enters, multiply it
// with W_hh, activate the gates, keep a part of the old state.
#pragma once

#include <algorithm>
#include <vector>

#include "cells/elman.h"
#include "cells/gru.h"
#include "cells/lstm.h"
#include "recurrence/biases.h"
#include "recurrence/multiply.h"
#include "recurrence/norm.h"

namespace elman::ELMAN_ISA {

template <class T, class C>
class Forward {
    static constexpr size_t L = lanes<T>, G = C::gates;
    static constexpr bool lstm = G == 4, gru = G == 3;

  public:
    Forward(const Sequence<T>& sequence, const Team& team)
        : s(sequence),
          team(team),
          share(s, team, s.gain_hh),
          products(s, team, false),
          packed(Packed<T>::rows(products.mine(s), s.weight_hh, s.order * s.units, G)),
          packed_x(s.x ? Packed<T>::rows(share.mine(s), s.weight_ih, s.inputs, G) : Packed<T>()),
          start(biases(s, share)),
          stride(share.panels() * G * L),
          ahead(s.x || s.gain_ih),
          capacity(std::max(products.rows(s.batch), s.x ? input_rows : 1)),
          u(scratch<T>(capacity * stride)),
          together(share.by_rows != products.by_rows),
          own(scratch<T>(s.gain_hh && !together ? capacity * stride : 0)),
          sums(together    ? s.products
               : s.gain_hh ? own.get()
                           : u.get()),
          apart(scratch<T>(gru ? capacity * share.panels() * L : 0)),
          seen_c(scratch<T>(share.panels() * L)),
          past(s.batch * s.order),
          past_c(s.batch),
          entering(s.batch),
          rows(capacity),
          places(capacity) {
        for (size_t b = 0; b < s.batch; ++b) start_from(b, s.first_h, s.first_c);
        const int parts_x = parts_of(s, products, input_rows);
        packed.split(parts_of(s, products, 1));
        packed_x.split(parts_x);
        split = Split<T>(capacity, std::max(packed.depth(), packed_x.depth()), parts_x);
    }

    void run() {
        prepare(s.time(0));
        const size_t round = products.arrive(team);
        take_input(0);
        products.leave(team, round);
        for (size_t i = 0; i < s.running; ++i) {
            const size_t t = s.time(i);
            compute(t);
            advance(t);
            base += ahead ? share.rows(s.active[t]) : 0;
            if (i + 1 < s.running) prepare(s.time(i + 1));
            // The next input part needs no one else's states.
            const size_t round = products.arrive(team);
            take_input(i + 1);
            products.leave(team, round);
        }
        for (size_t i = 0; i < share.rows(s.batch); ++i) put_last(share.row_at(i));
        for (size_t t = team.index; t < s.steps; t += team.count) clear_padding(t);
    }

  private:
    // The states are rows: another state, at a start or at a reset, is another pointer.
    void start_from(size_t b, const T* h, const T* c) {
        for (size_t j = 0; j < s.order; ++j)
            past[b * s.order + j] = h + (j * s.batch + s.slot[b]) * s.units;
        if (lstm) past_c[b] = c + s.slot[b] * s.units;
    }

    void advance(size_t t) {
        for (size_t b = 0; b < s.active[t]; ++b) {
            const T** const mine = past.data() + b * s.order;
            for (size_t j = s.order - 1; j > 0; --j) mine[j] = mine[j - 1];
            mine[0] = s.h + s.place(t, b) * s.units;
            if (lstm) past_c[b] = s.c + s.place(t, b) * s.units;
        }
    }

    // What enters W_hh at t: the row of the state itself or, where it is masked, made of several
    // states, or wanted by the backward pass, a copy, of which each thread writes its columns.
    void prepare(size_t t) {
        const size_t width = s.order * s.units;
        for (size_t b = 0; b < s.active[t]; ++b) {
            const bool reset = s.resets && s.resets[s.place(t, b)];
            if (reset) start_from(b, s.initial_h, s.initial_c);
            entering[b] = s.entering ? s.entering + s.row(t, b) * width : past[b * s.order];
        }
        if (s.entering)
            for (size_t i = 0; i < share.rows(s.active[t]); ++i) copy_entering(t, share.row_at(i));
    }

    void copy_entering(size_t t, size_t b) {
        const size_t width = s.order * s.units;
        const size_t end = share.column() + share.columns(s.units);
        for (size_t j = 0; j < s.order; ++j) {
            T* const to = s.entering + s.row(t, b) * width + j * s.units;
            const T* const from = past[b * s.order + j];
            const T* const mask = s.mask ? s.mask + s.slot[b] * width + j * s.units : nullptr;
            for (size_t unit = share.column(); unit < end; ++unit)
                to[unit] = mask ? from[unit] * mask[unit] : from[unit];
        }
    }

    void compute(size_t t) {
        const size_t all = products.rows(s.active[t]), count = share.rows(s.active[t]);
        for (size_t i = 0; i < all; ++i) rows[i] = entering[products.row_at(i)];
        for (size_t i = 0; i < count; ++i)
            places[i] = sums + (together ? share.row_at(i) : s.gain_hh ? i : base + i) * stride;
        // One or two rows are finished after all products: the gates of several panels, long
        // chains of short operations, then overlap. A normalisation needs all products anyway.
        const bool at_once = !s.gain_hh && count > 2;
        const auto done = [&](size_t panel, size_t vectors, size_t next, size_t height) {
            for (size_t p = panel; at_once && p < panel + vectors / G; ++p) {
                for (size_t i = next; i < next + height; ++i) activate(t, i, p);
                for (size_t i = next; i < next + height; ++i) put_out(t, i, p);
            }
        };
        T* const first = sums + (s.gain_hh ? products.panel * G * L : base * stride);
        for (size_t i = 0; s.gain_hh && i < all; ++i)
            std::fill_n(first + i * stride, products.panels() * G * L, T(0));
        const auto ready = [&](size_t panel, size_t vectors, size_t next, size_t height) {
            for (size_t p = panel; !s.gain_hh && p < panel + vectors / G; ++p)
                for (size_t i = next; i < next + height; ++i) begin(t, i, p);
        };
        multiply(packed, all, first, t % 2, ready, done);
        if (together) team.meet();
        for (size_t i = 0; !at_once && i < count; ++i) {
            for (size_t p = 0; s.gain_hh && p < share.panel_end; ++p) expect(t, i, p);
            if (s.gain_hh)
                normalise_gates<T, G>(product_at(i, 0), s.units, s.gain_hh, s.bias_hh,
                                      s.row(t, share.row_at(i)), s.normal_u, s.scale_u);
            for (size_t p = share.panel; p < share.panel_end; ++p) activate(t, i, p);
            if (lstm && s.gain_hh) normalise_c(t, i);
            for (size_t p = share.panel; p < share.panel_end; ++p) put_out(t, i, p);
        }
    }

    // Adds to `out` the products of `weights` with the first of `rows`, see multiply.h.
    void multiply(const Packed<T>& weights, size_t count, T* out, bool back, auto ready,
                  auto done) {
        ELMAN_ISA::multiply(weights, split, rows.data(), count, out, stride, back, ready, done);
    }

    // The input part of as many timesteps as fit, from the i-th on, once the last are used up.
    void take_input(size_t i) {
        if (i != piece_end || i == s.running || !ahead) return;
        size_t count = 0;
        for (; piece_end < s.running; ++piece_end) {
            const size_t t = s.time(piece_end), more = share.rows(s.active[t]);
            if (count + more > capacity) break;
            for (size_t r = 0; r < more; ++r, ++count)
                if (s.x) rows[count] = s.x + s.place(t, share.row_at(r)) * s.inputs;
        }
        base = 0;
        const auto ready = [&](size_t panel, size_t vectors, size_t next, size_t height) {
            for (size_t p = panel; p < panel + vectors / G; ++p)
                for (size_t r = next; r < next + height; ++r) set_biases(p, r);
        };
        if (s.x) multiply(packed_x, count, u.get(), i % 2, ready, [](auto...) {});
        for (count = 0; s.gain_ih && i < piece_end; ++i)
            for (size_t r = 0; r < share.rows(s.active[s.time(i)]); ++r, ++count)
                normalise_a(s.row(s.time(i), share.row_at(r)), u.get() + count * stride);
    }

    T* product_at(size_t i, size_t panel) const {
        return places[i] + (panel - share.panel) * G * L;
    }
    const T* input_at(size_t i, size_t panel) const {
        return u.get() + (base + i) * stride + (panel - share.panel) * G * L;
    }
    T* apart_at(size_t i, size_t panel) const {
        return apart.get() + ((base + i) * share.panels() + panel - share.panel) * L;
    }

    // What the input part is added to: of the GRU's n it is b_in.
    void set_biases(size_t panel, size_t r) {
        T* const to = u.get() + r * stride + (panel - share.panel) * G * L;
        const T* const from = start.get() + (panel - share.panel) * G * L;
        for (size_t g = 0; g < G; ++g) store<T>(to + g * L, load<T>(from + g * L));
        if (gru) store<T>(to + 2 * L, input_bias(s, panel));
    }

    // What the recurrent product is added to: the biases and the input part, where nothing comes
    // between. It is read here, before the tile, since reading it between the writes of other rows
    // would wait for these: they are often a multiple of 4096 bytes apart.
    void begin(size_t t, size_t i, size_t panel) {
        expect(t, i, panel);
        const size_t row = s.row(t, share.row_at(i)), col = panel * L;
        T* const to = product_at(i, panel);
        const T* const from = start.get() + (panel - share.panel) * G * L;
        for (size_t g = 0; !ahead && g < G; ++g) {
            Vec<T> v = load<T>(from + g * L);
            if (joined(s, g)) v += load<T>(s.gates + (row * G + g) * s.units + col, s.units - col);
            store<T>(to + g * L, v);
        }
        if constexpr (gru) {
            const T* const gate = s.gates + (row * G + 2) * s.units + col;
            const Vec<T> a =
                ahead ? load<T>(to + 2 * L) : load<T>(gate, s.units - col) + input_bias(s, panel);
            store<T>(apart_at(i, panel), a);
            store<T>(to + 2 * L, load<T>(from + 2 * L));
        }
    }

    // Asks for the cache lines of what comes `ahead` rows later: they are too far apart for the
    // processor to foresee.
    void expect(size_t t, size_t i, size_t panel) const {
        const auto next = share.after(s, t, i, panel, s.reverse);
        if (next.t >= s.running) return;
        const size_t b = share.row_at(next.i), col = next.panel * L;
        const size_t at = s.place(next.t, b) * s.units + col;
        for (size_t g = 0; s.gates && !s.gain_hh && g < G; ++g)
            __builtin_prefetch(s.gates + (s.row(next.t, b) * G + g) * s.units + col, 1);
        __builtin_prefetch(s.h + at, 1);
        if (lstm) __builtin_prefetch(s.c + at, 1);
    }

    // The gates, and what the cell computes from them: the LSTM's c, the others' h.
    void activate(size_t t, size_t i, size_t panel) {
        const size_t b = share.row_at(i), row = s.row(t, b), col = panel * L;
        const size_t n = s.units - col, at = s.place(t, b) * s.units + col;
        T* const product = product_at(i, panel);
        Vec<T> v[G], w[G];
        for (size_t g = 0; g < G; ++g) {
            w[g] = load<T>(product + g * L);
            v[g] = s.gain_hh ? load<T>(input_at(i, panel) + g * L) : Vec<T>{};
        }
        if constexpr (lstm) {
            for (size_t g = 0; g < G; ++g) v[g] += w[g];
            const Vec<T> old = load<T>(past_c[b] + col, n);
            Vec<T> c;
            if (s.peephole) {
                Vec<T> p[3];
                for (size_t g = 0; g < 3; ++g) p[g] = load<T>(s.peephole + g * s.units + col, n);
                c = C::template activate<T>(v, p, old);
            } else {
                c = C::template activate<T>(v, nullptr, old);  // o need not wait for c
            }
            store<T>(s.c + at, c, n);
        } else if constexpr (gru) {
            if (!s.gain_hh) v[2] = load<T>(apart_at(i, panel));
            const Vec<T> old = load<T>(past[b * s.order] + col, n);
            store<T>(s.h + at, C::template activate<T>(v, w, old), n);
            if (s.saving && !s.gain_hh) store<T>(s.inner + row * s.units + col, w[2], n);
        } else {
            v[0] += w[0];
            C::template activate<T>(s.relu, v[0]);
            store<T>(s.h + at, v[0], n);
        }
        if (lstm) store<T>(product, v[G - 1]);  // o, for `put_out`
        for (size_t g = 0; s.saving && s.gates && !s.gain_hh && g < G; ++g)
            store<T>(s.gates + (row * G + g) * s.units + col, v[g], n);
    }

    // The LSTM's h, and zoneout (Krueger et al. 2017, equation 4).
    void put_out(size_t t, size_t i, size_t panel) {
        const size_t b = share.row_at(i), place = s.place(t, b), col = panel * L;
        const size_t n = s.units - col, at = place * s.units + col;
        if constexpr (lstm) {
            const Vec<T> o = load<T>(product_at(i, panel));
            const Vec<T> seen = s.gain_c ? load<T>(seen_c.get() + col) : load<T>(s.c + at, n);
            if (s.keep_c) keep(s.keep_c, place, col, past_c[b], s.c);
            store<T>(s.h + at, o * tanh<T>(seen), n);
        }
        if (s.keep_h) keep(s.keep_h, place, col, past[b * s.order], s.h);
    }

    void keep(const T* rate, size_t place, size_t col, const T* old, T* state) {
        const size_t n = s.units - col;
        T* const at = state + place * s.units + col;
        const Vec<T> k = load<T>(rate + place * s.keep_stride + col, n);
        store<T>(at, k * load<T>(old + col, n) + (1 - k) * load<T>(at, n), n);
    }

    void normalise_a(size_t row, T* product) {
        const T* const gates = s.gates + row * G * s.units;
        if (!s.x)
            each_gate<T, G>(s.units, [&](size_t col, size_t n, size_t at) {
                store<T>(product + at, load<T>(gates + col, n));
            });
        normalise_gates<T, G>(product, s.units, s.gain_ih, s.bias_ih, row, s.normal_a, s.scale_a);
    }

    // Leaves c normalised in `seen_c`, for `put_out`.
    void normalise_c(size_t t, size_t i) {
        const size_t b = share.row_at(i), row = s.row(t, b);
        const T* const c = s.c + s.place(t, b) * s.units;
        for (size_t col = 0; col < s.units; col += L)
            store<T>(seen_c.get() + col, load<T>(c + col, s.units - col));
        normalise_gates<T, 1>(seen_c.get(), s.units, s.gain_c, s.bias_c, row, s.normal_c,
                              s.scale_c);
    }

    void put_last(size_t b) {
        const size_t col = share.column(), n = share.columns(s.units);
        for (size_t j = 0; j < s.order; ++j)
            __builtin_memcpy(s.last_h + (j * s.batch + s.slot[b]) * s.units + col,
                             past[b * s.order + j] + col, n * sizeof(T));
        if (lstm)
            __builtin_memcpy(s.last_c + s.slot[b] * s.units + col, past_c[b] + col, n * sizeof(T));
    }

    void clear_padding(size_t t) {
        for (size_t b = t < s.running ? s.active[t] : 0; b < s.batch; ++b)
            for (T* states : {s.h, s.c})
                if (states) std::fill_n(states + s.place(t, b) * s.units, s.units, T(0));
    }

    const Sequence<T>& s;
    const Team& team;
    const Share<T> share, products;  // of all but the products with W_hh, and of these
    Packed<T> packed, packed_x;
    Split<T> split;
    const Scratch<T> start;
    const size_t stride;      // of the rows of u
    const bool ahead;         // the input part waits in u for the recurrent product to be added
    const size_t capacity;    // rows of u
    const Scratch<T> u;       // the products, [row][panel][gate][lane]
    const bool together;      // those with W_hh are all threads', each of which has some units
    const Scratch<T> own;     // else, where a normalisation needs them apart from the input part
    T* const sums;            // where they are
    const Scratch<T> apart;   // the input part of the GRU's n, [row][panel][lane]
    const Scratch<T> seen_c;  // c of one row, where it is normalised
    size_t piece_end = 0;     // up to which timestep the input part is computed
    size_t base = 0;          // where this timestep's rows are among those of u
    std::vector<const T*> past, past_c, entering, rows;
    std::vector<T*> places;  // where the products with W_hh of this thread's rows are
};

}  // namespace elman::ELMAN_ISA
