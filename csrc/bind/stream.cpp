// Streams from Python. Arrays are read through the buffer protocol, which costs a tenth of a
// microsecond where a general array type costs several.
#include "stream/stream.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "bind/bind.h"
#include "stream/draw.h"

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

template <class T>
void log_softmax_of(T* y, size_t rows, size_t n) {
    if constexpr (sizeof(T) == 4)
        kernels().log_softmax_float32(y, rows, n);
    else
        kernels().log_softmax_float64(y, rows, n);
}

// A stream, and the promise that only one thread is in it at a time.
template <class T>
class Guarded {
  public:
    Guarded(std::shared_ptr<const Stack<T>> stack, size_t batch, bool batched)
        : stream_(check(stack), checked(batch)), batched_(batched), outputs_(stack->outputs()) {}

    void timestep(nb::handle x, nb::handle out) {
        const size_t batch = stream_.batch();
        const bool ids = stream_.stack().tokens != 0;
        const Buffer to(out, "out", PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
        to.check<T>(batched_, batch, stream_.stack().outputs());
        T* const y = to.data<T>();
        if (ids && !batched_ && PyLong_CheckExact(x.ptr())) {
            const int64_t id = PyLong_AsLongLong(x.ptr());
            if (id == -1 && PyErr_Occurred()) PyErr_Clear();  // too large, as refused as -1
            return step({reinterpret_cast<const char*>(&id), 0, 0}, sizeof id, y);
        }
        const Buffer from(x, "x", PyBUF_STRIDES);
        size_t bytes = 0;
        if (ids)
            bytes = from.check_ids(batched_, batch);
        else
            from.check<T>(batched_, batch, stream_.stack().inputs());
        step(from.rows(batched_, ids), bytes, y);
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
        run(rows, [&] { stream_.advance(rows, given, bytes, old, state, y); });
    }

    // The same of one row and a token's id: the log-probabilities of the next one, as doubles.
    void predict(int64_t token, nb::handle states, nb::handle log_probs, nb::handle after) {
        const Buffer before(states, "states", PyBUF_C_CONTIGUOUS);
        const Buffer to(log_probs, "log_probs", PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
        const Buffer next(after, "after", PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
        const size_t width = stream_.state_size(), outputs = outputs_.size();
        if (stream_.stack().tokens == 0) throw std::invalid_argument("there is no embedding");
        before.check<T>(true, 1, width);
        to.check<double>(false, 1, outputs);
        next.check<T>(true, 1, width);
        const Rows id{reinterpret_cast<const char*>(&token), 0, 0};
        const T* const old = before.data<const T>();
        T* const state = next.data<T>();
        double* const found = to.data<double>();
        run(1, [&] {
            stream_.advance(1, id, sizeof token, old, state, outputs_.data());
            log_softmax_of(outputs_.data(), 1, outputs);
            std::copy_n(outputs_.data(), outputs, found);
        });
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
    // Computes with nobody else in the stream, and what takes long without the interpreter.
    template <class Work>
    void run(size_t rows, const Work& work) {
        const Turn turn(busy_);
        if (stream_.stack().multiplications() * rows < worth_releasing) return work();
        nb::gil_scoped_release released;
        work();
    }

    // `bytes` of an id, or 0 for numbers.
    void step(Rows x, size_t bytes, T* y) {
        run(stream_.batch(),
            [&] { bytes ? stream_.timestep_ids(x, bytes, y) : stream_.timestep(x, y); });
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
    bool batched_;
    Array<T> outputs_;  // of one row
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
        .def("predict", &Guarded<T>::predict, nb::arg(), nb::arg().none(), nb::arg().none(),
             nb::arg().none())
        .def("state_size", &Guarded<T>::state_size)
        .def("reset", &Guarded<T>::reset)
        .def("read", &Guarded<T>::read)
        .def("write", &Guarded<T>::write);
}

// y (rows, n) becomes log-probabilities.
template <class T>
void log_softmax(const nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>& y) {
    log_softmax_of(aligned(y.data(), "y"), y.shape(0), y.shape(1));
}

// log_probs (V,) and the ids that must not be drawn -> the id drawn with `uniform`.
size_t draw_token(nb::handle log_probs, nb::handle forbidden, double uniform, double temperature,
                  size_t top_k, double top_p) {
    const Buffer from(log_probs, "log_probs", PyBUF_C_CONTIGUOUS);
    const Buffer never(forbidden, "forbidden", PyBUF_C_CONTIGUOUS);
    const size_t tokens = from.size(), count = never.size();
    from.check<double>(false, 1, tokens);
    if (never.check_ids(true, count) != sizeof(int64_t) || !(uniform >= 0 && uniform < 1))
        throw std::invalid_argument("forbidden must be int64, and uniform from 0 to below 1");
    const double* const first = from.data<const double>();
    const int64_t* const ids = never.data<const int64_t>();
    std::vector<double> scores(first, first + tokens);
    for (size_t i = 0; i < count; ++i) {
        if (ids[i] < 0 || static_cast<size_t>(ids[i]) >= tokens)
            throw std::invalid_argument("forbidden must hold ids of tokens");
        scores[static_cast<size_t>(ids[i])] = -std::numeric_limits<double>::infinity();
    }
    return draw(scores.data(), tokens, {temperature, top_k, top_p}, uniform, kernels());
}

}  // namespace

void bind_stream(nb::module_& module) {
    bind_stream_of<float>(module, "Stream32");
    bind_stream_of<double>(module, "Stream64");
    module.def("log_softmax", &log_softmax<float>, nb::arg("y").noconvert());
    module.def("log_softmax", &log_softmax<double>, nb::arg("y").noconvert());
    module.def("draw", &draw_token, nb::arg(), nb::arg(), nb::arg("uniform"),
               nb::arg("temperature"), nb::arg("top_k"), nb::arg("top_p"));
}

}  // namespace elman::bind
