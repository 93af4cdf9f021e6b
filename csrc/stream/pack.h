// From a layer's parameters, as torch's state dict has them, to a packed Layer.
#pragma once

#include "simd/isa.h"
#include "stream/layer.h"

namespace elman {

// Row-major arrays of elman.spec's shapes; null where the layer has none.
template <class T>
struct Parameters {
    const T *weight_ih = nullptr, *weight_hh = nullptr, *weight_hr = nullptr;
    const T *bias_ih = nullptr, *bias_hh = nullptr;
    const T *norm_ih = nullptr, *norm_hh = nullptr, *norm_c = nullptr, *norm_c_bias = nullptr;
    const T* peephole = nullptr;
    const T *initial_h = nullptr, *initial_c = nullptr;  // [order][outputs], [units]
};

// Of a dense layer the order is 0, and the cell the Elman cell. `outputs` differs from `units`
// where there is a projection.
struct Sizes {
    size_t inputs, units, order, outputs = units;
};

// Packs for one instruction set. The parameters are copied.
template <class T>
Layer<T> pack(Cell cell, Format format, Sizes sizes, const Parameters<T>& from,
              const Kernels& kernels);

}  // namespace elman
