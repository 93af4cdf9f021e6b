// LSTM (Hochreiter & Schmidhuber 1997), peepholes as in Gers & Schmidhuber (2000).
#pragma once

#include "simd/math.h"

namespace elman::ELMAN_ISA {

struct LstmCell {
    static constexpr int gates = 4;  // i f g o

    // v: a_t + u_t, becomes i f g o; `p` are the peepholes i f o, null where there are none: o then
    // need not wait for c. Returns c_t.
    template <class T>
    static ELMAN_INLINE Vec<T> activate(Vec<T>* v, const Vec<T>* p, Vec<T> old) {
        for (int g = 0; p && g < 2; ++g) v[g] += p[g] * old;
        v[0] = sigmoid<T>(v[0]);
        v[1] = sigmoid<T>(v[1]);
        v[2] = tanh<T>(v[2]);
        const Vec<T> c = remember<T>(v, old);
        if (p) v[3] += p[2] * c;
        v[3] = sigmoid<T>(v[3]);
        return c;
    }

    // c_t from i f g.
    template <class T>
    static ELMAN_INLINE Vec<T> remember(const Vec<T>* v, Vec<T> old) {
        return v[1] * old + v[0] * v[2];
    }

    // From i f g o, c_{t-1}, dL/dc_t (what comes through h_t included) and dL/d(o before its
    // sigmoid), which is d[3], to the other gradients before the activations, and to dL/dc_{t-1}.
    template <class T>
    static ELMAN_INLINE Vec<T> backward(const Vec<T>* v, const Vec<T>* p, Vec<T> old, Vec<T> d_c,
                                        Vec<T>* d) {
        d_c += d[3] * p[2];
        d[0] = d_c * v[2] * v[0] * (1 - v[0]);
        d[1] = d_c * old * v[1] * (1 - v[1]);
        d[2] = d_c * v[0] * (1 - v[2] * v[2]);
        return d_c * v[1] + d[0] * p[0] + d[1] * p[1];
    }
};

}  // namespace elman::ELMAN_ISA
