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

namespace {

// Rows of n numbers, `from_next` and `to_next` apart.
template <class T>
void copy_rows(size_t rows, size_t n, const T* from, size_t from_next, T* to, size_t to_next) {
    for (; rows > 0; --rows, from += from_next, to += to_next) std::copy_n(from, n, to);
}

}  // namespace

template <class T>
Stream<T>::Stream(std::shared_ptr<const Stack<T>> stack, size_t batch)
    : stack_(std::move(stack)), batch_(batch), x_(batch * padded(stack_->inputs())) {
    // What is read before it is written shall be seen.
    constexpr T unwritten = std::numeric_limits<T>::quiet_NaN();
    const auto enlarge = [](auto& scratch, size_t size, auto fill) {
        if (scratch.size() < size) scratch.resize(size, fill);
    };
    for (const Layer<T>& layer : stack_->layers) {
        Memory memory;
        const size_t slot = batch * padded(layer.outputs);
        const size_t all = (layer.order + 1) * slot;
        memory.numbers = Array<T>(all + (layer.lstm() ? batch * padded(layer.units) : 0));
        for (size_t at = 0; at < all; at += slot) memory.past.push_back(&memory.numbers[at]);
        memory.c = memory.numbers.data() + all;
        memory_.push_back(std::move(memory));
        if (layer.projection) enlarge(unprojected_, batch * padded(layer.units), T(0));
        for (const Layer<T>* each = &layer; each; each = each->projection.get()) {
            const size_t rows = (each->order + 1) * batch;
            enlarge(sums_, 2 * batch * each->width(), unwritten);
            if (each->format == Format::plain) continue;
            // On tiles each row has two parts, and tiles are read whole.
            enlarge(codes_, (2 * rows + 16) * each->codes(), uint16_t(0));
            enlarge(code_, rows, Code{});
        }
    }
    stack_->in_use = true;
    reset();
}

template <class T>
auto Stream<T>::state(size_t layer, size_t index) const -> State {
    const Layer<T>& constant = stack_->layers[layer];
    if (index < constant.order) return {memory_[layer].past[index], constant.outputs};
    return {memory_[layer].c, constant.units};
}

template <class T>
size_t Stream<T>::states(size_t layer) const {
    const Layer<T>& constant = stack_->layers[layer];
    return constant.order + (constant.lstm() ? 1 : 0);
}

template <class T>
size_t Stream<T>::size(size_t layer, size_t index) const {
    return state(layer, index).size;
}

template <class T>
template <class Each>
void Stream<T>::each_state(Each each) const {
    for (size_t layer = 0; layer < memory_.size(); ++layer)
        for (size_t index = 0; index < states(layer); ++index) each(state(layer, index));
}

template <class T>
size_t Stream<T>::state_size() const {
    size_t total = 0;
    each_state([&](State state) { total += state.size; });
    return total;
}

template <class T>
void Stream<T>::reset() {
    for (size_t layer = 0; layer < memory_.size(); ++layer) {
        const T* from = stack_->layers[layer].initial.data();
        for (size_t index = 0; index < states(layer); ++index) {
            const auto [rows, n] = state(layer, index);
            copy_rows(batch_, n, from, 0, rows, padded(n));
            from += n;
        }
    }
}

template <class T>
void Stream<T>::read(size_t layer, size_t index, T* to) const {
    const auto [rows, n] = state(layer, index);
    copy_rows(batch_, n, rows, padded(n), to, n);
}

template <class T>
void Stream<T>::write(size_t layer, size_t index, const T* from) {
    const auto [rows, n] = state(layer, index);
    copy_rows(batch_, n, from, n, rows, padded(n));
}

// Bytes of weights from which on two cores are worth it: more than one's own cache holds. Less
// gains little, and loses much where the other core has something else to do, or must be woken each
// time. Of several rows each thread takes some; there must be two tiles of them.
template <class T>
size_t Stream<T>::threads(const Layer<T>& layer, size_t rows, bool often) const {
    constexpr size_t MiB = size_t(1) << 20;
    const size_t reading = layer.weights.size() * rows, worth = (often ? 1 : 2) * MiB;
    const bool shared = rows == 1 ? reading >= worth : rows > 8 && reading >= 16 * MiB;
    return shared ? stack_->threads : 1;
}

template <class T>
void Stream<T>::run(size_t rows, bool alone, bool often, T* y) {
    const Routines<T>& routines = stack_->kernels;
    const T* input = x_.data();
    for (size_t i = 0; i < memory_.size(); ++i) {
        const Layer<T>& layer = stack_->layers[i];
        Memory& memory = memory_[i];
        Frame<T> frame;
        frame.batch = rows;
        frame.alone = alone;
        frame.backwards = memory.backwards;
        frame.threads = threads(layer, rows, often);
        frame.x = input;
        frame.past = memory.past.data();
        frame.h = layer.projection ? unprojected_.data() : memory.past.back();
        frame.c = memory.c;
        frame.sums = sums_.data();
        frame.codes = codes_.data();
        frame.code = code_.data();
        routines.step[size_t(layer.format)](layer, frame);
        if (layer.projection) {
            frame.x = frame.h;
            frame.h = memory.past.back();
            routines.step[size_t(layer.format)](*layer.projection, frame);
        }
        std::rotate(memory.past.begin(), memory.past.end() - 1, memory.past.end());
        memory.backwards = !memory.backwards;
        input = memory.past.front();
    }
    const size_t outputs = stack_->outputs();
    copy_rows(rows, outputs, input, padded(outputs), y, outputs);
}

template <class T>
void Stream<T>::timestep(Rows x, T* y) {
    take(batch_, x);
    run(batch_, batch_ == 1, false, y);
}

template <class T>
void Stream<T>::advance(size_t rows, Rows x, const T* from, T* to, T* y, bool often) {
    const size_t width = state_size();
    take(rows, x);
    each_state([&](State mine) {
        copy_rows(rows, mine.size, from, width, mine.rows, padded(mine.size));
        from += mine.size;
    });
    run(rows, false, often, y);
    each_state([&](State mine) {
        copy_rows(rows, mine.size, mine.rows, padded(mine.size), to, width);
        to += mine.size;
    });
}

template <class T>
void Stream<T>::take(size_t rows, Rows x) {
    const size_t inputs = stack_->inputs();
    T* to = x_.data();
    for (const char* from = x.data; rows > 0; --rows, from += x.row, to += padded(inputs)) {
        if (x.id)
            std::copy_n(embedded(from, x.id), inputs, to);
        else if (x.element == sizeof(T))
            std::memcpy(to, from, inputs * sizeof(T));
        else
            for (size_t j = 0; j < inputs; ++j)
                std::memcpy(to + j, from + static_cast<ptrdiff_t>(j) * x.element, sizeof(T));
    }
}

template <class T>
const T* Stream<T>::embedded(const char* from, size_t bytes) const {
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
    return stack_->embedding.data() + static_cast<size_t>(id) * stack_->inputs();
}

template struct Stack<float>;
template struct Stack<double>;
template class Stream<float>;
template class Stream<double>;

}  // namespace elman
