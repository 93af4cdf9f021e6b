// Layer normalisation of one row in the layout [panel][gate][lane], Ba et al. (2016), equation 20.
// The lanes behind the last unit hold zeros.
#pragma once

#include "simd/vector.h"

namespace elman::ELMAN_ISA {

template <class T>
inline constexpr T norm_eps = T(1e-5);

// v becomes v - mean; returns 1 / deviation.
template <class T, int G>
T centre(T* v, size_t units) {
    constexpr size_t L = lanes<T>;
    const size_t panels = (units + L - 1) / L;
    const T count = static_cast<T>(units * G);
    Vec<T> total[G] = {}, squares[G] = {};
    for (size_t i = 0; i < panels; ++i)
        for (size_t g = 0; g < G; ++g) total[g] += load<T>(v + (i * G + g) * L);
    for (size_t g = 1; g < G; ++g) total[0] += total[g];
    const T mean = sum<T>(total[0]) / count;
    for (size_t i = 0; i < panels; ++i)
        for (size_t g = 0; g < G; ++g) {
            T* const at = v + (i * G + g) * L;
            Vec<T> centred = load<T>(at) - mean;
            if (units - i * L < L) centred = first<T>(centred, units - i * L);
            squares[g] += centred * centred;
            store<T>(at, centred);
        }
    for (size_t g = 1; g < G; ++g) squares[0] += squares[g];
    return 1 / __builtin_sqrt(sum<T>(squares[0]) / count + norm_eps<T>);
}

// From the gradient of a normalised row to that of the row: all vectors are added first.
template <class T>
class ThroughNorm {
  public:
    void add(Vec<T> gradient, Vec<T> normal) {
        total_ += gradient;
        aligned_ += gradient * normal;
    }
    void finish(size_t count, T scale) {
        mean_ = sum<T>(total_) / static_cast<T>(count);
        along_ = sum<T>(aligned_) / static_cast<T>(count);
        scale_ = scale;
    }
    Vec<T> of(Vec<T> gradient, Vec<T> normal) const {
        return (gradient - mean_ - normal * along_) * scale_;
    }

  private:
    Vec<T> total_{}, aligned_{};
    T mean_, along_, scale_;
};

}  // namespace elman::ELMAN_ISA
