// Stacks from Python: one call a layer, with its parameters by name.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>

#include "bind/bind.h"
#include "stream/pack.h"
#include "stream/stream.h"

namespace nb = nanobind;

namespace elman::bind {
namespace {

constexpr size_t largest_size = 1 << 20;  // of one dimension: their products stay far from 2^64

template <class T>
Format format_of(const std::string& name) {
    if constexpr (sizeof(T) == 8) {
        if (name == "float64") return Format::plain;
    } else {
        if (name == "float32") return Format::plain;
        if (name == "bfloat16") return Format::bfloat16;
        if (name == "int8") return Format::int8;
    }
    throw std::invalid_argument("weights cannot be '" + name + "' here");
}

template <class T>
Parameters<T> parameters_of(const nb::dict& arrays, Cell cell, const Sizes& sizes) {
    const size_t gates = cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1;
    const size_t rows = gates * sizes.units, past = sizes.order * sizes.outputs;
    Parameters<T> p;
    p.weight_ih = find<const T>(arrays, "weight_ih", rows * sizes.inputs);
    p.weight_hh = find<const T>(arrays, "weight_hh", rows * past);
    p.weight_hr = find<const T>(arrays, "weight_hr", sizes.outputs * sizes.units);
    p.bias_ih = find<const T>(arrays, "bias_ih", rows);
    p.bias_hh = find<const T>(arrays, "bias_hh", rows);
    p.norm_ih = find<const T>(arrays, "norm_ih", rows);
    p.norm_hh = find<const T>(arrays, "norm_hh", rows);
    p.norm_c = find<const T>(arrays, "norm_c", sizes.units);
    p.norm_c_bias = find<const T>(arrays, "norm_c_bias", sizes.units);
    p.peephole = find<const T>(arrays, "peephole", 3 * sizes.units);
    p.initial_h = find<const T>(arrays, "initial_h", past);
    p.initial_c = find<const T>(arrays, "initial_c", sizes.units);
    if (!p.weight_ih || bool(p.weight_hh) != (sizes.order > 0))
        throw std::invalid_argument("weight_ih and weight_hh must be given; dense layers have one");
    if (bool(p.weight_hr) != (sizes.outputs != sizes.units))
        throw std::invalid_argument("weight_hr must be given where there is a projection");
    if (bool(p.norm_ih) != bool(p.norm_hh))
        throw std::invalid_argument("norm_ih and norm_hh must be given together");
    return p;
}

template <class T>
void add_layer(Stack<T>& stack, const std::string& cell_name, const std::string& weights,
               size_t inputs, size_t units, size_t outputs, size_t order, bool relu, double keep_h,
               double keep_c, const nb::dict& given) {
    const nb::dict arrays = held(given);
    if (stack.in_use) throw std::invalid_argument("a stack with streams is constant");
    const Cell cell = cell_of(cell_name);
    const Format format = format_of<T>(weights);
    for (size_t size : {inputs, units, outputs})
        if (size < 1 || size > largest_size)
            throw std::invalid_argument("sizes must be from 1 to " + std::to_string(largest_size) +
                                        ", found " + std::to_string(size));
    if ((order < 1 && cell != Cell::elman) || order > max_order)
        throw std::invalid_argument("order must be from 0 to " + std::to_string(max_order) +
                                    ", found " + std::to_string(order));
    const size_t below = !stack.layers.empty() ? stack.outputs()
                         : stack.tokens        ? stack.embedding.size() / stack.tokens
                                               : inputs;
    if (below != inputs) throw std::invalid_argument("a layer must take what the one below gives");
    const Sizes sizes{inputs, units, order, outputs};
    auto layer = pack<T>(cell, format, sizes, parameters_of<T>(arrays, cell, sizes), stack.kernels);
    layer.relu = relu;
    (layer.projection ? *layer.projection : layer).keep_h = static_cast<T>(keep_h);
    layer.keep_c = static_cast<T>(keep_c);
    stack.layers.push_back(std::move(layer));
}

// The input becomes an id: row `id` of the table (tokens, size) enters the first layer.
template <class T>
void set_embedding(Stack<T>& stack, const nb::dict& given, size_t tokens, size_t size) {
    if (stack.in_use || !stack.layers.empty())
        throw std::invalid_argument("the embedding comes before all layers");
    if (tokens < 1 || tokens > largest_size || size < 1 || size > largest_size)
        throw std::invalid_argument("sizes must be from 1 to " + std::to_string(largest_size));
    const nb::dict arrays = held(given);
    const T* const from = find<const T>(arrays, "embedding", tokens * size);
    if (!from) throw std::invalid_argument("embedding must be given");
    stack.embedding = Array<T>(tokens * size);
    std::copy_n(from, tokens * size, stack.embedding.data());
    stack.tokens = tokens;
}

template <class T>
void bind_stack_of(nb::module_& module, const char* name) {
    nb::class_<Stack<T>>(module, name)
        .def(
            "__init__",
            [](Stack<T>* self, size_t threads) {
                if (threads < 1 || threads > 256)
                    throw std::invalid_argument("threads must be from 1 to 256, found " +
                                                std::to_string(threads));
                new (self) Stack<T>(kernels(), threads);
            },
            nb::arg("threads") = 1)
        .def("add_layer", &add_layer<T>, nb::arg("cell"), nb::arg("weights"), nb::arg("inputs"),
             nb::arg("units"), nb::arg("outputs"), nb::arg("order"), nb::arg("relu"),
             nb::arg("keep_h"), nb::arg("keep_c"), nb::arg("arrays"))
        .def("set_embedding", &set_embedding<T>);
}

}  // namespace

void bind_stack(nb::module_& module) {
    bind_stack_of<float>(module, "Stack32");
    bind_stack_of<double>(module, "Stack64");
}

}  // namespace elman::bind
