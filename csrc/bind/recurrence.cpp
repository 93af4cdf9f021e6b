// A layer through time, from Python: arrays by name, every one of them checked for its size.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "bind/bind.h"
#include "memory/pool.h"
#include "recurrence/timetable.h"
#include "simd/isa.h"
#include "threads/team.h"

namespace nb = nanobind;

namespace elman::bind {
namespace {

constexpr int64_t largest = int64_t(1) << 40;  // of one array: products stay far from 2^63

// A sequence, and what its pointers about time point to.
template <class T>
struct Checked {
    Sequence<T> sequence{};
    Timetable times;
    size_t threads = 1;
};

template <class T>
T option(const nb::dict& options, const char* name) {
    if (!options.contains(name)) throw std::invalid_argument(std::string(name) + " must be given");
    T value;
    if (nb::try_cast<T>(options[name], value, false)) return value;
    const char* kind = std::is_same_v<T, bool> ? "a truth value" : "a whole number in range";
    if (std::is_same_v<T, std::string>) kind = "a string";
    throw nb::type_error((std::string(name) + " must be " + kind).c_str());
}

size_t bounded(const nb::dict& options, const char* name, int64_t least, int64_t most) {
    const auto value = option<int64_t>(options, name);
    if (value < least || value > most)
        throw std::invalid_argument(std::string(name) + " must be from " + std::to_string(least) +
                                    " to " + std::to_string(most) + ", found " +
                                    std::to_string(value));
    return static_cast<size_t>(value);
}

template <class T>
void check(const nb::dict& options, const nb::dict& in, const nb::dict& out, bool again,
           Checked<T>& to) {
    Sequence<T>& s = to.sequence;
    s.cell = cell_of(option<std::string>(options, "cell"));
    s.relu = option<bool>(options, "relu");
    s.reverse = option<bool>(options, "reverse");
    s.order = bounded(options, "order", 1, s.cell == Cell::elman ? int64_t(max_order) : 1);
    s.units = bounded(options, "units", 1, 1 << 20);
    s.inputs = bounded(options, "inputs", 0, 1 << 20);
    to.threads = bounded(options, "threads", 1, 1024);
    s.steps = bounded(options, "steps", 1, largest);
    s.batch = bounded(options, "batch", 1, largest);
    const size_t gates = gates_of(s.cell), H = s.units, past = s.order * H;
    if (s.steps > size_t(largest) / s.batch / (gates * past))
        throw std::invalid_argument("there are too many timesteps");
    // Before the times are listed, since this bounds their number by memory that there is.
    s.h = need<T>(out, "h", s.steps * s.batch * H);
    to.times = Timetable(s.steps, s.batch, find<const int64_t>(in, "lengths", s.batch));
    s.running = to.times.active.size();
    s.active = to.times.active.data();
    s.start = to.times.start.data();
    s.slot = to.times.slot.data();
    const size_t N = to.times.rows, outside = s.steps * s.batch;

    const bool lstm = s.cell == Cell::lstm;
    if (s.inputs) {
        s.x = need<const T>(in, "x", outside * s.inputs);
        s.weight_ih = need<const T>(in, "weight_ih", gates * H * s.inputs);
    }
    s.weight_hh = need<const T>(in, "weight_hh", gates * H * past);
    s.bias_ih = find<const T>(in, "bias_ih", gates * H);
    s.bias_hh = find<const T>(in, "bias_hh", gates * H);
    s.gain_hh = find<const T>(in, "norm_hh", gates * H);
    if (s.gain_hh) s.gain_ih = need<const T>(in, "norm_ih", gates * H);
    if (lstm) s.peephole = find<const T>(in, "peephole", 3 * H);
    if (lstm && s.gain_hh) s.gain_c = need<const T>(in, "norm_c", H);
    if (lstm && s.gain_hh) s.bias_c = find<const T>(in, "norm_c_bias", H);
    s.first_h = need<const T>(in, "first_h", s.batch * past);
    if (lstm) s.first_c = need<const T>(in, "first_c", s.batch * H);
    s.resets = find<const uint8_t>(in, "resets", outside);
    if (s.resets) s.initial_h = need<const T>(in, "initial_h", s.batch * past);
    if (s.resets && lstm) s.initial_c = need<const T>(in, "initial_c", s.batch * H);
    s.mask = find<const T>(in, "mask", s.batch * past);
    s.bfloat16 = option<bool>(options, "bfloat16");
    s.saving = option<bool>(options, "saving");
    s.keep_stride = option<bool>(options, "keep_is_constant") ? 0 : H;
    const size_t kept = s.keep_stride ? outside * H : H;
    s.keep_h = find<const T>(in, "keep_h", kept);
    if (lstm) s.keep_c = find<const T>(in, "keep_c", kept);
    // Without zoneout the one gate of an Elman cell is h; those of a normalised layer are found
    // again from its products.
    const bool backward = s.saving || again;
    const bool kept_apart = backward && !s.gain_hh && (gates > 1 || s.keep_h);
    s.gates = find<T>(out, "gates", N * gates * H);
    if (!s.gates && (kept_apart || !s.x)) throw std::invalid_argument("gates must be given");
    if (lstm) s.c = need<T>(out, "c", outside * H);
    s.entering = find<T>(out, "entering", N * past);
    if (!s.entering && (s.mask || s.order > 1))
        throw std::invalid_argument("entering must be given with a mask or several past states");
    if (s.cell == Cell::gru && backward && !s.gain_hh) s.inner = need<T>(out, "inner", N * H);
    if (s.gain_hh && backward) {
        s.normal_a = need<T>(out, "normal_a", N * gates * H);
        s.scale_a = need<T>(out, "scale_a", N);
        s.normal_u = need<T>(out, "normal_u", N * gates * H);
        s.scale_u = need<T>(out, "scale_u", N);
    }
    if (s.gain_c && backward) {
        s.normal_c = need<T>(out, "normal_c", N * H);
        s.scale_c = need<T>(out, "scale_c", N);
    }
}

template <class T>
void forward(const nb::dict& options, const nb::dict& inputs, const nb::dict& outputs) {
    const nb::dict in = held(inputs), out = held(outputs);
    Checked<T> checked;
    check(options, in, out, false, checked);
    Sequence<T>& s = checked.sequence;
    s.last_h = need<T>(out, "last_h", s.batch * s.order * s.units);
    if (s.cell == Cell::lstm) s.last_c = need<T>(out, "last_c", s.batch * s.units);
    const nb::gil_scoped_release released;
    const Scratch<T> products = scratch<T>(s.products_size());
    s.products = products.get();
    run_team(checked.threads, [&](const Team& team) { routines<T>().forward(s, team); });
}

template <class T>
void backward(const nb::dict& options, const nb::dict& inputs, const nb::dict& outputs,
              const nb::dict& incoming, const nb::dict& gradients) {
    const nb::dict in = held(inputs), out = held(outputs), from = held(incoming),
                   to = held(gradients);
    Checked<T> checked;
    check(options, in, out, true, checked);
    const Sequence<T>& s = checked.sequence;
    Gradients<T> d{};
    const bool lstm = s.cell == Cell::lstm;
    const size_t G = gates_of(s.cell), H = s.units, N = checked.times.rows;
    const size_t past = s.order * H, outside = s.steps * s.batch;
    d.h = find<const T>(from, "h", outside * H);
    d.last_h = find<const T>(from, "last_h", s.batch * past);
    if (lstm) d.c = find<const T>(from, "c", outside * H);
    if (lstm) d.last_c = find<const T>(from, "last_c", s.batch * H);
    if (s.x) d.x = find<T>(to, "x", outside * s.inputs);
    const bool apart = s.gain_hh || s.cell == Cell::gru;
    d.a = find<T>(to, "a", N * G * H);
    if (d.a) d.u = apart ? need<T>(to, "u", N * G * H) : d.a;
    d.weight_ih = find<T>(to, "weight_ih", G * H * s.inputs);
    d.weight_hh = find<T>(to, "weight_hh", G * H * past);
    d.first_h = need<T>(to, "first_h", s.batch * past);
    if (lstm) d.first_c = need<T>(to, "first_c", s.batch * H);
    if (s.resets) d.initial_h = need<T>(to, "initial_h", s.batch * past);
    if (s.resets && lstm) d.initial_c = need<T>(to, "initial_c", s.batch * H);
    d.bias_a = find<T>(to, "bias_ih", G * H);
    d.bias_u = find<T>(to, "bias_hh", G * H);
    d.gain_a = find<T>(to, "norm_ih", G * H);
    d.gain_u = find<T>(to, "norm_hh", G * H);
    d.peephole = find<T>(to, "peephole", 3 * H);
    d.gain_c = find<T>(to, "norm_c", H);
    d.bias_c = find<T>(to, "norm_c_bias", H);
    const nb::gil_scoped_release released;
    Scratch<T> piece;
    const size_t rows = d.a ? N : std::min(N, std::max(Gradients<T>::piece, s.batch));
    const std::vector<size_t> starts = checked.times.pieces(rows);
    d.start = starts.data();
    if (!d.a) {
        piece = scratch<T>(rows * G * H * (apart ? 2 : 1));
        d.a = piece.get();
        d.u = apart ? d.a + rows * G * H : d.a;
    }
    run_team(checked.threads, [&](const Team& team) { routines<T>().backward(s, d, team); });
}

template <class T>
void draw(const nb::ndarray<T, nb::c_contig, nb::device::cpu>& out, double rate, uint64_t seed,
          size_t threads) {
    if (!(rate > 0 && rate <= 1))
        throw std::invalid_argument("rate must be above 0 and at most 1, found " +
                                    std::to_string(rate));
    T* const to = aligned(out.data(), "out");
    const nb::gil_scoped_release released;
    run_team(std::clamp<size_t>(threads, 1, 1024),
             [&](const Team& team) { routines<T>().draw(to, out.size(), rate, seed, team); });
}

template <class T>
using Flat = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Where the rows of a ragged batch stand in a (T, B) array laid flat: row -> t * B + b.
void valid_rows(size_t steps, const Flat<const int64_t>& lengths, const Flat<int64_t>& out) {
    const int64_t* const from = aligned(lengths.data(), "lengths");
    int64_t* to = aligned(out.data(), "out");
    const size_t most = out.size();
    size_t rows = 0;
    for (size_t b = 0; b < lengths.size(); ++b)
        rows += static_cast<size_t>(std::clamp<int64_t>(from[b], 0, int64_t(most) + 1));
    const char* const rule = "out must hold as many rows as are valid";
    if (rows > most) throw std::invalid_argument(rule);  // and no longer table is made
    const Timetable times(steps, lengths.size(), from);
    if (most != times.rows) throw std::invalid_argument(rule);
    for (size_t t = 0; t < times.active.size(); ++t)
        for (size_t i = 0; i < times.active[t]; ++i)
            *to++ = static_cast<int64_t>(t * lengths.size() + times.slot[i]);
}

}  // namespace

void bind_recurrence(nb::module_& module) {
    module.def("valid_rows", &valid_rows, nb::arg("steps"), nb::arg("lengths").noconvert(),
               nb::arg("out").noconvert());
    module.def("draw", &draw<float>, nb::arg("out").noconvert(), nb::arg("rate"), nb::arg("seed"),
               nb::arg("threads"));
    module.def("draw", &draw<double>, nb::arg("out").noconvert(), nb::arg("rate"), nb::arg("seed"),
               nb::arg("threads"));
    module.def("forward32", &forward<float>);
    module.def("forward64", &forward<double>);
    module.def("backward32", &backward<float>);
    module.def("backward64", &backward<double>);
}

}  // namespace elman::bind
