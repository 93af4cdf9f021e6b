#include "stream/pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace elman {
namespace {

// The bits of a finite value, rounded to those whose lower half is `below`: for 0, to nearest, ties
// to even. Not under 2^-60 beside other bits, which alone would be a slow, subnormal number.
uint16_t upper_half(float value, uint16_t below) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if (below == 0) return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    const uint32_t sign = bits & 0x80000000u, size = std::max(bits ^ sign, 0x21800000u);
    return static_cast<uint16_t>((sign | (size + 0x8000 - below)) >> 16);
}

template <class T>
struct Packer {
    Layer<T>& layer;
    size_t lanes;
    size_t group;                               // of inputs
    bool tiles;                                 // of bfloat16: whole ones, and each number itself
    size_t vectors = layer.gates * layer.wide;  // in a panel

    size_t groups_in(size_t n) const { return ((tiles ? code_row(n) : n) + group - 1) / group; }

    // Where a unit stands in [panel][part][lane].
    size_t place(size_t unit, size_t part, size_t parts) const {
        return (unit / lanes * parts + part) * lanes + unit % lanes;
    }

    // Copies vectors of one entry a unit.
    Array<T> units(const T* from, size_t parts) const {
        Array<T> to(layer.panels * layer.wide * parts * lanes);
        for (size_t part = 0; part < parts && from; ++part)
            for (size_t unit = 0; unit < layer.units; ++unit)
                to[place(unit, part, parts)] = from[part * layer.units + unit];
        return to;
    }

    // Spreads one row of a segment over its groups; `first` is where element 0 belongs.
    template <class Stored, class Convert>
    void row(const T* from, size_t n, Stored* first, Convert convert) const {
        for (size_t j = 0; j < n; ++j)
            first[j / group * vectors * lanes * group + j % group] = convert(from[j]);
    }

    // One scale for a whole row of W_ih or W_hh, of which W_hh may have several segments.
    T step_of(const T* from, size_t n) const {
        T largest = 0;
        for (size_t j = 0; j < n; ++j) largest = std::fmax(largest, std::fabs(from[j]));
        return largest / 127;
    }

    // Writes one row of a segment in the layer's format; `step` is what int8 counts in.
    void store(const T* from, size_t n, size_t offset, T step) const {
        std::byte* const to = layer.weights.data();
        switch (layer.format) {
            case Format::int8:
                return row(from, n, reinterpret_cast<int8_t*>(to) + offset, [step](T w) {
                    return static_cast<int8_t>(step > 0 ? std::nearbyint(w / step) : T(0));
                });
            case Format::bfloat16:
                return row(from, n, reinterpret_cast<uint16_t*>(to) + offset,
                           [below = uint16_t(0), second = false, this](T w) mutable {
                               below = upper_half(static_cast<float>(w), second ? below : 0);
                               second = !second && !tiles;
                               return below;
                           });
            case Format::plain:
                return row(from, n, reinterpret_cast<T*>(to) + offset, [](T w) { return w; });
        }
    }

    // What Int8::whole adds: it sees every input larger by 2^15.
    void head(const int8_t* first, size_t groups, std::byte* to) const {
        uint32_t total = 0;
        for (size_t j = 0; j < groups * group; ++j)
            total += uint32_t(first[j / group * vectors * lanes * group + j % group]);
        total *= 0u - 0x8000u;
        std::memcpy(to, &total, sizeof total);
    }

    void weights(const Parameters<T>& from) const {
        const bool coded = layer.format == Format::int8;
        const size_t bytes = coded ? 1 : layer.format == Format::bfloat16 ? 2 : sizeof(T);
        const size_t vector = vectors * lanes * group;
        const size_t head_size = coded && group == 4 ? vectors * lanes * 4 : 0;
        const size_t x_groups = groups_in(layer.inputs), h_groups = groups_in(layer.outputs);
        const size_t panel_size =
            (x_groups + layer.order * h_groups) * vector + (1 + layer.order) * head_size;
        layer.weights = Array<std::byte>(layer.panels * panel_size * bytes);
        layer.scale_ih = Array<T>(layer.panels * vectors * lanes);
        layer.scale_hh = Array<T>(layer.panels * vectors * lanes);
        const size_t past = layer.order * layer.outputs;
        for (size_t r = 0; r < layer.gates * layer.units; ++r) {
            const size_t scale_at = place(r % layer.units, r / layer.units, layer.gates);
            const size_t panel = scale_at / (vectors * lanes), lane = scale_at % (vectors * lanes);
            const T* w_ih = from.weight_ih + r * layer.inputs;
            const T* w_hh = layer.order ? from.weight_hh + r * past : nullptr;
            const T step_ih = step_of(w_ih, layer.inputs), step_hh = step_of(w_hh, past);
            layer.scale_ih[scale_at] = step_ih;
            layer.scale_hh[scale_at] = step_hh;
            size_t at = panel * panel_size;
            for (size_t segment = 0; segment <= layer.order; ++segment) {
                const T* w = segment ? w_hh + (segment - 1) * layer.outputs : w_ih;
                const size_t n = segment ? layer.outputs : layer.inputs;
                const size_t first = at + head_size + lane * group;
                store(w, n, first, segment ? step_hh : step_ih);
                std::byte* const bare = layer.weights.data();
                const size_t groups = segment ? h_groups : x_groups;
                if (head_size)
                    head(reinterpret_cast<int8_t*>(bare) + first, groups, bare + at + lane * 4);
                at += groups * vector + head_size;
            }
        }
    }
};

}  // namespace

template <class T>
Layer<T> pack(Cell cell, Format format, Sizes sizes, const Parameters<T>& from,
              const Kernels& kernels) {
    Layer<T> layer{};
    layer.cell = cell;
    layer.format = format;
    layer.order = sizes.order;
    layer.inputs = sizes.inputs;
    layer.units = sizes.units;
    layer.outputs = sizes.outputs;
    layer.gates = cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1;
    // Below, tiles are no faster for one row.
    layer.tiled = kernels.tiles && format == Format::bfloat16 && layer.units >= 64;
    const size_t lanes = kernels.vector_bytes / sizeof(T);
    const size_t vectors = (layer.units + lanes - 1) / lanes;
    // Wide panels use each broadcast input four times, but fill up more units.
    layer.wide = layer.gates == 1 && (vectors % 4 == 0 || vectors > 12) ? 4 : 1;
    layer.panels = (vectors + layer.wide - 1) / layer.wide;
    const size_t group = format == Format::int8       ? kernels.int8_group
                         : format == Format::bfloat16 ? 2
                                                      : 1;
    const Packer<T> packer{layer, lanes, group, layer.tiled};
    packer.weights(from);
    layer.bias_ih = packer.units(from.bias_ih, layer.gates);
    layer.bias_hh = packer.units(from.bias_hh, layer.gates);
    if (from.norm_ih) {
        layer.gain_ih = packer.units(from.norm_ih, layer.gates);
        layer.gain_hh = packer.units(from.norm_hh, layer.gates);
        layer.gain_c = packer.units(from.norm_c, 1);
        layer.bias_c = packer.units(from.norm_c_bias, 1);
    }
    if (from.peephole) layer.peephole = packer.units(from.peephole, 3);
    const size_t row = padded(layer.outputs);
    layer.initial_h = Array<T>(layer.order * row);
    layer.initial_c = Array<T>(padded(layer.units));
    for (size_t j = 0; j < layer.order && from.initial_h; ++j)
        std::copy_n(from.initial_h + j * layer.outputs, layer.outputs, &layer.initial_h[j * row]);
    if (from.initial_c) std::copy_n(from.initial_c, layer.units, layer.initial_c.data());
    if (sizes.outputs != sizes.units) {
        Parameters<T> dense;
        dense.weight_ih = from.weight_hr;
        layer.projection = std::make_unique<Layer<T>>(
            pack<T>(Cell::elman, format, {sizes.units, sizes.outputs, 0}, dense, kernels));
    }
    return layer;
}

template Layer<float> pack(Cell, Format, Sizes, const Parameters<float>&, const Kernels&);
template Layer<double> pack(Cell, Format, Sizes, const Parameters<double>&, const Kernels&);

}  // namespace elman
