// Layer normalisation of the gates of one row, forward and backward; the row is one thread's.
#pragma once

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

// The gradients of a row become those before the normalisation; add(place, vector) gets what they
// are worth to the gain, and put(column, lanes, vector) what becomes of them. `room` is for a row.
template <class T, size_t G, class Add, class Put>
void through_norm(const T* gradients, size_t units, const T* normal, const T* gain, T scale,
                  T* room, Add add, Put put) {
    ThroughNorm<T> through;
    each_gate<T, G>(units, [&](size_t col, size_t n, size_t at) {
        const Vec<T> gradient = load<T>(gradients + col, n), v = load<T>(normal + col, n);
        const Vec<T> inside = gradient * load<T>(gain + col, n);
        add(at, gradient * v);
        through.add(inside, v);
        store<T>(room + at, inside);
    });
    through.finish(G * units, scale);
    each_gate<T, G>(units, [&](size_t col, size_t n, size_t at) {
        put(col, n, through.of(load<T>(room + at), load<T>(normal + col, n)));
    });
}

}  // namespace elman::ELMAN_ISA
