// Drawing one of n tokens. What is computed is written down in elman.decode.sample.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/isa.h"

namespace elman {

struct Drawing {
    double temperature;  // 0: the most probable
    size_t top_k;        // 0: all
    double top_p;
};

// From log_probs[n], but for the ids in forbidden[count], what `uniform` draws, a number from 0 to
// below 1. Throws std::invalid_argument where one of these is not what it should be, and where
// nothing is left to draw.
int64_t draw(const double* log_probs, size_t n, const int64_t* forbidden, size_t count,
             const Drawing& options, double uniform, const Routines<double>& kernels);

}  // namespace elman
