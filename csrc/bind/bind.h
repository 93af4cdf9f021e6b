// The parts of the module, one file each, and what they share.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "stream/layer.h"

namespace elman::bind {

void bind_memory(nanobind::module_& module);
void bind_recurrence(nanobind::module_& module);
void bind_stack(nanobind::module_& module);
void bind_stream(nanobind::module_& module);

inline Cell cell_of(const std::string& name) {
    if (name == "elman") return Cell::elman;
    if (name == "gru") return Cell::gru;
    if (name == "lstm") return Cell::lstm;
    throw std::invalid_argument("cell must be one of elman, gru, lstm, found '" + name + "'");
}

// The same arrays under the same names, whatever other code does to `given` in the meantime.
inline nanobind::dict held(const nanobind::dict& given) {
    PyObject* const copy = PyDict_Copy(given.ptr());
    if (!copy) throw nanobind::python_error();
    return nanobind::steal<nanobind::dict>(copy);
}

// A pointer from outside, which the compiler may take for aligned.
template <class T>
T* aligned(T* data, const char* name) {
    if (reinterpret_cast<uintptr_t>(data) % alignof(T) != 0)
        throw std::invalid_argument(std::string(name) + " must be aligned in memory; copy it");
    return data;
}

// The array `name`, C-contiguous, which must hold exactly `size` numbers of this very type; null
// where there is none.
template <class T>
T* find(const nanobind::dict& arrays, const char* name, size_t size) {
    if (!arrays.contains(name)) return nullptr;
    using Given = nanobind::ndarray<T, nanobind::c_contig, nanobind::device::cpu>;
    Given array;
    if (!nanobind::try_cast<Given>(arrays[name], array, false))
        throw std::invalid_argument(std::string(name) + " must be a C-contiguous array of " +
                                    std::to_string(8 * sizeof(T)) + "-bit numbers in memory");
    if (array.size() != size)
        throw std::invalid_argument(std::string(name) + " must hold " + std::to_string(size) +
                                    " numbers, found " + std::to_string(array.size()));
    return aligned(array.data(), name);
}

// The same for an array that must be there.
template <class T>
T* need(const nanobind::dict& arrays, const char* name, size_t size) {
    T* const found = find<T>(arrays, name, size);
    if (!found) throw std::invalid_argument(std::string(name) + " must be given");
    return found;
}

}  // namespace elman::bind
