// What one layer in one direction runs over, as plain pointers; the caller owns all memory.
//
// The sequences are taken in order of falling length, so that those which still run at t are the
// first active[t], and a ragged batch costs what its valid timesteps cost: what only the layer sees
// has a row for each of these and no other, row(t, i). What the caller sees keeps his own order and
// his padding, place(t, i).
#pragma once

#include <cstddef>
#include <cstdint>

#include "stream/layer.h"

namespace elman {

constexpr size_t gates_of(Cell cell) {
    return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1;
}

// Null pointers: what the layer does not have. N is the number of rows, G of gates, k the order.
template <class T>
struct Sequence {
    Cell cell;
    bool relu = false, reverse = false;
    bool saving = true;     // for a backward pass: else `gates` is only read, `inner` left alone
    bool bfloat16 = false;  // numbers may be rounded to it where weights multiply them
    size_t steps, batch, units, order = 1;  // steps: T of the arrays
    size_t inputs = 0;                      // D
    size_t running;                         // timesteps in which any sequence is valid
    const size_t *active, *start;           // [running]
    const size_t* slot;                     // [batch]: the i-th longest sequence

    const T *x, *weight_ih;      // (T, B, D), (G*H, D): null where the input part comes in `gates`
    const T* weight_hh;          // (G*H, k*H)
    const T *bias_ih, *bias_hh;  // (G*H)
    const T* peephole;           // (3*H): i f o
    const T *gain_ih, *gain_hh, *gain_c, *bias_c;  // layer normalisation: (G*H) twice, (H) twice
    const T *first_h, *first_c;                    // (k, B, H), (B, H): where the sequences start
    const uint8_t* resets;           // (T, B): the initial state enters instead of the last
    const T *initial_h, *initial_c;  // (k, B, H), (B, H); only with resets
    const T* mask;                   // (B, k*H): multiplies what enters W_hh
    const T *keep_h, *keep_c;        // zoneout: (T, B, H), or (H) with keep_stride 0
    size_t keep_stride = 0;

    // Written by the forward pass and read by the backward pass.
    T *h, *c;               // (T, B, H): the states; 0 in the padding
    T *last_h, *last_c;     // (k, B, H), (B, H)
    T* gates;               // (N, G*H): the activated gates, which replace the input part; null
                            // where there is neither: without `saving`, where h is the gate, or
                            // normalised, where the products tell what the gates were
    T* entering;            // (N, k*H): what enters W_hh, where it is not simply the row before
    T* inner;               // (N, H): u_n of the GRU
    T *normal_a, *scale_a;  // (N, G*H), (N): the input part normalised, and 1 / its deviation
    T *normal_u, *scale_u;  // the same of the recurrent part
    T *normal_c, *scale_c;  // (N, H), (N): the same of c
    T* products;            // (products_size()): room for a normalised layer

    // (B, G*H'), H' the next multiple of 16, which is one of every number of lanes.
    size_t products_size() const {
        return gain_hh ? batch * gates_of(cell) * ((units + 15) / 16 * 16) : 0;
    }

    size_t time(size_t i) const { return reverse ? running - 1 - i : i; }  // the i-th in order
    size_t row(size_t t, size_t i) const { return start[t] + i; }
    size_t place(size_t t, size_t i) const { return t * batch + slot[i]; }

    // The row of the state that entered at t: of h or c, as the forward pass chose it.
    const T* entered(size_t t, size_t i, const T* states, const T* first, const T* initial) const {
        if (resets && resets[place(t, i)]) return initial + slot[i] * units;
        const size_t before = reverse ? t + 1 : t - 1;  // none: wraps around, or is `running`
        if (before >= running || i >= active[before]) return first + slot[i] * units;
        return states + place(before, i) * units;
    }
};

// Gradients, named as what they belong to. What comes in is const; null is zero.
template <class T>
struct Gradients {
    static constexpr size_t piece = 256;  // rows that stay in a core's cache

    const T *h, *c;            // (T, B, H)
    const T *last_h, *last_c;  // (k, B, H), (B, H)
    T* x;                      // (T, B, D), only where the forward pass had x
    // (.., G*H): of the input part, and of W_hh's product, which may be the same. Their rows of t
    // begin at start[t]; where that is 0 a piece of time begins, and its rows write over those of
    // the piece behind it.
    T *a, *u;
    const size_t* start;       // [running]
    T *weight_ih, *weight_hh;  // as the parameters, the former only where the forward pass had x
    T *first_h, *first_c;      // (k, B, H), (B, H)
    T *initial_h, *initial_c;  // (k, B, H), (B, H); with resets
    T *bias_a, *bias_u, *gain_a, *gain_u, *peephole, *gain_c, *bias_c;  // as the parameters
};

}  // namespace elman
