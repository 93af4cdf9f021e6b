// Weights in blocks, as `product.h` reads them: each thread packs what it uses.
#pragma once

#include <algorithm>

#include "memory/pool.h"
#include "recurrence/tiled.h"
#include "simd/vector.h"

namespace elman::ELMAN_ISA {

// Which panels of outputs, and how many of them there are in all.
struct Panels {
    size_t first, last, outputs;
};

template <class T>
class Packed {
    static constexpr size_t L = lanes<T>;

  public:
    Packed() = default;

    // matrix: (groups * outputs, depth), of which the outputs are rows. Blocks hold all groups, the
    // gates, of a panel, so that they meet in registers; a single one takes four panels.
    static Packed rows(const Panels& panels, const T* matrix, size_t depth, size_t groups) {
        Packed to(panels, depth, groups);
        to.each([&](size_t panel, size_t vectors, T* w) {
            for (size_t k = 0; k < depth; k += L)
                for (size_t v = 0; v < vectors; ++v) {
                    const size_t unit = (panel + v / groups) * L;
                    const T* const from = matrix + (v % groups * panels.outputs + unit) * depth + k;
                    Vec<T> tile[L] = {};
                    for (size_t i = 0; i < L && unit + i < panels.outputs; ++i)
                        tile[i] = load<T>(from + i * depth, depth - k);
                    transpose<T>(tile);
                    for (size_t i = 0; i < L && k + i < depth; ++i)
                        store<T>(w + ((k + i) * vectors + v) * L, tile[i]);
                }
        });
        return to;
    }

    // matrix: (depth, width), of which the outputs are columns from `first` on.
    static Packed columns(const Panels& panels, const T* matrix, size_t depth, size_t width,
                          size_t first = 0) {
        Packed to(panels, depth, 1);
        to.each([&](size_t panel, size_t vectors, T* w) {
            for (size_t k = 0; k < depth; ++k)
                for (size_t v = 0; v < vectors; ++v) {
                    const size_t col = (panel + v) * L;
                    const T* const from = matrix + k * width + first + col;
                    store<T>(w + (k * vectors + v) * L, load<T>(from, panels.outputs - col));
                }
        });
        return to;
    }

    // Has the weights as sums of `parts` in bfloat16 too, for tiles; three only where all are
    // finite.
    void split(int parts) {
        if constexpr (bfloat16_products<T>) {
            if (parts == 0 || panels() == 0) return;
            parts_ = static_cast<size_t>(parts);
            tiles_ = scratch<uint16_t>(panels() * groups_ * code_row(depth_) * L * parts_);
            bool finite = true;
            each([&](size_t panel, size_t vectors, const T* w) {
                uint16_t* const to = tiles_.get() + tile_at(panel);
                finite &= parts == 1 ? split_block<1>(w, depth_, vectors, to)
                                     : split_block<3>(w, depth_, vectors, to);
            });
            if (!finite && parts > 1) tiles_.reset();
        }
    }
    // Of the block that starts at a panel; null without `split`.
    const uint16_t* tiles(size_t panel) const {
        return tiles_ ? tiles_.get() + tile_at(panel) : nullptr;
    }

    size_t depth() const { return depth_; }
    size_t groups() const { return groups_; }
    size_t first() const { return first_; }
    size_t panels() const { return last_ - first_; }

    // use(panel, vectors, weights) for each block, from the last to the first where `back`: what
    // was read last is still in the cache.
    template <class Use>
    void each(Use use, bool back = false) const {
        const size_t blocks = (last_ - first_ + together_ - 1) / together_;
        for (size_t i = 0; i < blocks; ++i) {
            const size_t before = (back ? blocks - 1 - i : i) * together_;
            const size_t width = std::min(last_ - first_ - before, together_);
            use(first_ + before, width * groups_, weights_.get() + before * groups_ * depth_ * L);
        }
    }

  private:
    Packed(const Panels& panels, size_t depth, size_t groups)
        : first_(panels.first),
          last_(panels.last),
          depth_(depth),
          groups_(groups),
          together_(groups == 1 ? 4 : 1),
          weights_(scratch<T>((last_ - first_) * groups * depth * L)) {}

    size_t tile_at(size_t panel) const {
        return (panel - first_) * groups_ * code_row(depth_) * L * parts_;
    }

    size_t first_ = 0, last_ = 0, depth_ = 0, groups_ = 1, together_ = 1, parts_ = 0;
    Scratch<T> weights_;
    Scratch<uint16_t> tiles_;
};

}  // namespace elman::ELMAN_ISA
