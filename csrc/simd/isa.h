// The instruction sets, and the choice of one at run time.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "recurrence/sequence.h"
#include "stream/layer.h"
#include "threads/team.h"

namespace elman {

// What is compiled for numbers of one kind.
template <class T>
struct Routines {
    // One timestep of one layer, by the format of its weights.
    void (*step[3])(const Layer<T>&, const Frame<T>&);

    // Outputs to log-probabilities, in place: y[rows][n].
    void (*log_softmax)(T* y, size_t rows, size_t n);

    // One layer through time, as one thread of a team.
    void (*forward)(const Sequence<T>&, const Team&);
    void (*backward)(const Sequence<T>&, const Gradients<T>&, const Team&);

    // to[n]: 1 with probability `rate`, else 0; as one thread of a team.
    void (*draw)(T* to, size_t n, double rate, uint64_t seed, const Team&);

    // in[n] -> out[n], for the tests of the error bounds.
    void (*apply)(Function, const T* in, T* out, size_t n);
};

// What is compiled once for each instruction set, by a file in simd/ that fills in its own table.
struct Kernels : Routines<float>, Routines<double> {
    const char* name;
    size_t vector_bytes;
    size_t int8_group;  // how many inputs one instruction takes where weights have 8 bits
    bool tiles;         // weights in bfloat16 are whole tiles, see simd/tiles.h

    static const Kernels baseline, avx2, avx512, avx512vnni, avx512bf16, amx;
};

// The names of what this machine can run, slowest first.
std::vector<std::string> available_isas();

// The fastest that this machine has, or the one that the variable ELMAN_ISA names. Throws
// std::invalid_argument when there is no such instruction set here.
const Kernels& kernels();
template <class T>
const Routines<T>& routines() {
    return kernels();
}

}  // namespace elman
