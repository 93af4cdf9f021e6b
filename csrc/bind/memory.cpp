// Memory from the pool as arrays, so that the tensors of one pass are those of the pass before.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "bind/bind.h"
#include "memory/pool.h"

namespace nb = nanobind;

namespace elman::bind {
namespace {

using Bytes = nb::ndarray<uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

Bytes empty(size_t bytes) {
    void* const block = take_memory(bytes);
    const nb::capsule owner(block, [](void* p) noexcept { return_memory(p); });
    return Bytes(block, {bytes}, owner);
}

}  // namespace

void bind_memory(nb::module_& module) {
    module.def("empty", &empty, nb::arg("bytes"));
    module.def("release_memory", &release_memory);
    module.def("fill_memory_with", &fill_memory_with, nb::arg("byte"));
}

}  // namespace elman::bind
