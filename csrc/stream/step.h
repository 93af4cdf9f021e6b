// One timestep of one layer, over all its panels and rows, in two passes: first all products, then
// all gates. Layer normalisation needs that, since it must know all of a_t and u_t before any gate;
// and without it the processor overlaps the gates of several panels, where it else waits for each.
#pragma once

#include "cells/elman.h"
#include "cells/gru.h"
#include "cells/lstm.h"
#include "simd/norm.h"
#include "stream/product.h"
#ifdef ELMAN_TILES
#include "stream/tiled.h"
#endif
#include "threads/team.h"

namespace elman::ELMAN_ISA {

// What the gates of this many rows need stays in the cache until they are finished.
constexpr size_t rows_at_once = 48;

// W: see Layer::wide.
template <class F, class C, int W = 1>
struct Step {
    using T = typename F::T;
    static constexpr int G = C::gates * W;
    static constexpr size_t L = lanes<T>;
    static constexpr bool tiled = F::parts == 2;
    static constexpr int stored = C::gates == 3 ? 4 : G;  // vectors of a panel that tiles leave
    static constexpr bool coded = sizeof(typename F::Operand) == 2;
    static constexpr bool scaled = sizeof(typename F::Stored) == 1;
    static constexpr size_t head = F::group == 4 ? G * L * 4 : 0;

    const Layer<T>& layer;
    const Frame<T>& frame;
    const bool norm = layer.gain_ih.size() != 0;
    const bool at_once = tiled && !norm;  // gates follow the products panel by panel
    const size_t code_stride =
        code_row(layer.inputs > layer.outputs ? layer.inputs : layer.outputs);
    const size_t vectors = (layer.units + L - 1) / L;  // of units; the last panel may have more

    size_t size_of(size_t segment) const { return segment ? layer.outputs : layer.inputs; }

    size_t stride_of(size_t segment) const { return segment ? frame.past_stride : frame.x_stride; }

    const T* row_of(size_t segment, size_t b) const {
        return (segment ? frame.past[segment - 1] : frame.x) + b * stride_of(segment);
    }

    // Adds the products of segments [first, last) to total, and moves w behind their weights.
    template <int R, int split, bool across>
    ELMAN_INLINE void add_segments(size_t first, size_t last, size_t b, const T* scale,
                                   const typename F::Stored*& w, size_t panel_size,
                                   Vec<T> (&total)[R][G]) const {
        constexpr size_t next_row = across ? 0 : 1, next_scale = across ? G * L : 0;
        const size_t next_w = across ? panel_size : 0;
        for (size_t segment = first; segment < last; ++segment) {
            const size_t groups = groups_in<F>(size_of(segment)), row = segment * frame.batch + b;
            typename F::Sum sums[R][G];
            if constexpr (coded)
                multiply<F, G, R, split>(w + head, next_w, groups, frame.codes + row * code_stride,
                                         next_row * code_stride, sums);
            else
                multiply<F, G, R, split>(w, next_w, groups, row_of(segment, b),
                                         next_row * stride_of(segment), sums);
            for (int r = 0; r < R; ++r)
                for (int g = 0; g < G; ++g)
                    if constexpr (scaled)
                        total[r][g] +=
                            __builtin_convertvector(
                                F::whole(sums[r][g], w + r * next_w + g * L * 4), Vec<T>) *
                            (load<T>(scale + r * next_scale + g * L) *
                             frame.code_scale[row + r * next_row]);
                    else
                        total[r][g] += sums[r][g];
            w += head + groups * G * L * F::group;
        }
    }

    Place<T> place(size_t panel, size_t b) const {
        const size_t at = b * frame.stride + panel * L;
        const bool lstm = layer.cell == Cell::lstm;
        const T* const old = layer.projection ? frame.h + at : row_of(1, b) + panel * L;
        return {old, frame.h + at, lstm ? frame.c + at : nullptr, lstm ? frame.seen + at : nullptr,
                lstm ? frame.gate + at : nullptr};
    }

    // a and u of R rows of one panel; or, going `across`, of one row of R panels.
    template <int R, int split = 1, bool across = false>
    ELMAN_INLINE void tile(const typename F::Stored* w, size_t panel_size, size_t panel,
                           size_t b) const {
        constexpr size_t next = across ? G * L : 0;
        Vec<T> a[R][G], u[R][G];
        const size_t at = panel * G * L;
        for (int r = 0; r < R; ++r)
            for (int g = 0; g < G; ++g) {
                const size_t i = at + r * next + g * L;
                a[r][g] = norm ? Vec<T>{} : load<T>(layer.bias_ih.data() + i);
                u[r][g] = norm ? Vec<T>{} : load<T>(layer.bias_hh.data() + i);
            }
        const T* const scale = layer.scale_ih.data() + at;
        add_segments<R, split, across>(0, 1, b, scale, w, panel_size, a);
        const T* const scale_h = layer.scale_hh.data() + at;
        add_segments<R, split, across>(1, 1 + layer.order, b, scale_h, w, panel_size, u);
        for (int r = 0; r < R; ++r)
            for (int g = 0; g < G; ++g) {
                const size_t i =
                    b * frame.part_stride + at + r * (across ? next : frame.part_stride) + g * L;
                store<T>(frame.a + i, a[r][g]);
                store<T>(frame.u + i, u[r][g]);
            }
    }

    // Panels [first, last) of one row, P at once.
    template <int P>
    void panels_of_row(const typename F::Stored* w, size_t panel_size, size_t first, size_t last,
                       size_t b) const {
        const size_t whole = (last - first) / P, rest = first + whole * P;
        for (size_t i = 0; i < whole; ++i) {
            const size_t panel = first + (frame.backwards ? whole - 1 - i : i) * P;
            tile<P, 1, true>(w + panel * panel_size, panel_size, panel, b);
        }
        if constexpr (P > 1)
            if (rest < last) panels_of_row<P / 2>(w, panel_size, rest, last, b);
    }

    // Rows [b, last) of one panel, as many at once as can be, then half as many, and so on.
    template <int R>
    void tiles(const typename F::Stored* w, size_t panel, size_t b, size_t last) const {
        if constexpr (tiled) {
            for (; b < last; b += F::rows) tiles_of_rows(w, panel, b, last);
        } else {
            for (; b + R <= last; b += R) tile<R>(w, 0, panel, b);
            constexpr int fewer = R > 4 ? 4 : R > 2 ? 2 : 1;
            if constexpr (R > 1)
                if (b < last) tiles<fewer>(w, panel, b, last);
        }
    }

    // The same of as many rows as F takes at once, or those up to `last`.
    void tiles_of_rows(const typename F::Stored* w, size_t panel, size_t b, size_t last) const {
        using Tiles = typename F::Tiles;
        constexpr bool gru = C::gates == 3;
        const uint16_t* const x = frame.codes + b * F::parts * code_stride;
        const size_t x_size = groups_in<F>(layer.inputs) * G * L * F::group;
        const size_t h_size = groups_in<F>(layer.outputs) * G * L * F::group;
        Tiles sums;
        Tiles::zero();
        Tiles::template add<G>(w, layer.inputs, x, code_stride);
        if (norm) {
            sums.template take<G>();
            put_sums(sums, frame.a, panel, b, last);
            Tiles::zero();
        }
        w += x_size;
        for (size_t j = 1; j <= layer.order; ++j, w += h_size) {
            const uint16_t* const h = x + j * frame.batch * F::parts * code_stride;
            if (gru && !norm)
                Tiles::template add<G, gru>(w, layer.outputs, h, code_stride);
            else
                Tiles::template add<G>(w, layer.outputs, h, code_stride);
        }
        if (norm) {
            sums.template take<G>();
            put_sums(sums, frame.u, panel, b, last);
        } else {
            Tiles::template put<stored>(frame.a + b * frame.part_stride + panel * stored * L,
                                        frame.part_stride / 2);
        }
    }

    template <class Tiles>
    void put_sums(const Tiles& sums, T* part, size_t panel, size_t b, size_t last) const {
        for (size_t r = 0; r < F::rows && b + r < last; ++r)
            for (int g = 0; g < G; ++g)
                store<T>(part + (b + r) * frame.part_stride + (panel * G + g) * L, sums.of(r, g));
    }

    // a_t and u_t of one vector of units. On tiles, and without a normalisation, what is in a and u
    // are the two parts of sums in which a and u are one, but for the GRU's third: that has a
    // fourth.
    ELMAN_INLINE void gates_of(size_t i, const T* a, const T* u, Vec<T>* a_t, Vec<T>* u_t) const {
        constexpr int gates = C::gates;
        const bool parts = tiled && !norm;
        const size_t from = i * (parts ? size_t(stored) / W : gates) * L, at = i * gates * L;
        for (int g = 0; g < gates; ++g) {
            a_t[g] = load<T>(a + from + g * L);
            u_t[g] = load<T>(u + from + g * L);
        }
        if (!parts) return;
        if constexpr (gates == 3) {
            a_t[2] += u_t[2];
            u_t[2] = load<T>(a + from + 3 * L) + load<T>(u + from + 3 * L);
        }
        for (int g = 0; g < gates; ++g) {
            a_t[g] += load<T>(layer.bias_ih.data() + at + g * L);
            u_t[g] += load<T>(layer.bias_hh.data() + at + g * L);
        }
    }

    template <int width>
    void normalise(T* v, const T* gain, const T* shift) const {
        const T scale = centre<T, width>(v, layer.units);
        for (size_t i = 0; i < vectors * width * L; i += L)
            store<T>(v + i, load<T>(v + i) * scale * load<T>(gain + i) + load<T>(shift + i));
    }

    // The gates of one panel of one row; its new state, or of the LSTM all that comes before
    // `output`.
    void activate(size_t b, size_t panel) const {
        const T* const a = frame.a + b * frame.part_stride;
        const T* const u = frame.u + b * frame.part_stride;
        for (size_t i = panel * W; i < (panel + 1) * W && i < vectors; ++i) {
            constexpr int gates = C::gates;
            Vec<T> a_t[gates], u_t[gates];
            gates_of(i, a, u, a_t, u_t);
            if (gates == 1 && layer.order == 0) {
                const Place<T> at = place(i, b);
                store<T>(at.h, zoneout<T>(layer.keep_h, load<T>(at.h_old), a_t[0] + u_t[0]));
            } else {
                C::template step<T>(layer, i, a_t, u_t, place(i, b));
            }
        }
    }

    void output(size_t b, size_t panel) const {
        if constexpr (C::gates == 4) {
            const Place<T> at = place(panel, b);
            C::template output<T>(layer, load<T>(at.gate), load<T>(at.seen), at);
        }
    }

    // From a and u of one row to its new state.
    void finish(size_t b) const {
        if (norm) {
            normalise<C::gates>(frame.a + b * frame.part_stride, layer.gain_ih.data(),
                                layer.bias_ih.data());
            normalise<C::gates>(frame.u + b * frame.part_stride, layer.gain_hh.data(),
                                layer.bias_hh.data());
        }
        for (size_t panel = 0; panel < layer.panels; ++panel) activate(b, panel);
        if (C::gates == 4 && norm)
            normalise<1>(place(0, b).seen, layer.gain_c.data(), layer.bias_c.data());
        for (size_t panel = 0; panel < layer.panels; ++panel) output(b, panel);
    }

    // Tiles work beside all other units, so that the gates of a panel cost least while those
    // multiply the next one's weights.
    void finish_panel(size_t panel, size_t b, size_t last) const {
        for (; b < last; ++b) {
            activate(b, panel);
            output(b, panel);
        }
    }

    void encode_inputs() const {
        for (size_t segment = 0; segment <= layer.order; ++segment)
            for (size_t b = 0; b < frame.batch; ++b) {
                const size_t row = segment * frame.batch + b;
                frame.code_scale[row] =
                    F::encode(row_of(segment, b), size_of(segment),
                              frame.codes + row * F::parts * code_stride, code_stride);
            }
    }

    struct Job {
        const Step& step;
        size_t panel_size;
    };
    const auto* first_weight() const {
        return reinterpret_cast<const typename F::Stored*>(layer.weights.data());
    }

    // One row reads all weights, and mostly waits for them. Going through them once forwards and
    // once backwards finds those in the cache that the last timestep read last.
    void run_one(size_t panel_size) const {
        Job job{*this, panel_size};
        const auto products = [](const Team& team, void* data) {
            const auto& [step, panel_size] = *static_cast<const Job*>(data);
            const auto* w = step.first_weight();
            F::prepare(1);
            const size_t all = step.layer.panels, first = all * team.index / team.count;
            const size_t last = all * (team.index + 1) / team.count;
            if (step.frame.alone)
                step.template panels<true>(first, last, 0, 1, w, panel_size);
            else
                step.template panels<false>(first, last, 0, 1, w, panel_size);
        };
        run_team(frame.threads, products, &job);
        if (!at_once) finish(0);
    }

    // The products of panels [first, last) and of rows [b, end), and where tiles allow all that
    // follows from them.
    template <bool alone>
    void panels(size_t first, size_t last, size_t b, size_t end, const typename F::Stored* w,
                size_t panel_size) const {
        if constexpr (!alone && !tiled)
            if (end - b == 1)
                return panels_of_row<panels_of_one_row(G)>(w, panel_size, first, last, b);
        size_t panel = first, before = last;
        for (size_t i = first; i < last; ++i, before = panel) {
            panel = frame.backwards ? first + last - 1 - i : i;
            if constexpr (alone && !tiled)
                tile<1, parts_of_one_row(G)>(w + panel * panel_size, 0, panel, b);
            else
                tiles<rows_of_tile(G, F::chains)>(w + panel * panel_size, panel, b, end);
            if (at_once && i > first) finish_panel(before, b, end);
        }
        if (at_once && first < last) finish_panel(before, b, end);
    }

    void run() const {
        if constexpr (coded) encode_inputs();
        const auto groups = groups_in<F>(layer.inputs) + layer.order * groups_in<F>(layer.outputs);
        const size_t panel_size = groups * G * L * F::group + (1 + layer.order) * head;
        if (frame.batch == 1) return run_one(panel_size);
        Job job{*this, panel_size};
        const auto rows = [](const Team& team, void* data) {
            const auto& [step, panel_size] = *static_cast<const Job*>(data);
            // Whole tiles of rows, so that no thread writes into another's.
            const size_t all = step.frame.batch, blocks = (all + 7) / 8;
            const size_t end = blocks * (team.index + 1) / team.count * 8;
            F::prepare(all);
            step.rows(blocks * team.index / team.count * 8, end < all ? end : all, panel_size);
        };
        run_team(frame.threads, rows, &job);
    }

    // Rows [begin, end) of all panels.
    void rows(size_t begin, size_t end, size_t panel_size) const {
        for (size_t last; begin < end; begin = last) {
            last = end - begin < rows_at_once ? end : begin + rows_at_once;
            panels<false>(0, layer.panels, begin, last, first_weight(), panel_size);
            for (size_t b = begin; !at_once && b < last; ++b) finish(b);
        }
    }
};

template <class F>
void step(const Layer<typename F::T>& layer, const Frame<typename F::T>& frame) {
    switch (layer.cell) {
        case Cell::elman:
            if (layer.wide == 4) return Step<F, ElmanCell, 4>{layer, frame}.run();
            return Step<F, ElmanCell>{layer, frame}.run();
        case Cell::gru: return Step<F, GruCell>{layer, frame}.run();
        case Cell::lstm: return Step<F, LstmCell>{layer, frame}.run();
    }
}

}  // namespace elman::ELMAN_ISA
