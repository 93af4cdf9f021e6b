// Views of arrays from Python, by the buffer protocol.
#pragma once

#include <nanobind/nanobind.h>

#include <stdexcept>
#include <string>
#include <string_view>

#include "bind/bind.h"
#include "stream/stream.h"

namespace elman::bind {

inline std::string shape_of(const Py_ssize_t* sizes, int dimensions) {
    std::string text = "(";
    for (int i = 0; i < dimensions; ++i) text += (i ? ", " : "") + std::to_string(sizes[i]);
    return text + (dimensions == 1 ? ",)" : ")");
}

// A view of a caller's array, given back at the end of the scope.
class Buffer {
  public:
    Buffer(nanobind::handle array, const char* name, int flags) : name_(name) {
        if (PyObject_GetBuffer(array.ptr(), &view_, flags | PyBUF_FORMAT) != 0) {
            PyErr_Clear();
            const bool out = (flags & PyBUF_WRITABLE) != 0;
            throw std::invalid_argument(std::string(name) + " must be " +
                                        (out ? "a writable C-contiguous array" : "an array") +
                                        ", found a " + type_name(array));
        }
    }
    ~Buffer() { PyBuffer_Release(&view_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    // Throws unless the elements are T and the shape is (batch, size), or (size,) without a batch.
    template <class T>
    void check(bool batched, size_t batch, size_t size) const {
        check_format(sizeof(T) == 4 ? "float32" : "float64", sizeof(T) == 4 ? "f" : "d");
        const Py_ssize_t shape[2] = {Py_ssize_t(batch), Py_ssize_t(size)};
        check_shape(batched ? shape : shape + 1, batched ? 2 : 1);
    }

    // The first dimension.
    size_t size() const { return view_.ndim ? static_cast<size_t>(view_.shape[0]) : 0; }

    // The same, which must be from 1 to `most`.
    size_t count(size_t most) const {
        if (size() < 1 || size() > most)
            throw std::invalid_argument(std::string(name_) + " must have from 1 to " +
                                        std::to_string(most) + " rows, found " +
                                        std::to_string(size()));
        return size();
    }

    // Throws unless the elements are ids and the shape is (batch,), or () without a batch. Returns
    // their size.
    size_t check_ids(bool batched, size_t batch) const {
        check_format("int64 or int32", "ilq");
        const Py_ssize_t shape[1] = {Py_ssize_t(batch)};
        check_shape(shape, batched ? 1 : 0);
        return static_cast<size_t>(view_.itemsize);
    }

    // Checked rows of numbers T, `size` each, or of ids.
    template <class T>
    Rows rows(bool batched, size_t batch, size_t size, bool ids) const {
        const auto* const first = static_cast<const char*>(view_.buf);
        if (ids) {
            const size_t bytes = check_ids(batched, batch);
            return {first, batched ? view_.strides[0] : 0, 0, bytes};
        }
        check<T>(batched, batch, size);
        return {first, batched ? view_.strides[0] : 0, view_.strides[batched]};
    }
    template <class T>
    T* data() const {
        return aligned(static_cast<T*>(view_.buf), name_);
    }

  private:
    void check_format(const char* type, const char* letters) const {
        const std::string_view found = view_.format ? view_.format : "B";
        if (found.size() != 1 || std::string_view(letters).find(found) == std::string_view::npos)
            throw std::invalid_argument(
                std::string(name_) + " must be " + type + ", found an array of format '" +
                std::string(found.substr(0, 20)) + "'; convert it with astype");
    }

    void check_shape(const Py_ssize_t* expected, int dimensions) const {
        bool fits = view_.ndim == dimensions;
        for (int i = 0; fits && i < dimensions; ++i) fits = view_.shape[i] == expected[i];
        if (!fits)
            throw std::invalid_argument(std::string(name_) + " must have shape " +
                                        shape_of(expected, dimensions) + ", found " +
                                        shape_of(view_.shape, view_.ndim));
    }

    static std::string type_name(nanobind::handle array) {
        return nanobind::cast<std::string>(array.type().attr("__name__"));
    }

    const char* name_;
    Py_buffer view_;
};

// The same of ids in 64 bits, in a row.
class Ids {
  public:
    Ids(nanobind::handle array, const char* name, int flags) : buffer_(array, name, flags) {
        if (buffer_.check_ids(true, buffer_.size()) != sizeof(int64_t))
            throw std::invalid_argument(std::string(name) + " must be int64");
        first_ = buffer_.data<int64_t>();
    }
    size_t size() const { return buffer_.size(); }
    int64_t* data() const { return first_; }

  private:
    Buffer buffer_;
    int64_t* first_;
};

}  // namespace elman::bind
