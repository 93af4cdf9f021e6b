// One layer through time as a plain double loop, written from the equations and from nothing of the
// core: one sequence after another, one unit after another.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "dual.h"
#include "recurrence/sequence.h"

using Numbers = std::vector<Dual>;
using Named = std::map<std::string, Numbers>;

struct Case {
    std::string name;
    elman::Cell cell;
    size_t steps, batch, units, order = 1;
    bool relu = false, reverse = false;
    std::vector<int64_t> lengths;      // empty: all steps
    std::vector<uint8_t> resets = {};  // empty: none
    size_t inputs = 0;                 // 0: the input part is given

    size_t gates() const {
        return cell == elman::Cell::lstm ? 4 : cell == elman::Cell::gru ? 3 : 1;
    }
    size_t length(size_t b) const { return lengths.empty() ? steps : size_t(lengths[b]); }
};

class Naive {
  public:
    // `in`: what Sequence names; without c.inputs x is (T, B, G*H), the input part of the gates.
    Naive(const Case& c, const Named& in) : c(c), in(in), H(c.units) {
        h = last_h = Numbers(c.steps * c.batch * H);
        cell = h;
        last_h.assign(c.order * c.batch * H, 0);
        last_c.assign(c.batch * H, 0);
        entering.resize(c.steps * c.batch);
        for (size_t b = 0; b < c.batch; ++b) sequence(b);
    }

    Numbers h, cell, last_h, last_c;  // as the core's, over all T and B
    std::vector<Numbers> entering;    // [t * B + b]: what W_hh multiplies

  private:
    const Numbers* find(const char* name) const {
        const auto it = in.find(name);
        return it == in.end() ? nullptr : &it->second;
    }
    Dual get(const char* name, size_t i, double otherwise = 0) const {
        const Numbers* found = find(name);
        return found ? (*found)[i] : Dual(otherwise);
    }
    Dual kept(const char* name, size_t at, size_t u) const {
        const Numbers* found = find(name);
        return !found ? Dual(0) : (*found)[found->size() == H ? u : at];
    }

    void start(size_t b, const char* from_h, const char* from_c) {
        past.assign(c.order, Numbers(H));
        for (size_t j = 0; j < c.order; ++j)
            for (size_t u = 0; u < H; ++u) past[j][u] = (*find(from_h))[(j * c.batch + b) * H + u];
        past_c.assign(H, 0);
        for (size_t u = 0; u < H && find(from_c); ++u) past_c[u] = (*find(from_c))[b * H + u];
    }

    void sequence(size_t b) {
        start(b, "first_h", "first_c");
        for (size_t i = 0; i < c.length(b); ++i) step(c.reverse ? c.length(b) - 1 - i : i, b);
        for (size_t u = 0; u < H; ++u) {
            for (size_t j = 0; j < c.order; ++j) last_h[(j * c.batch + b) * H + u] = past[j][u];
            last_c[b * H + u] = past_c[u];
        }
    }

    static void normalise(Numbers& v) {
        const Dual count(double(v.size()));
        Dual mean, variance;
        for (const Dual& each : v) mean = mean + each / count;
        for (const Dual& each : v) variance = variance + (each - mean) * (each - mean) / count;
        for (Dual& each : v) each = (each - mean) / sqrt(variance + Dual(1e-5));
    }

    Dual input_part(size_t place, size_t r) const {
        if (!c.inputs) return get("x", place * c.gates() * H + r);
        Dual total;
        for (size_t k = 0; k < c.inputs; ++k)
            total = total + get("weight_ih", r * c.inputs + k) * get("x", place * c.inputs + k);
        return total;
    }

    void step(size_t t, size_t b) {
        const size_t G = c.gates(), place = t * c.batch + b, width = c.order * H;
        if (!c.resets.empty() && c.resets[place]) start(b, "initial_h", "initial_c");
        Numbers& e = entering[place];
        for (size_t k = 0; k < width; ++k)
            e.push_back(past[k / H][k % H] * get("mask", b * width + k, 1));
        Numbers x(G * H), u(G * H), new_h(H), new_c(H);
        for (size_t r = 0; r < G * H; ++r) {
            x[r] = input_part(place, r);
            for (size_t k = 0; k < width; ++k) u[r] = u[r] + get("weight_hh", r * width + k) * e[k];
        }
        if (find("norm_hh")) {
            normalise(x);
            normalise(u);
        }
        for (size_t r = 0; r < G * H; ++r) {
            x[r] = x[r] * get("norm_ih", r, 1) + get("bias_ih", r);
            u[r] = u[r] * get("norm_hh", r, 1) + get("bias_hh", r);
        }
        const auto a = [&](size_t gate, size_t unit) { return x[gate * H + unit]; };
        for (size_t n = 0; n < H; ++n) {
            if (c.cell == elman::Cell::elman) {
                const Dual sum = a(0, n) + u[n];
                new_h[n] = c.relu ? relu(sum) : tanh(sum);
            } else if (c.cell == elman::Cell::gru) {
                const Dual r = sigmoid(a(0, n) + u[n]), z = sigmoid(a(1, n) + u[H + n]);
                const Dual made = tanh(a(2, n) + r * u[2 * H + n]);
                new_h[n] = (Dual(1) - z) * made + z * past[0][n];
            } else {
                const Dual i = sigmoid(a(0, n) + u[n] + get("peephole", n) * past_c[n]);
                const Dual f = sigmoid(a(1, n) + u[H + n] + get("peephole", H + n) * past_c[n]);
                new_c[n] = f * past_c[n] + i * tanh(a(2, n) + u[2 * H + n]);
            }
        }
        if (c.cell == elman::Cell::lstm) output(a, u, new_c, new_h);
        leave(place, new_h, new_c);
    }

    template <class A>
    void output(const A& a, const Numbers& u, const Numbers& new_c, Numbers& new_h) const {
        Numbers seen = new_c;
        if (find("norm_c")) normalise(seen);
        for (size_t n = 0; n < H; ++n) {
            const Dual o = sigmoid(a(3, n) + u[3 * H + n] + get("peephole", 2 * H + n) * new_c[n]);
            new_h[n] = o * tanh(seen[n] * get("norm_c", n, 1) + get("norm_c_bias", n));
        }
    }

    void leave(size_t place, const Numbers& new_h, const Numbers& new_c) {
        Numbers older = past[0];
        for (size_t j = c.order; j-- > 1;) past[j] = past[j - 1];
        for (size_t n = 0; n < H; ++n) {
            const Dual k = kept("keep_h", place * H + n, n), kc = kept("keep_c", place * H + n, n);
            past[0][n] = k * older[n] + (Dual(1) - k) * new_h[n];
            past_c[n] = kc * past_c[n] + (Dual(1) - kc) * new_c[n];
            h[place * H + n] = past[0][n];
            cell[place * H + n] = past_c[n];
        }
    }

    const Case& c;
    const Named& in;
    const size_t H;
    std::vector<Numbers> past;
    Numbers past_c;
};
