// LSTM (Hochreiter & Schmidhuber 1997), peepholes as in Gers & Schmidhuber (2000).
#pragma once

#include "cells/state.h"

namespace elman::ELMAN_ISA {

struct LstmCell {
    static constexpr int gates = 4;  // i f g o

    template <class T>
    static ELMAN_INLINE void step(const Layer<T>& layer, size_t panel, const Vec<T>* a,
                                  const Vec<T>* u, const Place<T>& at) {
        const T* p = layer.peephole.size() ? layer.peephole.data() + panel * 3 * lanes<T> : nullptr;
        const Vec<T> old = load<T>(at.c);
        Vec<T> i = a[0] + u[0], f = a[1] + u[1], o = a[3] + u[3];
        if (p) {
            i += load<T>(p) * old;
            f += load<T>(p + lanes<T>) * old;
        }
        const Vec<T> c = sigmoid<T>(f) * old + sigmoid<T>(i) * tanh<T>(a[2] + u[2]);
        if (p) o += load<T>(p + 2 * lanes<T>) * c;
        store<T>(at.c, zoneout<T>(layer.keep_c, old, c));
        store<T>(at.seen, c);
        store<T>(at.gate, sigmoid<T>(o));
    }

    // The rest of the timestep: h from the output gate and from c, normalised or not.
    template <class T>
    static ELMAN_INLINE void output(const Layer<T>& layer, Vec<T> o, Vec<T> c, const Place<T>& at) {
        store<T>(at.h, zoneout<T>(layer.keep_h, load<T>(at.h_old), o * tanh<T>(c)));
    }

    // v: a_t + u_t, becomes i f g o; `p` are the peepholes i f o, zero where there are none.
    // Returns c_t.
    template <class T>
    static ELMAN_INLINE Vec<T> activate(Vec<T>* v, const Vec<T>* p, Vec<T> old) {
        v[0] = sigmoid<T>(v[0] + p[0] * old);
        v[1] = sigmoid<T>(v[1] + p[1] * old);
        v[2] = tanh<T>(v[2]);
        const Vec<T> c = remember<T>(v, old);
        v[3] = sigmoid<T>(v[3] + p[2] * c);
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
