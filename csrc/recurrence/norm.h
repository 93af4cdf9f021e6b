// Layer normalisation of one row in the layout [panel][gate][lane], Ba et al. (2016), equation 20.
// The lanes behind the last unit hold zeros.
#pragma once

#include "simd/vector.h"

namespace elman::ELMAN_ISA {

template <class T>
inline constexpr T norm_eps = T(1e-5);

// v becomes (v - mean) / deviation; returns 1 / deviation.
template <class T, int G>
T normalise(T* v, size_t units) {
    constexpr size_t L = lanes<T>;
    const size_t panels = (units + L - 1) / L;
    const T count = static_cast<T>(units * G);
    Vec<T> total{}, squares{};
    for (size_t i = 0; i < panels * G; ++i) total += load<T>(v + i * L);
    const T mean = sum<T>(total) / count;
    for (size_t i = 0; i < panels * G; ++i) {
        const size_t n = units - i / G * L;
        const Vec<T> centred = load<T>(v + i * L) - mean;
        store<T>(v + i * L, Vec<T>{});
        store<T>(v + i * L, centred, n);
        const Vec<T> real = load<T>(v + i * L);
        squares += real * real;
    }
    const T scale = 1 / __builtin_sqrt(sum<T>(squares) / count + norm_eps<T>);
    for (size_t i = 0; i < panels * G; ++i) store<T>(v + i * L, load<T>(v + i * L) * scale);
    return scale;
}

// d, the gradient of the normalised row, becomes that of the row.
template <class T, int G>
void normalise_backward(T* d, const T* normal, T scale, size_t units) {
    constexpr size_t L = lanes<T>;
    const size_t panels = (units + L - 1) / L;
    Vec<T> total{}, aligned{};
    for (size_t i = 0; i < panels * G; ++i) {
        total += load<T>(d + i * L);
        aligned += load<T>(d + i * L) * load<T>(normal + i * L);
    }
    const T count = static_cast<T>(units * G);
    const T mean = sum<T>(total) / count, along = sum<T>(aligned) / count;
    for (size_t i = 0; i < panels * G; ++i) {
        const Vec<T> straight = load<T>(d + i * L) - mean - load<T>(normal + i * L) * along;
        store<T>(d + i * L, straight * scale);
    }
}

}  // namespace elman::ELMAN_ISA
