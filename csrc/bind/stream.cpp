// Streams from Python. Arrays are read through the buffer protocol, which costs a tenth of a
// microsecond where a general array type costs several.
#include "stream/stream.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include <atomic>
#include <stdexcept>
#include <string>

#include "bind/bind.h"

namespace nb = nanobind;

namespace elman::bind {
namespace {

// Handing the interpreter over and taking it back pays for itself from about 20 microseconds on.
constexpr size_t worth_releasing = 500'000;  // multiplications

constexpr size_t largest_batch = 1 << 16;

std::string shape_of(const Py_ssize_t* sizes, int dimensions) {
    std::string text = "(";
    for (int i = 0; i < dimensions; ++i) text += (i ? ", " : "") + std::to_string(sizes[i]);
    return text + (dimensions == 1 ? ",)" : ")");
}

// A view of a caller's array, given back at the end of the scope.
class Buffer {
  public:
    Buffer(nb::handle array, const char* name, int flags) : name_(name) {
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

    // The first dimension, which must be from 1 to `most`.
    size_t count(size_t most) const {
        const Py_ssize_t found = view_.ndim ? view_.shape[0] : 0;
        if (found < 1 || static_cast<size_t>(found) > most)
            throw std::invalid_argument(std::string(name_) + " must have from 1 to " +
                                        std::to_string(most) + " rows, found " +
                                        std::to_string(found));
        return static_cast<size_t>(found);
    }

    // Throws unless the elements are ids and the shape is (batch,), or () without a batch. Returns
    // their size.
    size_t check_ids(bool batched, size_t batch) const {
        check_format("int64 or int32", "ilq");
        const Py_ssize_t shape[1] = {Py_ssize_t(batch)};
        check_shape(shape, batched ? 1 : 0);
        return static_cast<size_t>(view_.itemsize);
    }

    Rows rows(bool batched, bool ids = false) const {
        const int row = batched ? 0 : -1, element = ids ? -1 : row + 1;
        return {static_cast<const char*>(view_.buf), row < 0 ? 0 : view_.strides[row],
                element < 0 ? 0 : view_.strides[element]};
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

    static std::string type_name(nb::handle array) {
        return nb::cast<std::string>(array.type().attr("__name__"));
    }

    const char* name_;
    Py_buffer view_;
};

// A stream, and the promise that only one thread is in it at a time.
template <class T>
class Guarded {
  public:
    Guarded(std::shared_ptr<const Stack<T>> stack, size_t batch, bool batched)
        : stream_(check(stack), checked(batch)),
          batched_(batched),
          release_(stack->multiplications() * batch >= worth_releasing) {}

    void timestep(nb::handle x, nb::handle out) {
        const size_t batch = stream_.batch();
        const bool ids = stream_.stack().tokens != 0;
        const Buffer to(out, "out", PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
        to.check<T>(batched_, batch, stream_.stack().outputs());
        T* const y = to.data<T>();
        if (ids && !batched_ && PyLong_CheckExact(x.ptr())) {
            const int64_t id = PyLong_AsLongLong(x.ptr());
            if (id == -1 && PyErr_Occurred()) PyErr_Clear();  // too large, as refused as -1
            return run({reinterpret_cast<const char*>(&id), 0, 0}, sizeof id, y);
        }
        const Buffer from(x, "x", PyBUF_STRIDES);
        size_t bytes = 0;
        if (ids)
            bytes = from.check_ids(batched_, batch);
        else
            from.check<T>(batched_, batch, stream_.stack().inputs());
        run(from.rows(batched_, ids), bytes, y);
    }

    // x, states -> y, after, all of as many rows as x has.
    void advance(nb::handle x, nb::handle states, nb::handle out, nb::handle after) {
        const Buffer from(x, "x", PyBUF_STRIDES);
        const Buffer before(states, "states", PyBUF_C_CONTIGUOUS);
        const Buffer to(out, "out", PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
        const Buffer next(after, "after", PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
        const size_t rows = from.count(stream_.batch()), width = stream_.state_size();
        size_t bytes = 0;
        if (stream_.stack().tokens != 0)
            bytes = from.check_ids(true, rows);
        else
            from.check<T>(true, rows, stream_.stack().inputs());
        before.check<T>(true, rows, width);
        next.check<T>(true, rows, width);
        to.check<T>(true, rows, stream_.stack().outputs());
        const Rows given = from.rows(true, bytes != 0);
        const T* const old = before.data<const T>();
        T *const y = to.data<T>(), *const state = next.data<T>();
        const Turn turn(busy_);
        if (stream_.stack().multiplications() * rows < worth_releasing)
            return stream_.advance(rows, given, bytes, old, state, y);
        nb::gil_scoped_release released;
        stream_.advance(rows, given, bytes, old, state, y);
    }

    size_t state_size() const { return stream_.state_size(); }

    void reset() {
        const Turn turn(busy_);
        stream_.reset();
    }

    void read(size_t layer, size_t index, nb::handle out) const {
        const Buffer to(out, "state", PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
        to.check<T>(batched_, stream_.batch(), size(layer, index));
        const Turn turn(busy_);
        stream_.read(at(layer), index, to.data<T>());
    }

    void write(size_t layer, size_t index, nb::handle array) {
        const Buffer from(array, "state", PyBUF_C_CONTIGUOUS);
        from.check<T>(batched_, stream_.batch(), size(layer, index));
        const Turn turn(busy_);
        stream_.write(at(layer), index, from.data<const T>());
    }

  private:
    // `bytes` of an id, or 0 for numbers.
    void run(Rows x, size_t bytes, T* y) {
        const Turn turn(busy_);
        const auto step = [&] {
            bytes ? stream_.timestep_ids(x, bytes, y) : stream_.timestep(x, y);
        };
        if (!release_) return step();
        nb::gil_scoped_release released;
        step();
    }

    struct Turn {
        explicit Turn(std::atomic<bool>& flag) : busy(flag) {
            if (busy.exchange(true, std::memory_order_acquire))
                throw std::invalid_argument("a stream must be used by one thread at a time");
        }
        ~Turn() { busy.store(false, std::memory_order_release); }
        std::atomic<bool>& busy;
    };

    static std::shared_ptr<const Stack<T>> check(std::shared_ptr<const Stack<T>> stack) {
        if (!stack || stack->layers.empty())
            throw std::invalid_argument("a stack must have at least one layer");
        return stack;
    }

    static size_t checked(size_t batch) {
        if (batch < 1 || batch > largest_batch)
            throw std::invalid_argument("batch_size must be from 1 to " +
                                        std::to_string(largest_batch) + ", found " +
                                        std::to_string(batch));
        return batch;
    }

    // The place of a recurrent layer, of which the first is number 0; behind all where it is none.
    size_t at(size_t layer) const {
        const auto& layers = stream_.stack().layers;
        size_t place = 0;
        for (; place < layers.size(); ++place)
            if (layers[place].order && layer-- == 0) break;
        return place;
    }

    size_t size(size_t layer, size_t index) const {
        layer = at(layer);
        if (layer >= stream_.stack().layers.size() || index >= stream_.states(layer))
            throw std::invalid_argument("there is no such state");
        return stream_.size(layer, index);
    }

    Stream<T> stream_;
    bool batched_, release_;
    mutable std::atomic<bool> busy_ = false;
};

template <class T>
void bind_stream_of(nb::module_& module, const char* name) {
    nb::class_<Guarded<T>>(module, name)
        .def(nb::init<std::shared_ptr<const Stack<T>>, size_t, bool>(), nb::arg("stack"),
             nb::arg("batch"), nb::arg("batched"))
        .def("timestep", &Guarded<T>::timestep, nb::arg().none(), nb::arg().none())
        .def("advance", &Guarded<T>::advance, nb::arg().none(), nb::arg().none(), nb::arg().none(),
             nb::arg().none())
        .def("state_size", &Guarded<T>::state_size)
        .def("reset", &Guarded<T>::reset)
        .def("read", &Guarded<T>::read)
        .def("write", &Guarded<T>::write);
}

// y (rows, n) becomes log-probabilities.
template <class T>
void log_softmax(const nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>& y) {
    T* const first = aligned(y.data(), "y");
    if constexpr (sizeof(T) == 4)
        kernels().log_softmax_float32(first, y.shape(0), y.shape(1));
    else
        kernels().log_softmax_float64(first, y.shape(0), y.shape(1));
}

}  // namespace

void bind_stream(nb::module_& module) {
    bind_stream_of<float>(module, "Stream32");
    bind_stream_of<double>(module, "Stream64");
    module.def("log_softmax", &log_softmax<float>, nb::arg("y").noconvert());
    module.def("log_softmax", &log_softmax<double>, nb::arg("y").noconvert());
}

}  // namespace elman::bind
