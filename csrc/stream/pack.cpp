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
    size_t vectors = layer.gates * layer.wide;  // in a panel

    size_t groups_in(size_t n) const {
        return ((layer.tiled ? code_row(n) : n) + group - 1) / group;
    }

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

    // Where the j-th input of a unit stands, `lane` counting through all vectors of its panel: as
    // [group][vector][lane][member], or in tiles, which hold several groups of one vector.
    size_t place_of(size_t j, size_t lane) const {
        const size_t groups = layer.tiled ? tile_depth / group : 1, vector = lane / lanes;
        const size_t at = (j / group / groups * vectors + vector) * groups + j / group % groups;
        return (at * lanes + lane % lanes) * group + j % group;
    }

    // Spreads one row of a segment over its groups.
    template <class Stored, class Convert>
    void row(const T* from, size_t n, Stored* to, size_t lane, Convert convert) const {
        for (size_t j = 0; j < n; ++j) to[place_of(j, lane)] = convert(from[j]);
    }

    // One scale for a whole row of W_ih or W_hh, of which W_hh may have several segments.
    T step_of(const T* from, size_t n) const {
        T largest = 0;
        for (size_t j = 0; j < n; ++j) largest = std::fmax(largest, std::fabs(from[j]));
        return largest / 127;
    }

    // Writes one row of a segment in the layer's format; `step` is what int8 counts in. Where four
    // are multiplied at once they have no sign, see Int8.
    void store(const T* from, size_t n, size_t offset, size_t lane, T step) const {
        std::byte* const to = layer.weights.data();
        switch (layer.format) {
            case Format::int8:
                return row(from, n, reinterpret_cast<int8_t*>(to) + offset, lane,
                           [step, this](T w) {
                               const T whole = step > 0 ? std::nearbyint(w / step) : T(0);
                               return static_cast<int8_t>(static_cast<int>(whole) +
                                                          (group == 4 ? 128 : 0));
                           });
            case Format::bfloat16:
                return row(from, n, reinterpret_cast<uint16_t*>(to) + offset, lane,
                           [below = uint16_t(0), second = false, this](T w) mutable {
                               below = upper_half(static_cast<float>(w), second ? below : 0);
                               second = !second && !layer.tiled;
                               return below;
                           });
            case Format::plain:
                return row(from, n, reinterpret_cast<T*>(to) + offset, lane, [](T w) { return w; });
        }
    }

    void weights(const T* ih, const T* hh) const {
        constexpr size_t bytes[] = {sizeof(T), 2, 1};
        const size_t width = vectors * lanes, past = layer.order * layer.outputs;
        const size_t x_size = groups_in(layer.inputs) * width * group;
        const size_t h_size = groups_in(layer.outputs) * width * group;
        const size_t panel_size = x_size + layer.order * h_size;
        layer.weights = Array<std::byte>(layer.panels * panel_size * bytes[size_t(layer.format)]);
        for (Part<T>& part : layer.parts) part.scale = Array<T>(layer.panels * width);
        for (size_t r = 0; r < layer.gates * layer.units; ++r) {
            const size_t at = place(r % layer.units, r / layer.units, layer.gates);
            const T *const x = ih + r * layer.inputs, *const h = hh + r * past;
            const T step_x = layer.parts[0].scale[at] = step_of(x, layer.inputs);
            const T step_h = layer.parts[1].scale[at] = step_of(h, past);
            const size_t first = at / width * panel_size, lane = at % width;
            store(x, layer.inputs, first, lane, step_x);
            for (size_t j = 0; j < layer.order; ++j)
                store(h + j * layer.outputs, layer.outputs, first + x_size + j * h_size, lane,
                      step_h);
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
    const Packer<T> packer{layer, lanes, group};
    packer.weights(from.weight_ih, from.weight_hh);
    layer.parts[0].bias = packer.units(from.bias_ih, layer.gates);
    layer.parts[1].bias = packer.units(from.bias_hh, layer.gates);
    if (from.norm_ih) {
        layer.parts[0].gain = packer.units(from.norm_ih, layer.gates);
        layer.parts[1].gain = packer.units(from.norm_hh, layer.gates);
        layer.gain_c = packer.units(from.norm_c, 1);
        layer.bias_c = packer.units(from.norm_c_bias, 1);
    }
    if (from.peephole) layer.peephole = packer.units(from.peephole, 3);
    const size_t past = layer.order * layer.outputs;
    layer.initial = Array<T>(past + (layer.lstm() ? layer.units : 0));
    if (from.initial_h) std::copy_n(from.initial_h, past, layer.initial.data());
    if (from.initial_c) std::copy_n(from.initial_c, layer.units, layer.initial.data() + past);
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
