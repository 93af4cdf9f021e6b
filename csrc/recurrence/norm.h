// Layer normalisation of the gates of one row, forward and backward; the row is one thread's.
#pragma once

#include "recurrence/sequence.h"
#include "simd/norm.h"

namespace elman::ELMAN_ISA {

// use(column, lanes, place) for every vector: where it is in a row [gate][unit] of the arrays, how
// many of its lanes are units, and where it is in a row of products, [panel][gate][lane].
template <class T, size_t G, class Use>
ELMAN_INLINE void each_gate(size_t units, Use use) {
    constexpr size_t L = lanes<T>;
    for (size_t p = 0; p * L < units; ++p)
        for (size_t g = 0; g < G; ++g) use(g * units + p * L, units - p * L, (p * G + g) * L);
}

// Ba et al. (2016), equation 20. The row before gain and bias goes to row `row` of `normal`, if
// there is one, and 1 / its deviation to scale[row].
template <class T, size_t G>
void normalise_gates(T* product, size_t units, const T* gain, const T* bias, size_t row, T* normal,
                     T* scale) {
    const T found = centre<T, G>(product, units);
    if (normal) scale[row] = found;
    each_gate<T, G>(units, [&](size_t col, size_t n, size_t at) {
        const Vec<T> v = load<T>(product + at) * found;
        if (normal) store<T>(normal + row * G * units + col, v, n);
        const Vec<T> shift = bias ? load<T>(bias + col, n) : Vec<T>{};
        store<T>(product + at, v * load<T>(gain + col, n) + shift);
    });
}

// The gradients of a row become those before the normalisation; what they are worth to the gain is
// added to `total`. That and `room` are [panel][gate][lane].
template <class T, size_t G>
void through_norm(T* gradients, size_t units, const T* normal, const T* gain, T scale, T* room,
                  T* total) {
    ThroughNorm<T> through;
    each_gate<T, G>(units, [&](size_t col, size_t n, size_t at) {
        const Vec<T> gradient = load<T>(gradients + col, n), v = load<T>(normal + col, n);
        const Vec<T> inside = gradient * load<T>(gain + col, n);
        store<T>(total + at, load<T>(total + at) + gradient * v);
        through.add(inside, v);
        store<T>(room + at, inside);
    });
    through.finish(G * units, scale);
    each_gate<T, G>(units, [&](size_t col, size_t n, size_t at) {
        store<T>(gradients + col, through.of(load<T>(room + at), load<T>(normal + col, n)), n);
    });
}

// The gates of the row (t, b) as the forward pass had them, from their normalised products, to
// [gate][unit]; behind them the GRU's u_n.
template <class T, class C>
void restore_gates(const Sequence<T>& s, size_t t, size_t b, T* to) {
    constexpr size_t L = lanes<T>, G = C::gates;
    constexpr bool lstm = G == 4, gru = G == 3;
    const T* const c = lstm ? s.entered(t, b, s.c, s.first_c, s.initial_c) : nullptr;
    for (size_t col = 0; col < s.units; col += L) {
        const size_t n = s.units - col;
        const auto shifted = [&](const T* normal, const T* gain, const T* bias, size_t at) {
            const Vec<T> shift = bias ? load<T>(bias + at, n) : Vec<T>{};
            normal += s.row(t, b) * G * s.units;
            return load<T>(normal + at, n) * load<T>(gain + at, n) + shift;
        };
        Vec<T> v[G], u[G], p[3] = {};
        for (size_t g = 0, at = col; g < G; ++g, at += s.units) {
            v[g] = shifted(s.normal_a, s.gain_ih, s.bias_ih, at);
            u[g] = shifted(s.normal_u, s.gain_hh, s.bias_hh, at);
            if (!gru) v[g] += u[g];
        }
        for (size_t g = 0; lstm && s.peephole && g < 3; ++g)
            p[g] = load<T>(s.peephole + g * s.units + col, n);
        if constexpr (lstm)
            C::template activate<T>(v, p, load<T>(c + col, n));
        else if constexpr (gru)
            C::template activate<T>(v, u, Vec<T>{});
        else
            C::template activate<T>(s.relu, v[0]);
        for (size_t g = 0; g < G; ++g) store<T>(to + g * s.units + col, v[g], n);
        if (gru) store<T>(to + G * s.units + col, u[G - 1], n);
    }
}

}  // namespace elman::ELMAN_ISA
