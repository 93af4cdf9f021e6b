// Drawing one of n tokens. What is computed is written down in elman.decode.sample.
#pragma once

#include <cstddef>

#include "simd/isa.h"

namespace elman {

struct Drawing {
    double temperature;  // 0: the most probable
    size_t top_k;        // 0: all
    double top_p;
};

// scores[n]: log-probabilities, -inf for what must not be drawn; overwritten. `uniform` is drawn
// from 0 to 1, which it is below. Throws std::invalid_argument at NaN, +inf, or where nothing is
// left to draw.
size_t draw(double* scores, size_t n, const Drawing& options, double uniform,
            const Kernels& kernels);

}  // namespace elman
