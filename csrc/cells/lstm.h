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
};

}  // namespace elman::ELMAN_ISA
