// Elman (1990): h_t = f(a_t + u_t), f = tanh or relu.
#pragma once

#include "simd/math.h"

namespace elman::ELMAN_ISA {

struct ElmanCell {
    static constexpr int gates = 1;

    // v: a_t + u_t, becomes h_t.
    template <class T>
    static ELMAN_INLINE void activate(bool relu, Vec<T>& v) {
        v = relu ? (v < 0 ? Vec<T>{} : v) : tanh<T>(v);
    }

    // From dL/dh_t and h_t to dL/d(a_t + u_t).
    template <class T>
    static ELMAN_INLINE Vec<T> backward(bool relu, Vec<T> h, Vec<T> d_h) {
        return relu ? (h > 0 ? d_h : Vec<T>{}) : d_h * (1 - h * h);
    }
};

}  // namespace elman::ELMAN_ISA
