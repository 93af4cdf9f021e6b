// Memory from the pool as arrays, so that the tensors of one pass are those of the pass before.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "bind/bind.h"
#include "memory/pool.h"

namespace nb = nanobind;

namespace elman::bind {
namespace {

using Array = nb::ndarray<nb::c_contig, nb::device::cpu>;

nb::dlpack::dtype type_of(const std::string& name) {
    if (name == "float32") return nb::dtype<float>();
    if (name == "float64") return nb::dtype<double>();
    if (name == "bfloat16") return {uint8_t(nb::dlpack::dtype_code::Bfloat), 16, 1};
    throw std::invalid_argument("empty makes float32, float64 or bfloat16, found " + name);
}

Array empty(const std::vector<size_t>& shape, const std::string& type) {
    const nb::dlpack::dtype number = type_of(type);
    size_t bytes = number.bits / 8;
    for (const size_t each : shape)
        if (__builtin_mul_overflow(bytes, each, &bytes)) throw std::bad_alloc();
    void* const block = take_memory(bytes);
    const nb::capsule owner(block, [](void* p) noexcept { return_memory(p); });
    return Array(block, shape.size(), shape.data(), owner, nullptr, number);
}

}  // namespace

void bind_memory(nb::module_& module) {
    module.def("empty", &empty, nb::arg("shape"), nb::arg("dtype"));
    module.def("release_memory", &release_memory);
    module.def("fill_memory_with", &fill_memory_with, nb::arg("byte"));
}

}  // namespace elman::bind
