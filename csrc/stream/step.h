// One timestep of one layer, over all its panels and rows, in two passes: first all products, then
// all gates. Layer normalisation needs that, since it must know all of a_t and u_t before any gate;
// and without it the processor overlaps the gates of several panels, where it else waits for each.
#pragma once

#include "cells/elman.h"
#include "cells/gru.h"
#include "cells/lstm.h"
#include "simd/norm.h"
#include "stream/int8.h"
#include "stream/product.h"
#ifdef ELMAN_TILES
#include "stream/tiled.h"
#endif
#include "threads/team.h"

namespace elman::ELMAN_ISA {

// What the gates of this many rows need stays in the cache until they are finished.
constexpr size_t rows_at_once = 48;

// Zoneout (Krueger et al. 2017) by its expected value.
template <class T>
ELMAN_INLINE Vec<T> zoneout(T keep, Vec<T> old, Vec<T> computed) {
    return keep == 0 ? computed : keep * old + (1 - keep) * computed;
}

// W: see Layer::wide.
template <class F, class C, int W = 1>
struct Step {
    using T = typename F::T;
    using Stored = typename F::Stored;
    static constexpr int gates = C::gates, G = gates * W;
    static constexpr bool lstm = gates == 4, gru = gates == 3;
    static constexpr size_t L = lanes<T>;
    static constexpr bool tiled = F::parts == 2;
    static constexpr bool coded = sizeof(typename F::Operand) == 2;  // else x and h as they are

    const Layer<T>& layer;
    const Frame<T>& frame;
    const bool norm = !layer.parts[0].gain.empty();
    const size_t code_stride = layer.codes(), width = layer.width();
    const size_t vectors = (layer.units + L - 1) / L;  // of units; the last panel may have more
    const size_t panel_size = weights_of(0) + layer.order * weights_of(1);

    size_t size_of(size_t segment) const { return segment ? layer.outputs : layer.inputs; }
    size_t weights_of(size_t segment) const {
        return groups_in<F>(size_of(segment)) * G * L * F::group;
    }
    const T* row_of(size_t segment, size_t b) const {
        return (segment ? frame.past[segment - 1] : frame.x) + b * padded(size_of(segment));
    }
    const Stored* panel_at(size_t panel) const {
        return reinterpret_cast<const Stored*>(layer.weights.data()) + panel * panel_size;
    }
    uint16_t* codes_of(size_t segment, size_t b) const {
        return frame.codes + (segment * frame.batch + b) * F::parts * code_stride;
    }
    // Part 0 is a_t, part 1 is u_t.
    T* sums_of(size_t b, size_t part) const { return frame.sums + (2 * b + part) * width; }

    // a and u of R rows of one panel; or, going `across`, of one row of R panels.
    template <int R, int split = 1, bool across = false>
    ELMAN_INLINE void tile(size_t panel, size_t b) const {
        constexpr size_t next = across ? 0 : 1, next_at = across ? G * L : 0;
        const size_t next_w = across ? panel_size : 0, at = panel * G * L;
        const Stored* w = panel_at(panel);
#pragma GCC unroll 2
        for (size_t p = 0, segment = 0; p < 2; ++p) {
            const Part<T>& part = layer.parts[p];
            Vec<T> total[R][G] = {};
            for (int r = 0; r < R && !norm; ++r)
                for (int g = 0; g < G; ++g)
                    total[r][g] = load<T>(&part.bias[at + r * next_at + g * L]);
            for (const size_t end = p ? 1 + layer.order : 1; segment < end; ++segment) {
                const size_t n = size_of(segment);
                typename F::Sum sums[R][G];
                if constexpr (coded)
                    multiply<F, G, R, split>(w, next_w, groups_in<F>(n), codes_of(segment, b),
                                             next * code_stride, sums);
                else
                    multiply<F, G, R, split>(w, next_w, groups_in<F>(n), row_of(segment, b),
                                             next * padded(n), sums);
                for (int r = 0; r < R; ++r)
                    for (int g = 0; g < G; ++g)
                        if constexpr (coded) {
                            const Code& code = frame.code[segment * frame.batch + b + r * next];
                            total[r][g] +=
                                __builtin_convertvector(F::whole(sums[r][g], code), Vec<T>) *
                                (load<T>(&part.scale[at + r * next_at + g * L]) * code.scale);
                        } else {
                            total[r][g] += sums[r][g];
                        }
                w += weights_of(segment);
            }
            for (int r = 0; r < R; ++r)
                for (int g = 0; g < G; ++g)
                    store<T>(sums_of(b + r * next, p) + at + r * next_at + g * L, total[r][g]);
        }
    }

    // Panels [first, last) of row b, P at once: as many as hide the latency of the additions. The
    // rest goes fewer at once and, where nothing forbids it, in more sums each. Four vectors read
    // from one panel are faster than from two.
    template <bool alone, int P = alone && G == 4 ? 1 : panels_of_one_row(G)>
    void panels_of_row(size_t first, size_t last, size_t b) const {
        constexpr int split = alone ? panels_of_one_row(G) / P : 1;
        if constexpr (P > 1)
            if (last - first < P) return panels_of_row<alone, P / 2>(first, last, b);
        const size_t whole = (last - first) / P, rest = first + whole * P;
        for (size_t i = 0; i < whole; ++i)
            tile<P, split, true>(first + (frame.backwards ? whole - 1 - i : i) * P, b);
        if constexpr (P > 1)
            if (rest < last) panels_of_row<alone, P / 2>(rest, last, b);
    }

    // Rows [b, last) of one panel, as many at once as can be, then half as many, and so on.
    template <int R = rows_of_tile(G, F::chains)>
    void rows_of_panel(size_t panel, size_t b, size_t last) const {
        for (; b + R <= last; b += R) tile<R>(panel, b);
        constexpr int fewer = R > 4 ? 4 : R > 2 ? 2 : 1;
        if constexpr (R > 1)
            if (b < last) rows_of_panel<fewer>(panel, b, last);
    }

    // The products of panels [first, last) and of rows [b, end), and on tiles, without a
    // normalisation, all that follows from them.
    void products(size_t first, size_t last, size_t b, size_t end) const {
        if constexpr (tiled)
            products_on_tiles(first, last, b, end);
        else if (end - b == 1)
            frame.alone ? panels_of_row<true>(first, last, b)
                        : panels_of_row<false>(first, last, b);
        else
            for (size_t i = first; i < last; ++i)
                rows_of_panel(frame.backwards ? first + last - 1 - i : i, b, end);
    }

    // Tiles work beside all other units, if what these have to do comes in small pieces between:
    // the gates of some rows of a panel are activated while those multiply x for the next, and put
    // out while they multiply h.
    void products_on_tiles(size_t first, size_t last, size_t b, size_t end) const {
        typename F::Tiles sums;
        sums.zero();
        size_t panel = 0, row = end;  // what the sums belong to
        for (size_t i = first; i < last; ++i)
            for (size_t next = b; next < end; next += F::rows) {
                const size_t now = frame.backwards ? first + last - 1 - i : i;
                multiply_tiles(sums, now, next, end,
                               [&] { activate_tiles(sums, panel, row, end); });
                output_tiles(panel, row, end);
                panel = now, row = next;
            }
        if (norm) return;
        sums.template take<4>();
        activate_tiles(sums, panel, row, end);
        output_tiles(panel, row, end);
    }

    // The sums of one panel and of as many rows as F takes at once. Of a normalised layer a and u
    // go to the frame; else they are one sum, but for the GRU's third, which has a fourth beside.
    ELMAN_INLINE void multiply_tiles(auto& sums, size_t panel, size_t b, size_t end,
                                     auto between) const {
        const Stored* w = panel_at(panel);
        const auto put = [&](size_t part) {
            sums.template take<G>();
            for (size_t r = 0; r < F::rows && b + r < end; ++r)
                for (int g = 0; g < G; ++g)
                    store<T>(sums_of(b + r, part) + (panel * G + g) * L, sums.of(r, g));
            sums.zero();
        };
        sums.template start<G>(w, layer.inputs, codes_of(0, b), code_stride);
        norm ? put(0) : between();
        for (size_t segment = 1; segment <= layer.order; ++segment) {
            w += weights_of(segment - 1);
            const uint16_t* const h = codes_of(segment, b);
            if (gru && !norm)
                sums.template add<G, gru>(w, layer.outputs, h, code_stride);
            else
                sums.template add<G>(w, layer.outputs, h, code_stride);
        }
        if (norm) put(1);
    }

    void activate_tiles(const auto& sums, size_t panel, size_t b, size_t end) const {
        for (size_t r = 0; r < F::rows && b + r < end; ++r)
            for (size_t i = panel * W, from = 0; i < (panel + 1) * W && i < vectors; ++i) {
                Vec<T> a[gates], u[gates];
                for (int g = 0; g < gates; ++g, ++from) {
                    a[g] = sums.of(r, from) + load<T>(&layer.parts[0].bias[(i * gates + g) * L]);
                    u[g] = load<T>(&layer.parts[1].bias[(i * gates + g) * L]);
                }
                if constexpr (gru) u[2] += sums.of(r, 3);
                activate(b + r, i, a, u);
            }
    }

    void output_tiles(size_t panel, size_t b, size_t end) const {
        for (size_t r = 0; lstm && !norm && r < F::rows && b + r < end; ++r)
            for (size_t i = panel * W; i < (panel + 1) * W && i < vectors; ++i) output(b + r, i);
    }

    template <int count>
    void normalise(T* v, const Array<T>& gain, const Array<T>& shift) const {
        const T scale = centre<T, count>(v, layer.units);
        for (size_t i = 0; i < vectors * count * L; i += L)
            store<T>(v + i, load<T>(v + i) * scale * load<T>(&gain[i]) + load<T>(&shift[i]));
    }

    T* h_of(size_t b) const { return frame.h + b * padded(layer.units); }

    // h_t, zoned out. What goes into a projection never is, and has no h_{t-1} of its own.
    ELMAN_INLINE void put_out(size_t b, size_t i, Vec<T> h) const {
        T* const at = h_of(b) + i * L;
        const T* const old = layer.projection ? at : row_of(1, b) + i * L;
        store<T>(at, zoneout<T>(layer.keep_h, load<T>(old), h));
    }

    // From a_t and u_t of one vector of units to its new state; but of the LSTM to o, in the place
    // of its sum, and c, in the place of h, which `output` needs.
    ELMAN_INLINE void activate(size_t b, size_t i, Vec<T>* a, Vec<T>* u) const {
        if constexpr (lstm) {
            T* const at = frame.c + b * padded(layer.units) + i * L;
            const Vec<T> old = load<T>(at);
            for (int g = 0; g < gates; ++g) a[g] += u[g];
            Vec<T> c, p[3];
            if (layer.peephole.empty()) {
                c = C::template activate<T>(a, nullptr, old);
            } else {
                for (int g = 0; g < 3; ++g) p[g] = load<T>(&layer.peephole[(i * 3 + g) * L]);
                c = C::template activate<T>(a, p, old);
            }
            store<T>(at, zoneout<T>(layer.keep_c, old, c));
            store<T>(h_of(b) + i * L, c);
            store<T>(sums_of(b, 0) + (i * gates + 3) * L, a[3]);
        } else if constexpr (gru) {
            put_out(b, i, C::template activate<T>(a, u, load<T>(row_of(1, b) + i * L)));
        } else {
            a[0] += u[0];
            if (layer.order) C::template activate<T>(layer.relu, a[0]);
            put_out(b, i, a[0]);
        }
    }

    void output(size_t b, size_t i) const {
        const Vec<T> c = load<T>(h_of(b) + i * L);
        put_out(b, i, load<T>(sums_of(b, 0) + (i * gates + gates - 1) * L) * tanh<T>(c));
    }

    // From a and u of one row to its new state.
    void finish(size_t b) const {
        for (size_t p = 0; p < 2 && norm; ++p)
            normalise<gates>(sums_of(b, p), layer.parts[p].gain, layer.parts[p].bias);
        for (size_t i = 0; i < vectors; ++i) {
            const T* const sums = sums_of(b, 0) + i * gates * L;
            Vec<T> a[gates], u[gates];
            for (int g = 0; g < gates; ++g) {
                a[g] = load<T>(sums + g * L);
                u[g] = load<T>(sums + width + g * L);
            }
            activate(b, i, a, u);
        }
        if (!lstm) return;
        if (norm) normalise<1>(h_of(b), layer.gain_c, layer.bias_c);
        for (size_t i = 0; i < vectors; ++i) output(b, i);
    }

    void encode_inputs() const {
        for (size_t segment = 0; segment <= layer.order; ++segment)
            for (size_t b = 0; b < frame.batch; ++b)
                frame.code[segment * frame.batch + b] = F::encode(
                    row_of(segment, b), size_of(segment), codes_of(segment, b), code_stride);
    }

    // One row reads all weights, and mostly waits for them: threads share the panels. Going through
    // them once forwards and once backwards finds those in the cache that the last timestep read
    // last. Of several rows each thread takes whole tiles, so that none writes into another's. What
    // panels or rows go together does not depend on the threads, and so no bit does.
    void run() const {
        if constexpr (coded) encode_inputs();
        const size_t rows = frame.batch, panels = layer.panels;
        const bool done = tiled && !norm;  // with the products
        run_team(frame.threads, [=, this](const Team& team) {
            const auto border = [&](size_t all, size_t block, size_t i) {
                const size_t at = (all + block - 1) / block * i / team.count * block;
                return at < all ? at : all;
            };
            if constexpr (tiled) F::prepare(rows);
            if (rows == 1) {
                constexpr size_t block = panels_of_one_row(G);
                return products(border(panels, block, team.index),
                                border(panels, block, team.index + 1), 0, 1);
            }
            const size_t end = border(rows, 8, team.index + 1);
            for (size_t b = border(rows, 8, team.index), last; b < end; b = last) {
                last = end - b < rows_at_once ? end : b + rows_at_once;
                products(0, panels, b, last);
                for (size_t row = b; row < last && !done; ++row) finish(row);
            }
        });
        if (rows == 1 && !done) finish(0);
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
