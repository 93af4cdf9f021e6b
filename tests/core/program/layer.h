// One layer through time on the core, in memory that is exactly as large as it must be.
#pragma once

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "check.h"
#include "naive.h"
#include "recurrence/timetable.h"
#include "simd/isa.h"
#include "threads/team.h"

template <class T>
class OnCore {
    using Array = std::vector<T>;

  public:
    // `in` as for Naive; `keep_entering` as a backward pass that needs them would.
    OnCore(const Case& c, const Named& in, size_t threads, bool keep_entering)
        : c(c),
          times(c.steps, c.batch, c.lengths.empty() ? nullptr : c.lengths.data()),
          threads(threads) {
        for (const auto& [name, values] : in)
            for (const Dual& each : values) a[name].push_back(T(each.value));
        const size_t G = c.gates(), H = c.units, N = times.rows, all = c.steps * c.batch;
        s.cell = c.cell;
        s.relu = c.relu;
        s.reverse = c.reverse;
        s.steps = c.steps;
        s.batch = c.batch;
        s.units = H;
        s.order = c.order;
        s.running = times.active.size();
        s.active = times.active.data();
        s.start = times.start.data();
        s.slot = times.slot.data();
        s.resets = c.resets.empty() ? nullptr : c.resets.data();
        s.keep_stride = a["keep_h"].size() + a["keep_c"].size() > 2 * H ? H : 0;
        for (const auto& [name, to] : inputs())
            if (in.count(name)) *to = a[name].data();
        s.h = made("h", all * H);
        s.last_h = made("last_h", c.order * c.batch * H);
        s.inputs = c.inputs;
        if (c.inputs) s.x = a["x"].data();
        // Of an Elman cell with x, and without zoneout, h is all that a backward pass needs.
        if (!c.inputs || (!s.gain_hh && (G > 1 || s.keep_h))) s.gates = made("gates", N * G * H);
        if (keep_entering || c.order > 1 || s.mask) s.entering = made("entering", N * c.order * H);
        if (G == 3 && !s.gain_hh) s.inner = made("inner", N * H);
        if (s.gain_hh) s.normal_a = made("normal_a", N * G * H);
        if (s.gain_hh) s.scale_a = made("scale_a", N);
        if (s.gain_hh) s.normal_u = made("normal_u", N * G * H);
        if (s.gain_hh) s.scale_u = made("scale_u", N);
        if (G == 4) s.c = made("c", all * H);
        if (G == 4) s.last_c = made("last_c", c.batch * H);
        if (s.gain_c) s.normal_c = made("normal_c", N * H);
        if (s.gain_c) s.scale_c = made("scale_c", N);
        s.products = made("products", s.products_size());
        each_row([&](size_t row, size_t place) {
            for (size_t r = 0; !c.inputs && r < G * H; ++r)
                s.gates[row * G * H + r] = a["x"][place * G * H + r];
        });
    }

    // As without gradients: nothing is kept that is not asked for.
    void forward_alone() {
        s.saving = false;
        s.inner = s.normal_a = s.scale_a = s.normal_u = s.scale_u = s.normal_c = s.scale_c =
            nullptr;
        if (s.x) s.gates = nullptr;
        forward();
    }

    void forward() {
        elman::run_team(threads,
                        [&](const elman::Team& team) { elman::routines<T>().forward(s, team); });
    }

    // From the gradients h, c, last_h, last_c in `from`, where there are any.
    void backward(std::map<std::string, Array>& from) {
        const size_t G = c.gates(), H = c.units, N = times.rows, states = c.batch * H;
        const auto given = [&](const char* name) {
            return from.count(name) ? from[name].data() : nullptr;
        };
        d.h = given("h");
        d.c = given("c");
        d.last_h = given("last_h");
        d.last_c = given("last_c");
        // Where nobody else needs them the gates' gradients are there for a piece of time only.
        const size_t rows = s.x ? std::min(N, c.batch + 3) : N;
        starts = times.pieces(rows);
        d.start = starts.data();
        d.a = made("d_a", rows * G * H);
        d.u = s.gain_hh || G == 3 ? made("d_u", rows * G * H) : d.a;
        if (s.x) d.x = made("d_x", c.steps * c.batch * c.inputs);
        if (s.x) d.weight_ih = made("d_weight_ih", G * H * c.inputs);
        d.weight_hh = made("d_weight_hh", G * H * c.order * H);
        d.first_h = made("d_first_h", c.order * states);
        if (s.first_c) d.first_c = made("d_first_c", states);
        if (s.resets) d.initial_h = made("d_initial_h", c.order * states);
        if (s.resets && s.first_c) d.initial_c = made("d_initial_c", states);
        if (s.bias_ih) d.bias_a = made("d_bias_ih", G * H);
        if (s.bias_hh) d.bias_u = made("d_bias_hh", G * H);
        if (s.gain_hh) d.gain_a = made("d_norm_ih", G * H);
        if (s.gain_hh) d.gain_u = made("d_norm_hh", G * H);
        if (s.peephole) d.peephole = made("d_peephole", 3 * H);
        if (s.gain_c) d.gain_c = made("d_norm_c", H);
        if (s.bias_c) d.bias_c = made("d_norm_c_bias", H);
        elman::run_team(
            threads, [&](const elman::Team& team) { elman::routines<T>().backward(s, d, team); });
    }

    // each(row of the core, t * B + b)
    template <class Each>
    void each_row(Each each) const {
        for (size_t t = 0; t < s.running; ++t)
            for (size_t i = 0; i < s.active[t]; ++i) each(s.row(t, i), s.place(t, i));
    }

    std::map<std::string, Array> a;
    elman::Sequence<T> s{};
    elman::Gradients<T> d{};

  private:
    std::map<std::string, const T**> inputs() {
        return {
            {"weight_ih", &s.weight_ih}, {"weight_hh", &s.weight_hh}, {"bias_ih", &s.bias_ih},
            {"bias_hh", &s.bias_hh},     {"peephole", &s.peephole},   {"norm_ih", &s.gain_ih},
            {"norm_hh", &s.gain_hh},     {"norm_c", &s.gain_c},       {"norm_c_bias", &s.bias_c},
            {"first_h", &s.first_h},     {"first_c", &s.first_c},     {"initial_h", &s.initial_h},
            {"initial_c", &s.initial_c}, {"mask", &s.mask},           {"keep_h", &s.keep_h},
            {"keep_c", &s.keep_c}};
    }

    T* made(const char* name, size_t size) {
        a[name] = Array(size, std::numeric_limits<T>::quiet_NaN());
        return a[name].data();
    }

    const Case& c;
    elman::Timetable times;
    std::vector<size_t> starts;
    size_t threads;
};
