// The biases as the products start with them.
#pragma once

#include "memory/pool.h"
#include "recurrence/share.h"

namespace elman::ELMAN_ISA {

// Whether a_t + u_t is all that gate g needs: not for the GRU's n, nor for a normalised u_t.
template <class T>
bool joined(const Sequence<T>& s, size_t g) {
    return !s.gain_hh && !(s.cell == Cell::gru && g == 2);
}

// Of this thread's units, [panel][gate][lane]. Under a normalisation they are its shifts, and the
// GRU adds b_in apart.
template <class T>
Scratch<T> biases(const Sequence<T>& s, const Share<T>& share) {
    constexpr size_t L = lanes<T>;
    const size_t gates = gates_of(s.cell), count = share.panels() * gates * L;
    auto made = scratch<T>(count);
    for (size_t i = 0; i < count; ++i) {
        const size_t gate = i / L % gates, unit = (share.panel + i / (gates * L)) * L + i % L;
        const bool fold = unit < s.units && !s.gain_hh;
        made[i] = 0;
        if (fold && s.bias_hh) made[i] += s.bias_hh[gate * s.units + unit];
        if (fold && s.bias_ih && joined(s, gate)) made[i] += s.bias_ih[gate * s.units + unit];
    }
    return made;
}

// b_in of the GRU, of one panel.
template <class T>
Vec<T> input_bias(const Sequence<T>& s, size_t panel) {
    const size_t col = panel * lanes<T>;
    if (!s.bias_ih || s.gain_hh) return Vec<T>{};
    return load<T>(s.bias_ih + 2 * s.units + col, s.units - col);
}

}  // namespace elman::ELMAN_ISA
