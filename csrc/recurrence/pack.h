// W_hh in blocks, as `product.h` reads it: each thread packs what it uses.
#pragma once

#include "memory/pool.h"
#include "recurrence/share.h"

namespace elman::ELMAN_ISA {

template <class T>
class Packed {
    static constexpr size_t L = lanes<T>;

  public:
    // Forward: the outputs are the gates of this thread's units, the inputs k past states. Blocks
    // hold all gates of a panel, so that they meet in registers; a single gate takes four panels.
    static Packed forward(const Sequence<T>& s, const Share<T>& share) {
        const size_t gates = gates_of(s.cell), depth = s.order * s.units;
        Packed to(share, depth, gates, gates == 1 ? 4 : 1);
        to.start_ = scratch<T>(share.panels() * gates * L);
        const bool fold = !s.gain_hh;  // else the biases are the shifts of the normalisation
        to.fill([&](size_t panel, size_t gate, size_t lane, T* at, size_t step) {
            const size_t unit = panel * L + lane, r = gate * s.units + unit;
            T& start = to.start_[((panel - share.panel) * gates + gate) * L + lane];
            start = 0;
            const bool real = unit < s.units;
            if (real && fold && s.bias_hh) start += s.bias_hh[r];
            if (real && fold && s.bias_ih && !(s.cell == Cell::gru && gate == 2))
                start += s.bias_ih[r];
            for (size_t k = 0; k < depth; ++k)
                at[k * step] = real ? s.weight_hh[r * depth + k] : T(0);
        });
        return to;
    }

    // Backward: the outputs are this thread's units of past state j, the inputs all gates.
    static Packed backward(const Sequence<T>& s, const Share<T>& share, size_t j) {
        const size_t depth = gates_of(s.cell) * s.units, width = s.order * s.units;
        Packed to(share, depth, 1, 4);
        to.fill([&](size_t panel, size_t, size_t lane, T* at, size_t step) {
            const size_t unit = panel * L + lane;
            for (size_t k = 0; k < depth; ++k)
                at[k * step] = unit < s.units ? s.weight_hh[k * width + j * s.units + unit] : T(0);
        });
        return to;
    }

    // use(panel, vectors, weights, start) for each block; start is null for backward weights.
    template <class Use>
    void each(Use use) const {
        const T* w = weights_.get();
        for (size_t panel = first_; panel < last_; panel += together_) {
            const size_t vectors = width(panel) * gates_;
            use(panel, vectors, w, start_.get() + (panel - first_) * gates_ * L);
            w += vectors * depth_ * L;
        }
    }

  private:
    Packed(const Share<T>& share, size_t depth, size_t gates, size_t together)
        : first_(share.panel),
          last_(share.panel_end),
          depth_(depth),
          gates_(gates),
          together_(together),
          weights_(scratch<T>(share.panels() * gates * depth * L)) {}

    size_t width(size_t panel) const {
        return last_ - panel < together_ ? last_ - panel : together_;
    }

    // put(panel, gate, lane, address of k = 0, distance to the next k)
    template <class Put>
    void fill(Put put) {
        T* w = weights_.get();
        for (size_t panel = first_; panel < last_; panel += together_) {
            const size_t vectors = width(panel) * gates_;
            for (size_t v = 0; v < vectors; ++v)
                for (size_t lane = 0; lane < L; ++lane)
                    put(panel + v / gates_, v % gates_, lane, w + v * L + lane, vectors * L);
            w += vectors * depth_ * L;
        }
    }

    size_t first_, last_, depth_, gates_, together_;
    Scratch<T> weights_, start_;
};

}  // namespace elman::ELMAN_ISA
