// What the three cells share: the state of one panel of one row, and zoneout.
#pragma once

#include "simd/math.h"
#include "stream/layer.h"

namespace elman::ELMAN_ISA {

// Where a panel of a row stands in the frame. `c`, and `seen` and `gate`, which keep c_t and o_t
// until all of c_t is known, are the LSTM's alone.
template <class T>
struct Place {
    const T* h_old;
    T* h;
    T* c;
    T* seen;
    T* gate;
};

// Zoneout (Krueger et al. 2017) by its expected value.
template <class T>
ELMAN_INLINE Vec<T> zoneout(T keep, Vec<T> old, Vec<T> computed) {
    return keep == 0 ? computed : keep * old + (1 - keep) * computed;
}

}  // namespace elman::ELMAN_ISA
