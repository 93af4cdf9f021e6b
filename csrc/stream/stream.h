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

// Where rows of a caller's array stand, of numbers or of one id; distances in bytes, of any size
// and sign.
struct Rows {
    const char* data;
    ptrdiff_t row, element;
    size_t id = 0;  // bytes of an id, 4 or 8; 0: numbers
};

template <class T>
class Stream {
  public:
    // `batch` streams in step. The state is the initial one.
    Stream(std::shared_ptr<const Stack<T>> stack, size_t batch);

    // x (batch, inputs), or (batch,) ids -> y (batch, outputs), contiguous. They may overlap.
    // Throws std::invalid_argument for an id that is not in the embedding.
    void timestep(Rows x, T* y);

    // One timestep of `rows` streams, at most `batch`, whose states the caller keeps: `from` and
    // `to` are (rows, state_size()), the states of all layers one after the other. A row's result
    // does not depend on the others, to the last bit. What the stream itself keeps is lost.
    // `often`: others follow at once, so that a second thread, once it is awake, pays sooner.
    void advance(size_t rows, Rows x, const T* from, T* to, T* y, bool often = false);
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
        Array<T> numbers;
        std::vector<T*> past;  // h_{t-1}, h_{t-2} .., and where h_t goes
        T* c;
        bool backwards = false;
    };
    struct State {
        T* rows;
        size_t size;  // of one row; the next is `padded` of it further
    };

    State state(size_t layer, size_t index) const;
    template <class Each>
    void each_state(Each each) const;
    void take(size_t rows, Rows x);
    const T* embedded(const char* id, size_t bytes) const;
    void run(size_t rows, bool alone, bool often, T* y);
    size_t threads(const Layer<T>& layer, size_t rows, bool often) const;

    std::shared_ptr<const Stack<T>> stack_;
    size_t batch_;
    Array<T> x_;
    std::vector<Memory> memory_;
    // Scratch of one layer after the other: see Frame; and an h that is not projected yet.
    Array<T> sums_, unprojected_;
    Array<uint16_t> codes_;
    Array<Code> code_;
};

}  // namespace elman
