#include "stream/stream.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

namespace elman {

template <class T>
size_t Stack<T>::multiplications() const {
    size_t total = 0;
    for (const Layer<T>& each : layers) {
        total += each.gates * each.units * (each.inputs + each.order * each.outputs);
        if (each.projection) total += each.units * each.outputs;
    }
    return total;
}

template <class T>
Stream<T>::Stream(std::shared_ptr<const Stack<T>> stack, size_t batch)
    : stack_(std::move(stack)), batch_(batch), x_(batch * padded(stack_->inputs())) {
    for (const Layer<T>& layer : stack_->layers) {
        const size_t rows = batch * padded(layer.units);
        const bool lstm = layer.cell == Cell::lstm;
        Memory memory;
        memory.h = Array<T>((layer.order + 1) * batch * padded(layer.outputs));
        if (lstm) memory.c = Array<T>(rows);
        // A projection has fewer units, but its panels may be wider.
        const bool tiled = layer.tiled || (layer.projection && layer.projection->tiled);
        const size_t last = layer.projection ? layer.projection->bias_ih.size() : 0;
        // Tiles leave a fourth sum beside the three of the GRU, and whole rows of tiles.
        const size_t width = layer.bias_ih.size();
        const size_t wider = layer.tiled && layer.cell == Cell::gru ? width / 3 * 4 : width;
        memory.part = std::max(wider, last);
        memory.parts = Array<T>(2 * (tiled ? (batch + 7) / 8 * 8 : batch) * memory.part);
        if (layer.projection) memory.unprojected = Array<T>(rows);
        if (lstm) memory.seen = Array<T>(rows);
        if (lstm) memory.gate = Array<T>(rows);
        if (layer.format == Format::int8 || tiled) {
            // Of bfloat16 each row has two parts, and tiles are read whole.
            const size_t rows = (layer.order + 1) * batch;
            const size_t parts = tiled ? 2 * rows + 16 : rows;
            memory.codes = Array<uint16_t>(
                parts * code_row(std::max({layer.inputs, layer.units, layer.outputs})));
            memory.code_scale = Array<float>(rows);
        }
        // What is read before it is written shall be seen.
        for (Array<T>* scratch : {&memory.parts, &memory.seen, &memory.gate})
            std::fill_n(scratch->data(), scratch->size(), std::numeric_limits<T>::quiet_NaN());
        memory_.push_back(std::move(memory));
    }
    stack_->in_use = true;
    reset();
}

template <class T>
T* Stream<T>::slot(size_t layer, size_t age) const {
    const Layer<T>& constant = stack_->layers[layer];
    Memory& memory = memory_[layer];
    const size_t index = (memory.newest + age) % (constant.order + 1);
    return memory.h.data() + index * batch_ * padded(constant.outputs);
}

template <class T>
T* Stream<T>::state(size_t layer, size_t index) const {
    return index < stack_->layers[layer].order ? slot(layer, index) : memory_[layer].c.data();
}

template <class T>
size_t Stream<T>::states(size_t layer) const {
    const Layer<T>& constant = stack_->layers[layer];
    return constant.order + (constant.cell == Cell::lstm ? 1 : 0);
}

template <class T>
void Stream<T>::reset() {
    for (size_t layer = 0; layer < memory_.size(); ++layer) {
        const Layer<T>& constant = stack_->layers[layer];
        const size_t row = padded(constant.outputs), cells = padded(constant.units);
        for (size_t b = 0; b < batch_; ++b) {
            for (size_t j = 0; j < constant.order; ++j)
                std::copy_n(constant.initial_h.data() + j * row, row, slot(layer, j) + b * row);
            if (constant.cell == Cell::lstm)
                std::copy_n(constant.initial_c.data(), cells, memory_[layer].c.data() + b * cells);
            std::fill_n(slot(layer, constant.order) + b * row, constant.outputs,
                        std::numeric_limits<T>::quiet_NaN());
        }
    }
}

template <class T>
size_t Stream<T>::size(size_t layer, size_t index) const {
    const Layer<T>& constant = stack_->layers[layer];
    return index < constant.order ? constant.outputs : constant.units;
}

template <class T>
void Stream<T>::read(size_t layer, size_t index, T* to) const {
    const size_t n = size(layer, index);
    for (size_t b = 0; b < batch_; ++b)
        std::copy_n(state(layer, index) + b * padded(n), n, to + b * n);
}

template <class T>
void Stream<T>::write(size_t layer, size_t index, const T* from) {
    const size_t n = size(layer, index);
    for (size_t b = 0; b < batch_; ++b)
        std::copy_n(from + b * n, n, state(layer, index) + b * padded(n));
}

// Bytes of weights from which on two cores are worth it: more than one's own cache holds. Less
// gains little, and loses much where the other core has something else to do, or must be woken each
// time.
constexpr size_t worth_sharing = size_t(2) << 20, worth_sharing_often = size_t(1) << 20;
constexpr size_t worth_sharing_rows = size_t(16) << 20;

template <class T>
Frame<T> Stream<T>::frame(size_t layer, const T* x, size_t x_stride, bool alone) const {
    const Layer<T>& constant = stack_->layers[layer];
    Memory& memory = memory_[layer];
    Frame<T> frame;
    frame.batch = batch_;
    frame.alone = alone;
    frame.x = x;
    frame.x_stride = x_stride;
    frame.past[0] = slot(layer, 0);
    for (size_t j = 1; j < constant.order; ++j) frame.past[j] = slot(layer, j);
    frame.past_stride = padded(constant.outputs);
    frame.h = constant.projection ? memory.unprojected.data() : slot(layer, constant.order);
    frame.c = memory.c.data();
    frame.stride = padded(constant.units);
    frame.a = memory.parts.data();
    frame.u = frame.a + memory.part;
    frame.seen = memory.seen.data();
    frame.gate = memory.gate.data();
    frame.part_stride = 2 * memory.part;
    frame.codes = memory.codes.data();
    frame.code_scale = memory.code_scale.data();
    frame.backwards = memory.backwards;
    const size_t worth = often_ ? worth_sharing_often : worth_sharing;
    // Of several rows each thread takes some; there must be two tiles of them.
    const size_t reading = constant.weights.size() * batch_;
    const bool shared =
        batch_ == 1 ? reading >= worth : batch_ > 8 && reading >= worth_sharing_rows;
    frame.threads = shared ? stack_->threads : 1;
    return frame;
}

template <class T>
void Stream<T>::run(const Layer<T>& layer, const Frame<T>& frame) const {
    const Routines<T>& own = stack_->kernels;
    own.step[size_t(layer.format)](layer, frame);
}

// From the LSTM's o * tanh(c) to h.
template <class T>
void Stream<T>::run_projection(const Layer<T>& layer, Frame<T> frame, T* h) const {
    frame.x = frame.h;
    frame.x_stride = frame.stride;
    frame.h = h;
    frame.stride = padded(layer.outputs);
    run(layer, frame);
}

template <class T>
void Stream<T>::run_all(T* y, bool alone) {
    const T* input = x_.data();
    size_t stride = padded(stack_->inputs());
    for (size_t layer = 0; layer < memory_.size(); ++layer) {
        const Layer<T>& constant = stack_->layers[layer];
        const Frame<T> now = frame(layer, input, stride, alone);
        run(constant, now);
        if (constant.projection)
            run_projection(*constant.projection, now, slot(layer, constant.order));
        memory_[layer].newest = (memory_[layer].newest + constant.order) % (constant.order + 1);
        memory_[layer].backwards = !memory_[layer].backwards;
        input = slot(layer, 0);
        stride = padded(constant.outputs);
    }
    for (size_t b = 0; b < batch_; ++b)
        std::memcpy(y + b * stack_->outputs(), input + b * stride, stack_->outputs() * sizeof(T));
}

template <class T>
void Stream<T>::timestep(Rows x, T* y) {
    take(x);
    run_all(y, batch_ == 1);
}

template <class T>
void Stream<T>::timestep_ids(Rows ids, size_t bytes, T* y) {
    take_ids(ids, bytes);
    run_all(y, batch_ == 1);
}

template <class T>
size_t Stream<T>::state_size() const {
    size_t total = 0;
    for (size_t layer = 0; layer < memory_.size(); ++layer)
        for (size_t index = 0; index < states(layer); ++index) total += size(layer, index);
    return total;
}

template <class T>
void Stream<T>::advance(size_t rows, Rows x, size_t bytes, const T* from, T* to, T* y, bool often) {
    often_ = often;
    const size_t capacity = std::exchange(batch_, rows), width = state_size();
    const auto back = [&] {
        batch_ = capacity;
        often_ = false;
    };
    try {
        bytes ? take_ids(x, bytes) : take(x);
    } catch (...) {
        back();
        throw;
    }
    each_state(from, width, [](T* mine, const T* given, size_t n) { std::copy_n(given, n, mine); });
    run_all(y, false);
    each_state(to, width, [](const T* mine, T* given, size_t n) { std::copy_n(mine, n, given); });
    back();
}

template <class T>
template <class Given, class Copy>
void Stream<T>::each_state(Given given, size_t width, Copy copy) {
    for (size_t layer = 0; layer < memory_.size(); ++layer)
        for (size_t index = 0; index < states(layer); ++index) {
            const size_t n = size(layer, index);
            T* const mine = state(layer, index);
            for (size_t b = 0; b < batch_; ++b) copy(mine + b * padded(n), given + b * width, n);
            given += n;
        }
}

template <class T>
void Stream<T>::take(Rows x) {
    const size_t inputs = stack_->inputs(), row = padded(inputs);
    for (size_t b = 0; b < batch_; ++b) {
        const char* from = x.data + static_cast<ptrdiff_t>(b) * x.row;
        if (x.element == sizeof(T))
            std::memcpy(&x_[b * row], from, inputs * sizeof(T));
        else
            for (size_t j = 0; j < inputs; ++j, from += x.element)
                std::memcpy(&x_[b * row + j], from, sizeof(T));
    }
}

template <class T>
void Stream<T>::take_ids(Rows ids, size_t bytes) {
    const size_t inputs = stack_->inputs();
    for (size_t b = 0; b < batch_; ++b) {
        const char* const from = ids.data + static_cast<ptrdiff_t>(b) * ids.row;
        int32_t narrow;
        int64_t id;
        std::memcpy(&narrow, from, sizeof narrow);
        if (bytes == sizeof id)
            std::memcpy(&id, from, sizeof id);
        else
            id = narrow;
        if (id < 0 || static_cast<uint64_t>(id) >= stack_->tokens)
            throw std::invalid_argument("x must hold ids from 0 to " +
                                        std::to_string(stack_->tokens - 1) + ", found " +
                                        std::to_string(id));
        const T* const found = stack_->embedding.data() + static_cast<size_t>(id) * inputs;
        std::copy_n(found, inputs, &x_[b * padded(inputs)]);
    }
}

template struct Stack<float>;
template struct Stack<double>;
template class Stream<float>;
template class Stream<double>;

}  // namespace elman
