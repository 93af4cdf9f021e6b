#include "stream/pack.h"

#include <cmath>
#include <cstring>

namespace elman {
namespace {

// Round to nearest, ties to even: half of what is cut off is added, and the last kept bit.
uint16_t to_bfloat16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if (std::isnan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40);
    return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// Copies vectors of one entry a unit to [panel][part][lane].
template <class T>
struct Packer {
    Layer<T>& layer;
    size_t lanes;

    Array<T> units(const T* from, size_t parts) const {
        Array<T> to(layer.panels * parts * lanes);
        for (size_t part = 0; part < parts && from; ++part)
            for (size_t unit = 0; unit < layer.units; ++unit)
                to[(unit / lanes * parts + part) * lanes + unit % lanes] =
                    from[part * layer.units + unit];
        return to;
    }

    // Spreads one row of a segment over its groups; `first` is where element 0 belongs.
    template <class Stored, class Convert>
    void row(const T* from, size_t n, size_t group, Stored* first, Convert convert) const {
        for (size_t j = 0; j < n; ++j)
            first[j / group * layer.gates * lanes * group + j % group] = convert(from[j]);
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
                return row(from, n, 2, reinterpret_cast<int8_t*>(to) + offset, [step](T w) {
                    return static_cast<int8_t>(step > 0 ? std::nearbyint(w / step) : T(0));
                });
            case Format::bfloat16:
                return row(from, n, 2, reinterpret_cast<uint16_t*>(to) + offset,
                           [](T w) { return to_bfloat16(static_cast<float>(w)); });
            case Format::float32:
            case Format::float64:
                return row(from, n, 1, reinterpret_cast<T*>(to) + offset, [](T w) { return w; });
        }
    }

    void weights(const Parameters<T>& from) const {
        const bool coded = layer.format == Format::int8;
        const size_t group = coded || layer.format == Format::bfloat16 ? 2 : 1;
        const size_t bytes = coded ? 1 : layer.format == Format::bfloat16 ? 2 : sizeof(T);
        const size_t vector = layer.gates * lanes * group;
        const size_t x_groups = (layer.inputs + group - 1) / group;
        const size_t h_groups = (layer.units + group - 1) / group;
        const size_t panel_size = (x_groups + layer.order * h_groups) * vector;
        layer.weights = Array<std::byte>(layer.panels * panel_size * bytes);
        layer.scale_ih = Array<T>(layer.panels * layer.gates * lanes);
        layer.scale_hh = Array<T>(layer.panels * layer.gates * lanes);
        const size_t past = layer.order * layer.units;
        for (size_t r = 0; r < layer.gates * layer.units; ++r) {
            const size_t gate = r / layer.units, unit = r % layer.units;
            const size_t panel = unit / lanes, lane = unit % lanes;
            const size_t scale_at = (panel * layer.gates + gate) * lanes + lane;
            size_t at = panel * panel_size + (gate * lanes + lane) * group;
            const T* w_ih = from.weight_ih + r * layer.inputs;
            const T* w_hh = from.weight_hh + r * past;
            const T step_ih = step_of(w_ih, layer.inputs), step_hh = step_of(w_hh, past);
            layer.scale_ih[scale_at] = step_ih;
            layer.scale_hh[scale_at] = step_hh;
            for (size_t segment = 0; segment <= layer.order; ++segment) {
                const T* w = segment ? w_hh + (segment - 1) * layer.units : w_ih;
                const size_t n = segment ? layer.units : layer.inputs;
                store(w, n, at, segment ? step_hh : step_ih);
                at += (segment ? h_groups : x_groups) * vector;
            }
        }
    }
};

}  // namespace

template <class T>
Layer<T> pack(Cell cell, Format format, Sizes sizes, const Parameters<T>& from,
              size_t vector_bytes) {
    Layer<T> layer{};
    layer.cell = cell;
    layer.format = format;
    layer.order = sizes.order;
    layer.inputs = sizes.inputs;
    layer.units = sizes.units;
    layer.gates = cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1;
    const size_t lanes = vector_bytes / sizeof(T);
    layer.panels = (layer.units + lanes - 1) / lanes;
    const Packer<T> packer{layer, lanes};
    packer.weights(from);
    layer.bias_ih = packer.units(from.bias_ih, layer.gates);
    layer.bias_hh = packer.units(from.bias_hh, layer.gates);
    if (from.norm_ih) {
        layer.gain_ih = packer.units(from.norm_ih, layer.gates);
        layer.gain_hh = packer.units(from.norm_hh, layer.gates);
        layer.gain_c = packer.units(from.norm_c, 1);
        layer.bias_c = packer.units(from.norm_c_bias, 1);
    }
    layer.real = Array<T>(layer.panels * lanes);
    for (size_t unit = 0; unit < layer.units; ++unit) layer.real[unit] = 1;
    if (from.peephole) layer.peephole = packer.units(from.peephole, 3);
    const size_t row = padded(layer.units);
    layer.initial_h = Array<T>(layer.order * row);
    layer.initial_c = Array<T>(row);
    for (size_t unit = 0; unit < layer.units; ++unit) {
        for (size_t j = 0; j < layer.order && from.initial_h; ++j)
            layer.initial_h[j * row + unit] = from.initial_h[j * layer.units + unit];
        if (from.initial_c) layer.initial_c[unit] = from.initial_c[unit];
    }
    return layer;
}

template Layer<float> pack(Cell, Format, Sizes, const Parameters<float>&, size_t);
template Layer<double> pack(Cell, Format, Sizes, const Parameters<double>&, size_t);

}  // namespace elman
