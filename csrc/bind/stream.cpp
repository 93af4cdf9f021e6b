// Streams from Python. Arrays are read through the buffer protocol, which costs a tenth of a
// microsecond where a general array type costs several.
#include "stream/stream.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>

#include "bind/buffer.h"
#include "stream/draw.h"

namespace nb = nanobind;

namespace elman::bind {
namespace {

// Handing the interpreter over and taking it back pays for itself from about 20 microseconds on.
constexpr size_t worth_releasing = 500'000;  // multiplications

constexpr size_t largest_batch = 1 << 16;

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
            return step({reinterpret_cast<const char*>(&id), 0, 0, sizeof id}, y);
        }
        const Buffer from(x, "x", PyBUF_STRIDES);
        step(from.rows<T>(batched_, batch, stream_.stack().inputs(), ids), y);
    }

    // x, states -> y, after, all of as many rows as x has.
    void advance(nb::handle x, nb::handle states, nb::handle out, nb::handle after) {
        const Buffer from(x, "x", PyBUF_STRIDES);
        const Buffer before(states, "states", PyBUF_C_CONTIGUOUS);
        const Buffer to(out, "out", PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
        const Buffer next(after, "after", PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
        const size_t rows = from.count(stream_.batch()), width = stream_.state_size();
        const Stack<T>& stack = stream_.stack();
        const Rows given = from.rows<T>(true, rows, stack.inputs(), stack.tokens != 0);
        before.check<T>(true, rows, width);
        next.check<T>(true, rows, width);
        to.check<T>(true, rows, stack.outputs());
        const T* const old = before.data<const T>();
        T *const y = to.data<T>(), *const state = next.data<T>();
        run(rows, [&] { stream_.advance(rows, given, old, state, y); });
    }

    // One row and a token's id to the log-probabilities of the next token, as doubles, and the row.
    void predict(int64_t token, nb::handle states, nb::handle log_probs, nb::handle after) {
        const Buffer before(states, "states", PyBUF_C_CONTIGUOUS);
        const Buffer to(log_probs, "log_probs", PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
        const Buffer next(after, "after", PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
        before.check<T>(true, 1, stream_.state_size());
        to.check<double>(false, 1, outputs_.size());
        next.check<T>(true, 1, stream_.state_size());
        const T* const old = before.data<const T>();
        T* const state = next.data<T>();
        double* const found = to.data<double>();
        run(1, [&] { predict_one(token, old, state, found, false); });
    }

    // The same again and again, with the token that each of `uniforms` draws: what was drawn, and
    // for each of them, what it was drawn from and the row it goes with.
    void compose(int64_t token, nb::handle states, nb::handle forbidden, nb::handle uniforms,
                 double temperature, size_t top_k, double top_p, nb::handle tokens,
                 nb::handle log_probs, nb::handle after) {
        const Buffer before(states, "states", PyBUF_C_CONTIGUOUS);
        const Ids never(forbidden, "forbidden", PyBUF_C_CONTIGUOUS);
        const Buffer numbers(uniforms, "uniforms", PyBUF_C_CONTIGUOUS);
        const Ids to(tokens, "tokens", PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
        const Buffer rows(log_probs, "log_probs", PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
        const Buffer next(after, "after", PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
        const size_t count = to.size(), width = stream_.state_size(), outputs = outputs_.size();
        before.check<T>(true, 1, width);
        numbers.check<double>(false, 1, count);
        rows.check<double>(true, count, outputs);
        next.check<T>(true, count, width);
        const T* old = before.data<const T>();
        T* const state = next.data<T>();
        const double* const uniform = numbers.data<const double>();
        double* const found = rows.data<double>();
        run(count, [&] {
            for (size_t i = 0; i < count; ++i) {
                predict_one(token, old, state + i * width, found + i * outputs, count > 1);
                token = draw(found + i * outputs, outputs, never.data(), never.size(),
                             {temperature, top_k, top_p}, uniform[i], kernels());
                to.data()[i] = token;
                old = state + i * width;
            }
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
    void predict_one(int64_t token, const T* old, T* state, double* found, bool often) {
        if (stream_.stack().tokens == 0) throw std::invalid_argument("there is no embedding");
        const Rows id{reinterpret_cast<const char*>(&token), 0, 0, sizeof token};
        stream_.advance(1, id, old, state, outputs_.data(), often);
        routines<T>().log_softmax(outputs_.data(), 1, outputs_.size());
        std::copy_n(outputs_.data(), outputs_.size(), found);
    }

    // Computes with nobody else in the stream, and what takes long without the interpreter.
    template <class Work>
    void run(size_t rows, const Work& work) {
        const Turn turn(busy_);
        if (stream_.stack().multiplications() * rows < worth_releasing) return work();
        nb::gil_scoped_release released;
        work();
    }

    void step(Rows x, T* y) {
        run(stream_.batch(), [&] { stream_.timestep(x, y); });
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
        .def("predict", &Guarded<T>::predict)
        .def("compose", &Guarded<T>::compose)
        .def("state_size", &Guarded<T>::state_size)
        .def("reset", &Guarded<T>::reset)
        .def("read", &Guarded<T>::read)
        .def("write", &Guarded<T>::write);
}

// y (rows, n) becomes log-probabilities.
template <class T>
void log_softmax(const nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>& y) {
    routines<T>().log_softmax(aligned(y.data(), "y"), y.shape(0), y.shape(1));
}

// log_probs (V,) and the ids that must not be drawn -> the id that `uniform` draws.
int64_t draw_token(nb::handle log_probs, nb::handle forbidden, double uniform, double temperature,
                   size_t top_k, double top_p) {
    const Buffer from(log_probs, "log_probs", PyBUF_C_CONTIGUOUS);
    const Ids never(forbidden, "forbidden", PyBUF_C_CONTIGUOUS);
    from.check<double>(false, 1, from.size());
    return draw(from.data<const double>(), from.size(), never.data(), never.size(),
                {temperature, top_k, top_p}, uniform, kernels());
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
