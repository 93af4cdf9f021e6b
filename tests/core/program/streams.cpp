// Single timesteps of a layer, in every format of weights: against the naive loop, and those that a
// team shares against those of one thread.
#include <cstring>
#include <memory>
#include <utility>

#include "check.h"
#include "naive.h"
#include "stream/pack.h"
#include "stream/stream.h"

using namespace elman;

namespace {

struct Kind {
    Cell cell;
    Format format;
    size_t order;
    bool norm, peephole;
};

// Weights that the format can hold exactly, so that only the arithmetic is compared.
std::vector<double> weights(std::mt19937_64& generator, size_t rows, size_t n, Format format) {
    std::vector<double> w(rows * n);
    if (format != Format::int8) w = random<double>(generator, rows * n, 1 / std::sqrt(double(n)));
    for (size_t i = 0; i < w.size(); ++i) {
        if (format == Format::bfloat16) w[i] = std::nearbyint(w[i] * 64) / 64 + 0.0;  // not -0
        if (format == Format::int8)
            w[i] = i % n ? double(int(generator() % 255) - 127) / 256 : 127. / 256;
    }
    return w;
}

template <class T>
struct Layered {
    Layered(const Kind& kind, size_t inputs, size_t units, size_t batch)
        : D(inputs), generator(inputs + units), kind(kind) {
        c = {"stream-" + std::to_string(int(kind.cell)) + "-format" +
                 std::to_string(int(kind.format)) + "-D" + std::to_string(inputs) + "-H" +
                 std::to_string(units) + "-B" + std::to_string(batch),
             kind.cell,
             5,
             batch,
             units,
             kind.order,
             false,
             false,
             {}};
        const size_t width = c.gates() * units, past = kind.order * units;
        add("weight_ih", weights(generator, width, inputs, kind.format));
        add("weight_hh", weights(generator, width, past, kind.format));
        // On tiles each weight is kept by itself.
        const bool pairs = kind.format == Format::bfloat16 && !(kernels().tiles && units >= 64);
        if (pairs) pair_up("weight_ih", inputs);
        if (pairs) pair_up("weight_hh", units);
        for (const char* name : {"bias_ih", "bias_hh"})
            add(name, random<double>(generator, width, 0.3));
        if (kind.norm)
            for (const char* name : {"norm_ih", "norm_hh"})
                add(name, random<double>(generator, width, 0.3, 1));
        if (kind.norm && c.gates() == 4) add("norm_c", random<double>(generator, units, 0.3, 1));
        if (kind.norm && c.gates() == 4) add("norm_c_bias", random<double>(generator, units, 0.3));
        if (kind.peephole) add("peephole", random<double>(generator, 3 * units, 0.3));
        add("keep_h", std::vector<double>(units, T(0.25)));
        add("keep_c", std::vector<double>(units, T(0.125)));
        x = random<T>(generator, c.steps * batch * inputs, 1);
    }

    void check(double bound) {
        Stream<T> stream = packed(1);
        for (size_t index = 0; index < stream.states(0); ++index) {
            const auto state = random<T>(generator, c.batch * c.units, 0.5);
            stream.write(0, index, state.data());
            Numbers& to = in[index < c.order ? "first_h" : "first_c"];
            to.insert(to.end(), state.begin(), state.end());
        }
        add_input_part();
        const Naive naive(c, in);
        const size_t row = c.batch * c.units;
        for (size_t t = 0; t < c.steps; ++t) {
            const std::vector<T> y = timestep(stream, t);
            for (size_t i = 0; i < row; ++i)
                expect_near(double(y[i]), naive.h[t * row + i].value, bound, c.name);
        }
    }

    // To the bit: of streams that keep their state, and of rows whose state the caller keeps; as
    // many of them as there are at first, or fewer.
    void check_team(size_t threads, size_t batch) {
        c.batch = batch;
        Stream<T> alone = packed(1), team = packed(threads);
        const size_t size = c.batch * alone.state_size();
        auto one = random<T>(generator, size, 0.5), all = one;
        for (size_t t = 0; t < c.steps; ++t)
            expect(timestep(alone, t) == timestep(team, t), c.name, "a team's stream differs");
        for (size_t t = 0; t < c.steps; ++t)
            expect(advance(alone, t, one) == advance(team, t, all) && one == all, c.name,
                   "a team's rows differ");
    }

  private:
    Stream<T> packed(size_t threads) {
        const auto stack = std::make_shared<Stack<T>>(kernels(), threads);
        auto layer = pack<T>(c.cell, kind.format, {D, c.units, c.order}, parameters(), kernels());
        layer.keep_h = T(0.25);
        layer.keep_c = c.gates() == 4 ? T(0.125) : T(0);
        stack->layers.push_back(std::move(layer));
        return Stream<T>(stack, c.batch);
    }

    Rows input(size_t t) const {
        const ptrdiff_t element = sizeof(T);
        return {reinterpret_cast<const char*>(x.data() + t * c.batch * D), ptrdiff_t(D) * element,
                element};
    }

    std::vector<T> timestep(Stream<T>& stream, size_t t) const {
        std::vector<T> y(c.batch * c.units);
        stream.timestep(input(t), y.data());
        return y;
    }

    std::vector<T> advance(Stream<T>& stream, size_t t, std::vector<T>& state) const {
        std::vector<T> y(c.batch * c.units), after(state.size());
        stream.advance(c.batch, input(t), state.data(), after.data(), y.data());
        state = after;
        return y;
    }

    void add(const char* name, const std::vector<double>& numbers) {
        for (const double each : numbers) arrays[name].push_back(T(each));
        in[name] = Numbers(arrays[name].begin(), arrays[name].end());
    }

    // Of a pair of bfloat16 the second is read with the first below it, and chosen so that this is
    // as near as it can be; rows consist of segments of n.
    void pair_up(const char* name, size_t n) {
        Numbers& w = in[name];
        for (size_t i = 1; i < w.size(); ++i) {
            if (i % n % 2 == 0) continue;
            const uint32_t below = bits(w[i - 1].value) >> 16, own = bits(w[i].value) >> 16;
            double best = 1e9;
            for (const uint32_t upper : {own - 1, own, own + 1}) {
                const uint32_t both = upper << 16 | below;
                float read;
                std::memcpy(&read, &both, sizeof read);
                if (std::fabs(read - w[i].value) < std::fabs(best - w[i].value)) best = read;
            }
            w[i].value = best;
        }
    }

    static uint32_t bits(double value) {
        const float number = float(value);
        uint32_t found;
        std::memcpy(&found, &number, sizeof found);
        return found;
    }

    Parameters<T> parameters() {
        Parameters<T> p;
        const auto find = [&](const char* name) {
            return arrays.count(name) ? arrays[name].data() : nullptr;
        };
        p.weight_ih = find("weight_ih");
        p.weight_hh = find("weight_hh");
        p.bias_ih = find("bias_ih");
        p.bias_hh = find("bias_hh");
        p.norm_ih = find("norm_ih");
        p.norm_hh = find("norm_hh");
        p.norm_c = find("norm_c");
        p.norm_c_bias = find("norm_c_bias");
        p.peephole = find("peephole");
        return p;
    }

    // W_ih x of all timesteps.
    void add_input_part() {
        for (size_t i = 0; i < c.steps * c.batch; ++i)
            for (size_t r = 0; r < c.gates() * c.units; ++r) {
                double part = 0;
                for (size_t k = 0; k < D; ++k)
                    part += in["weight_ih"][r * D + k].value * double(x[i * D + k]);
                in["x"].push_back(part);
            }
    }

    size_t D;
    std::mt19937_64 generator;
    const Kind& kind;
    Case c;
    Named in;
    std::map<std::string, std::vector<T>> arrays;
    std::vector<T> x;
};

const Kind kinds[] = {
    {Cell::elman, Format::plain, 1, false, false}, {Cell::elman, Format::plain, 3, true, false},
    {Cell::gru, Format::plain, 1, false, false},   {Cell::gru, Format::plain, 1, true, false},
    {Cell::lstm, Format::plain, 1, false, true},   {Cell::lstm, Format::plain, 1, true, true},
};

}  // namespace

void check_streams() {
    constexpr size_t sizes[][3] = {{1, 1, 1},   {3, 5, 2},     {17, 16, 3}, {9, 33, 11},
                                   {70, 64, 1}, {33, 100, 19}, {5, 65, 8}};
    for (const Kind& kind : kinds)
        for (const auto& [inputs, units, batch] : sizes) {
            Layered<float>(kind, inputs, units, batch).check(2e-5);
            Kind other = kind;
            Layered<double>(other, inputs, units, batch).check(1e-12);
            other.format = Format::bfloat16;
            Layered<float>(other, inputs, units, batch).check(2e-5);
            other.format = Format::int8;  // the input is rounded to 16 bits
            Layered<float>(other, inputs, units, batch).check(2e-3);
        }
}

void check_shared_streams(size_t threads) {
    constexpr size_t large = size_t(5) << 19;  // bytes of weights: a team shares them, and 17 rows
    constexpr std::pair<Format, size_t> formats[] = {
        {Format::plain, 4}, {Format::plain, 8}, {Format::bfloat16, 2}, {Format::int8, 1}};
    for (const Kind& kind : kinds)
        for (const auto& [format, bytes] : formats) {
            Kind other = kind;
            other.format = format;
            const size_t gates = kind.cell == Cell::lstm ? 4 : kind.cell == Cell::gru ? 3 : 1;
            const size_t units = std::sqrt(large / bytes / gates / (1 + kind.order));
            const auto check = [&](auto layered) {
                for (const size_t batch : {17, 1}) layered.check_team(threads, batch);
            };
            if (bytes == 8)
                check(Layered<double>(other, units, units, 17));
            else
                check(Layered<float>(other, units, units, 17));
        }
}
