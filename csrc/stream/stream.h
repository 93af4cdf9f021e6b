// A stack of layers, and streams that run over it: the weights are constant and shared, the state
// belongs to the stream. A timestep allocates nothing.
#pragma once

#include <memory>
#include <vector>

#include "simd/isa.h"
#include "stream/layer.h"

namespace elman {

template <class T>
struct Stack {
    explicit Stack(const Kernels& chosen, size_t among = 1) : kernels(chosen), threads(among) {}
    Stack(const Stack&) = delete;
    Stack& operator=(const Stack&) = delete;

    const Kernels& kernels;
    const size_t threads;  // that share the panels of a layer, where it is large
    std::vector<Layer<T>> layers;
    mutable bool in_use = false;  // layers are added before the first stream, and not after

    Array<T> embedding;  // [tokens][inputs]; with it, the input is an id
    size_t tokens = 0;

    size_t inputs() const { return layers.front().inputs; }
    size_t outputs() const { return layers.back().outputs; }
    size_t multiplications() const;  // of one timestep of one stream
};

// Where rows of a caller's array stand; distances in bytes, of any size and sign.
struct Rows {
    const char* data;
    ptrdiff_t row, element;
};

template <class T>
class Stream {
  public:
    // `batch` streams in step. The state is the initial one.
    Stream(std::shared_ptr<const Stack<T>> stack, size_t batch);

    // x (batch, inputs), or (batch,) ids of 4 or 8 bytes -> y (batch, outputs), contiguous. They
    // may overlap. Throws std::invalid_argument for an id that is not in the embedding.
    void timestep(Rows x, T* y);
    void timestep_ids(Rows ids, size_t bytes, T* y);

    // One timestep of `rows` streams, at most `batch`, whose states the caller keeps: `from` and
    // `to` are (rows, state_size()), the states of all layers one after the other. A row's result
    // does not depend on the others, to the last bit. What the stream itself keeps is lost.
    // `often`: others follow at once, so that a second thread, once it is awake, pays sooner.
    void advance(size_t rows, Rows x, size_t bytes, const T* from, T* to, T* y, bool often = false);
    size_t state_size() const;

    // The state of every layer becomes the initial one.
    void reset();

    // State `index` of a layer, (batch, size): h, h2 .. hk, then c.
    void read(size_t layer, size_t index, T* to) const;
    void write(size_t layer, size_t index, const T* from);
    size_t states(size_t layer) const;
    size_t size(size_t layer, size_t index) const;  // of one row

    const Stack<T>& stack() const { return *stack_; }
    size_t batch() const { return batch_; }

  private:
    struct Memory {
        Array<T> h;  // a ring of order + 1 slots: the past, and the one that is written
        size_t newest = 0;
        bool backwards = false;
        Array<T> c, parts, seen, gate;
        size_t part;  // of a row of `parts`, which is a and then u
        Array<T> unprojected;
        Array<uint16_t> codes;
        Array<float> code_scale;
    };

    T* slot(size_t layer, size_t age) const;  // age 0: h_{t-1}; age `order`: where h_t goes
    T* state(size_t layer, size_t index) const;
    Frame<T> frame(size_t layer, const T* x, size_t x_stride, bool alone) const;
    void run(const Layer<T>& layer, const Frame<T>& frame) const;
    void run_projection(const Layer<T>& layer, Frame<T> frame, T* h) const;
    void run_all(T* y, bool alone);
    void take(Rows x);
    void take_ids(Rows ids, size_t bytes);
    template <class Given, class Copy>
    void each_state(Given given, size_t width, Copy copy);  // rows of the caller's, and mine

    std::shared_ptr<const Stack<T>> stack_;
    size_t batch_;
    bool often_ = false;
    Array<T> x_;
    mutable std::vector<Memory> memory_;
};

}  // namespace elman
