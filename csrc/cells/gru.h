// GRU (Cho et al. 2014) as torch.nn has it: b_hn is inside u_n, so r multiplies it too.
#pragma once

#include "simd/math.h"

namespace elman::ELMAN_ISA {

struct GruCell {
    static constexpr int gates = 3;  // r z n

    // a becomes r z n; returns h_t.
    template <class T>
    static ELMAN_INLINE Vec<T> activate(Vec<T>* a, const Vec<T>* u, Vec<T> old) {
        a[0] = sigmoid<T>(a[0] + u[0]);
        a[1] = sigmoid<T>(a[1] + u[1]);
        a[2] = tanh<T>(a[2] + a[0] * u[2]);
        return a[2] + a[1] * (old - a[2]);
    }

    // From r z n, u_n, h_{t-1} and dL/dh_t to dL/da_t, dL/du_n and the direct part of dL/dh_{t-1}.
    template <class T>
    static ELMAN_INLINE void backward(const Vec<T>* v, Vec<T> u_n, Vec<T> old, Vec<T> d_h,
                                      Vec<T>* d_a, Vec<T>& d_u_n, Vec<T>& d_old) {
        const Vec<T> r = v[0], z = v[1], n = v[2];
        d_old = d_h * z;
        d_a[2] = (d_h - d_old) * (1 - n * n);
        d_a[1] = d_old * (old - n) * (1 - z);
        d_a[0] = d_a[2] * u_n * r * (1 - r);
        d_u_n = d_a[2] * r;
    }
};

}  // namespace elman::ELMAN_ISA
