// What a layer is once its weights are packed, and what one timestep of it reads and writes.
//
// Hidden units go in panels of as many as a vector has lanes; the last panel is filled up with
// units whose weights are zero, and whose state therefore stays zero. In every array of a layer the
// order is [panel][gate][lane], so that all gates of a unit meet in registers at the same time.
// Where there is one gate, a panel may hold `wide` vectors of units instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

namespace elman {

enum class Cell { elman, gru, lstm };
enum class Format { plain, bfloat16, int8 };  // of weights; plain: as all other numbers
enum class Function { exp, tanh, sigmoid };

// Memory on a cache line.
template <class T>
struct OnLine {
    using value_type = T;
    OnLine() = default;
    template <class Other>
    OnLine(OnLine<Other>) {}

    T* allocate(size_t n) {
        return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t{64}));
    }
    void deallocate(T* p, size_t) { ::operator delete(p, std::align_val_t{64}); }
    bool operator==(OnLine) const { return true; }
};
template <class T>
using Array = std::vector<T, OnLine<T>>;

// Rows of x and of h have this many elements more or less: a whole number of vectors of any kind.
constexpr size_t padded(size_t size) {
    return (size + 15) / 16 * 16;
}

// A tile of bfloat16, where there are tiles, and a row of codes.
constexpr size_t tile_depth = 32, tile_rows_at_once = 16;  // inputs, and rows or units
constexpr size_t tile_size = tile_rows_at_once * tile_depth;
constexpr size_t tiles_in(size_t inputs) {
    return (inputs + tile_depth - 1) / tile_depth;
}
constexpr size_t code_row(size_t size) {
    return tiles_in(size) * tile_depth;
}

// What belongs to a_t, the products with x, or to u_t, those with the past.
template <class T>
struct Part {
    Array<T> bias;
    Array<T> scale;  // int8: what one step of a row is worth
    Array<T> gain;   // layer normalisation
};

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
    // as many elements of the input as the format takes at once.
    Array<std::byte> weights;
    Part<T> parts[2];                   // a_t, u_t
    Array<T> gain_c, bias_c;            // [panel][lane]
    Array<T> peephole;                  // [panel][i f o][lane]
    Array<T> initial;                   // h, h2 .. hk, then c, of one row
    std::unique_ptr<Layer> projection;  // a dense layer from what the LSTM gives to h

    bool lstm() const { return cell == Cell::lstm; }
    // Numbers of a_t, or of u_t.
    size_t width() const { return parts[0].bias.size(); }
    // A row of codes: of any segment, and filled up to whole tiles.
    size_t codes() const { return code_row(inputs > outputs ? inputs : outputs); }
};

constexpr size_t max_order = 64;

// Of a row in 16 bits: what one step is worth, and the sum of all.
struct Code {
    float scale;
    int32_t sum;
};

// The changing part: pointers to the first of `batch` rows. Rows of x and of any h stand as far
// apart as `padded` says of their size, those of c and of an h before its projection as it says of
// the units.
template <class T>
struct Frame {
    size_t batch;
    bool alone;      // one row that never has company: its sums may be split
    bool backwards;  // through the panels
    size_t threads;  // among which the panels are shared
    const T* x;
    T* const* past;  // h_{t-1}, h_{t-2} ..
    T *h, *c;        // h_t, and the LSTM's c
    // Scratch: rows of a_t and then u_t, and the input in 16 bits where the weights have fewer than
    // 32: [segment][batch][part][..], and [segment][batch].
    T* sums;
    uint16_t* codes;
    Code* code;
};

}  // namespace elman
