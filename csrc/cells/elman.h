// Elman (1990): h_t = f(a_t + u_t), f = tanh or relu.
#pragma once

#include "cells/state.h"

namespace elman::ELMAN_ISA {

struct ElmanCell {
    static constexpr int gates = 1;

    template <class T>
    static ELMAN_INLINE void step(const Layer<T>& layer, size_t, const Vec<T>* a, const Vec<T>* u,
                                  const Place<T>& at) {
        const Vec<T> v = a[0] + u[0];
        const Vec<T> h = layer.relu ? (v < 0 ? Vec<T>{} : v) : tanh<T>(v);
        store<T>(at.h, zoneout<T>(layer.keep_h, load<T>(at.h_old), h));
    }

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
