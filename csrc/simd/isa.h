// The instruction sets, and the choice of one at run time.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "recurrence/sequence.h"
#include "stream/layer.h"
#include "threads/team.h"

namespace elman {

// What is compiled once for each instruction set. A file in simd/ fills in one table.
struct Kernels {
    const char* name;
    size_t vector_bytes;
    size_t int8_group;  // how many inputs one instruction takes where weights have 8 bits
    bool tiles;         // weights in bfloat16 are whole tiles, see simd/tiles.h

    // One timestep of one layer, by the format of its weights.
    void (*step_float32)(const Layer<float>&, const Frame<float>&);
    void (*step_bfloat16)(const Layer<float>&, const Frame<float>&);
    void (*step_int8)(const Layer<float>&, const Frame<float>&);
    void (*step_float64)(const Layer<double>&, const Frame<double>&);

    // Outputs to log-probabilities, in place: y[rows][n].
    void (*log_softmax_float32)(float* y, size_t rows, size_t n);
    void (*log_softmax_float64)(double* y, size_t rows, size_t n);

    // One layer through time, as one thread of a team.
    void (*forward_float32)(const Sequence<float>&, const Team&);
    void (*forward_float64)(const Sequence<double>&, const Team&);
    void (*backward_float32)(const Sequence<float>&, const Gradients<float>&, const Team&);
    void (*backward_float64)(const Sequence<double>&, const Gradients<double>&, const Team&);

    // to[n]: 1 with probability `rate`, else 0; as one thread of a team.
    void (*draw_float32)(float* to, size_t n, double rate, uint64_t seed, const Team&);
    void (*draw_float64)(double* to, size_t n, double rate, uint64_t seed, const Team&);

    // in[n] -> out[n], for the tests of the error bounds.
    void (*apply_float32)(Function, const float* in, float* out, size_t n);
    void (*apply_float64)(Function, const double* in, double* out, size_t n);
};

// The names of what this machine can run, slowest first.
std::vector<std::string> available_isas();

// The fastest that this machine has, or the one that the variable ELMAN_ISA names. Throws
// std::invalid_argument when there is no such instruction set here.
const Kernels& kernels();

}  // namespace elman
