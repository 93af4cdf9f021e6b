// From outputs to log-probabilities.
#pragma once

#include <cmath>
#include <limits>

#include "simd/math.h"

namespace elman::ELMAN_ISA {

// y[rows][n], in place: y - log(sum(exp(y))). A row's result does not depend on the others.
template <class T>
void log_softmax(T* y, size_t rows, size_t n) {
    constexpr size_t lane = lanes<T>;
    for (T* const end = y + rows * n; y != end; y += n) {
        T most = -std::numeric_limits<T>::infinity();
        for (size_t i = 0; i < n; ++i) most = y[i] > most ? y[i] : most;
        Vec<T> total{};
        for (size_t i = 0; i < n; i += lane) {
            Vec<T> v = broadcast<T>(-std::numeric_limits<T>::infinity());
            __builtin_memcpy(&v, y + i, (n - i < lane ? n - i : lane) * sizeof(T));
            total += exp<T>(v - most);
        }
        const T size = static_cast<T>(std::log(static_cast<double>(sum<T>(total))));
        for (size_t i = 0; i < n; ++i) y[i] = (y[i] - most) - size;
    }
}

}  // namespace elman::ELMAN_ISA
