// One timestep in the core, without Python: batch rows, one layer, input size = hidden size.
//
//     core [batch] [H ..]
//
// Prints the median and the quartiles of many repetitions in microseconds, and by how much the
// result may differ and does from the naive loop in double below. Where it is more, the exit code
// is 1.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "stream/pack.h"
#include "stream/stream.h"

using namespace elman;

namespace {

struct Weights {
    size_t size, gates;
    std::vector<float> ih, hh, bias_ih, bias_hh;

    Weights(size_t n, size_t g) : size(n), gates(g) {
        std::mt19937 random(7);
        std::uniform_real_distribution<float> of(-1 / std::sqrt(float(n)), 1 / std::sqrt(float(n)));
        for (auto [array, count] :
             {std::pair{&ih, g * n * n}, {&hh, g * n * n}, {&bias_ih, g * n}, {&bias_hh, g * n}})
            for (size_t i = 0; i < count; ++i) array->push_back(of(random));
    }
    double part(const std::vector<float>& w, const std::vector<float>& b, size_t row,
                const double* v) const {
        double total = b[row];
        for (size_t j = 0; j < size; ++j) total += double(w[row * size + j]) * v[j];
        return total;
    }
};

double sigmoid(double v) {
    return 1 / (1 + std::exp(-v));
}

// The equations of elman.spec, one unit after another.
void naive(Cell cell, const Weights& w, const double* x, std::vector<double>& h,
           std::vector<double>& c) {
    const std::vector<double> old = h;
    for (size_t i = 0; i < w.size; ++i) {
        double a[4], u[4];
        for (size_t g = 0; g < w.gates; ++g) {
            a[g] = w.part(w.ih, w.bias_ih, g * w.size + i, x);
            u[g] = w.part(w.hh, w.bias_hh, g * w.size + i, old.data());
        }
        if (cell == Cell::elman) h[i] = std::tanh(a[0] + u[0]);
        if (cell == Cell::gru) {
            const double z = sigmoid(a[1] + u[1]);
            h[i] = (1 - z) * std::tanh(a[2] + sigmoid(a[0] + u[0]) * u[2]) + z * old[i];
        }
        if (cell == Cell::lstm) {
            c[i] = sigmoid(a[1] + u[1]) * c[i] + sigmoid(a[0] + u[0]) * std::tanh(a[2] + u[2]);
            h[i] = sigmoid(a[3] + u[3]) * std::tanh(c[i]);
        }
    }
}

bool measure(Cell cell, Format format, size_t size, size_t batch) {
    const char* const names[] = {"elman", "gru", "lstm"};
    const char* const formats[] = {"float32", "bfloat16", "int8"};
    const double allowed[] = {1e-5, 2e-2, 3e-2};
    const Weights w(size, cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1);
    Parameters<float> p;
    p.weight_ih = w.ih.data(), p.weight_hh = w.hh.data();
    p.bias_ih = w.bias_ih.data(), p.bias_hh = w.bias_hh.data();
    auto stack = std::make_shared<Stack<float>>(kernels());
    stack->layers.push_back(pack<float>(cell, format, {size, size, 1}, p, stack->kernels));
    Stream<float> stream(stack, batch);
    std::vector<float> x(batch * size), y(batch * size);
    for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(0.37f * float(i));
    const Rows rows{reinterpret_cast<const char*>(x.data()), ptrdiff_t(size * 4), 4};

    double worst = 0;
    const std::vector<double> first(x.begin(), x.begin() + ptrdiff_t(size));
    std::vector<double> h(size), c(size);
    for (int t = 0; t < 4; ++t) {
        stream.timestep(rows, y.data());
        naive(cell, w, first.data(), h, c);
        for (size_t i = 0; i < size; ++i) worst = std::max(worst, std::fabs(h[i] - y[i]));
    }

    using Clock = std::chrono::steady_clock;
    const double work = double(w.gates) * double(2 * size * size * batch);
    const int repeats = std::max(1, int(2e6 / (work / 20 + 100)));
    std::vector<double> times;
    for (int round = 0; round < 101; ++round) {
        const auto start = Clock::now();
        for (int i = 0; i < repeats; ++i) stream.timestep(rows, y.data());
        const std::chrono::duration<double, std::micro> taken = Clock::now() - start;
        times.push_back(taken.count() / repeats);
    }
    std::sort(times.begin(), times.end());
    const size_t quarter = times.size() / 4;
    std::printf("%-5s %-8s H=%-4zu B=%-3zu %9.3f us (%.3f to %.3f), off by %.1e of %.0e\n",
                names[int(cell)], formats[int(format)], size, batch, times[2 * quarter],
                times[quarter], times[3 * quarter], worst, allowed[int(format)]);
    return worst <= allowed[int(format)];
}

}  // namespace

int main(int count, char** arguments) {
    const size_t batch = count > 1 ? std::strtoul(arguments[1], nullptr, 10) : 1;
    std::vector<size_t> sizes;
    for (int i = 2; i < count; ++i) sizes.push_back(std::strtoul(arguments[i], nullptr, 10));
    if (sizes.empty()) sizes = {16, 32, 64, 128, 256, 512};
    std::printf("core %s, one thread\n", kernels().name);
    bool right = true;
    for (const size_t size : sizes)
        for (const Cell cell : {Cell::lstm, Cell::gru, Cell::elman})
            for (const Format format : {Format::plain, Format::bfloat16, Format::int8})
                right &= measure(cell, format, size, batch);
    return right ? 0 : 1;
}
