// The module elman._core. Every function here refuses what it cannot use with an exception.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "bind/bind.h"
#include "simd/isa.h"

namespace nb = nanobind;

namespace elman::bind {
namespace {

template <class T>
using Flat = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using FlatOut = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

Function function_of(const std::string& name) {
    if (name == "exp") return Function::exp;
    if (name == "tanh") return Function::tanh;
    if (name == "sigmoid") return Function::sigmoid;
    throw std::invalid_argument("function must be one of exp, tanh, sigmoid, found '" + name + "'");
}

template <class T>
void apply(const std::string& name, const Flat<T>& in, const FlatOut<T>& out) {
    if (in.size() != out.size()) throw std::invalid_argument("in and out must be of one size");
    routines<T>().apply(function_of(name), aligned(in.data(), "input"), aligned(out.data(), "out"),
                        in.size());
}

}  // namespace
}  // namespace elman::bind

NB_MODULE(_core, module) {
    using namespace elman::bind;
    module.def("isas", &elman::available_isas);
    module.def("isa", [] { return elman::kernels().name; });
    module.def("has_tiles", [] { return elman::kernels().tiles; });
    module.def("apply", &apply<float>, nb::arg("function"), nb::arg("input").noconvert(),
               nb::arg("out").noconvert());
    module.def("apply", &apply<double>, nb::arg("function"), nb::arg("input").noconvert(),
               nb::arg("out").noconvert());
    bind_memory(module);
    bind_recurrence(module);
    bind_stack(module);
    bind_stream(module);
}
