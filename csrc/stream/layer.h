// What a layer is once its weights are packed, and what one timestep of it reads and writes.
//
// Hidden units go in panels of as many as a vector has lanes; the last panel is filled up with
// units whose weights are zero, and whose state therefore stays zero. In every array of a layer the
// order is [panel][gate][lane], so that all gates of a unit meet in registers at the same time.
// Where there is one gate, a panel may hold `wide` vectors of units instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

namespace elman {

enum class Cell { elman, gru, lstm };
enum class Format { plain, bfloat16, int8 };  // of weights; plain: as all other numbers
enum class Function { exp, tanh, sigmoid };

// Zeroed memory on a cache line, of a size fixed at construction. It can be moved, not copied.
template <class T>
class Array {
  public:
    Array() = default;
    explicit Array(size_t size) : size_(size) {
        const size_t bytes = (size * sizeof(T) + 63) / 64 * 64;
        data_ = static_cast<T*>(::operator new(bytes ? bytes : 64, std::align_val_t{64}));
        for (size_t i = 0; i < size; ++i) data_[i] = T{};
    }
    Array(Array&& other) noexcept { *this = std::move(other); }
    Array& operator=(Array&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Array() { ::operator delete(data_, std::align_val_t{64}); }

    T* data() { return data_; }
    const T* data() const { return data_; }
    size_t size() const { return size_; }
    T& operator[](size_t i) { return data_[i]; }
    const T& operator[](size_t i) const { return data_[i]; }

  private:
    T* data_ = nullptr;
    size_t size_ = 0;
};

// Rows of x and of h have this many elements more or less: a whole number of vectors of any kind.
constexpr size_t padded(size_t size) {
    return (size + 15) / 16 * 16;
}

// How many inputs one tile of bfloat16 weights takes, where there are tiles, and a row of codes.
constexpr size_t tile_depth = 32;
constexpr size_t code_row(size_t size) {
    return (size + tile_depth - 1) / tile_depth * tile_depth;
}

// The constant part. Arrays that an option does not use are empty.
template <class T>
struct Layer {
    Cell cell;
    Format format;
    bool relu = false;
    size_t order = 1;                           // 0: a dense layer, h = W x + b, without a state
    size_t inputs = 0, units = 0, outputs = 0;  // of x, c and h; h is smaller after a projection
    size_t gates = 0, wide = 1, panels = 0;
    bool tiled = false;        // see simd/tiles.h
    T keep_h = 0, keep_c = 0;  // zoneout: the share of the old state that stays

    // [panel][segment][group][gate][lane][member]: segment 0 is x, segment j is h_{t-j}; a group is
    // as many elements of the input as the format takes at once. A group of 4 needs what
    // Int8::whole says, 32 bits for each [gate][lane], before each segment.
    Array<std::byte> weights;
    Array<T> scale_ih, scale_hh;  // int8: what one step of a row is worth
    Array<T> bias_ih, bias_hh;
    Array<T> gain_ih, gain_hh;          // layer normalisation, [panel][gate][lane]
    Array<T> gain_c, bias_c;            // [panel][lane]
    Array<T> peephole;                  // [panel][i f o][lane]
    Array<T> initial_h, initial_c;      // [order][padded(outputs)], [padded(units)]
    std::unique_ptr<Layer> projection;  // a dense layer from what the LSTM gives to h
};

constexpr size_t max_order = 64;

// The changing part: pointers to the first of `batch` rows, and the distances between rows.
template <class T>
struct Frame {
    size_t batch;
    bool alone;  // one row that never has company: its sums may be split
    const T* x;
    size_t x_stride;
    const T* past[max_order];  // h_{t-1}, h_{t-2} ..
    size_t past_stride;
    T* h;  // h_t
    T* c;
    size_t stride;  // of h and c
    // Scratch: a_t and u_t, the LSTM's c_t and o_t, and the input in 16 bits where the weights have
    // fewer than 32.
    T *a, *u, *seen, *gate;
    size_t part_stride;  // of a and u
    uint16_t* codes;     // [segment][batch][part][..]
    float* code_scale;   // [segment][batch]
    bool backwards;      // through the panels
    size_t threads;      // among which the panels are shared
};

}  // namespace elman
