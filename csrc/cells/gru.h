// GRU (Cho et al. 2014) as torch.nn has it: b_hn is inside u_n, so r multiplies it too.
#pragma once

#include "cells/state.h"

namespace elman::ELMAN_ISA {

struct GruCell {
    static constexpr int gates = 3;  // r z n

    template <class T>
    static ELMAN_INLINE void step(const Layer<T>& layer, size_t, const Vec<T>* a, const Vec<T>* u,
                                  const Place<T>& at) {
        const Vec<T> r = sigmoid<T>(a[0] + u[0]), z = sigmoid<T>(a[1] + u[1]);
        const Vec<T> n = tanh<T>(a[2] + r * u[2]);
        const Vec<T> old = load<T>(at.h_old);
        store<T>(at.h, zoneout<T>(layer.keep_h, old, n + z * (old - n)));
    }
};

}  // namespace elman::ELMAN_ISA
