// Counts what a stream allocates in its timesteps: it must be nothing. Prints the count.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "stream/pack.h"
#include "stream/stream.h"

static size_t count = 0;

void* operator new(size_t size) {
    ++count;
    return std::malloc(size);
}
void* operator new(size_t size, std::align_val_t alignment) {
    ++count;
    const size_t to = static_cast<size_t>(alignment);
    return std::aligned_alloc(to, (size + to - 1) / to * to);
}
void operator delete(void* p) noexcept {
    std::free(p);
}
void operator delete(void* p, size_t) noexcept {
    std::free(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
    std::free(p);
}
void operator delete(void* p, size_t, std::align_val_t) noexcept {
    std::free(p);
}

using namespace elman;

// An embedding, two layers, the last of them projected where there is a projection, and a dense
// one.
static size_t counted(Cell cell, Format format, bool norm) {
    const size_t inputs = 7, units = 19, batch = 5, gates = cell == Cell::lstm ? 4 : 3;
    const size_t outputs = cell == Cell::lstm ? 11 : units, tokens = 3;
    const std::vector<float> numbers(gates * units * units, 0.01f);
    const float* w = numbers.data();
    Parameters<float> p, dense;
    p.weight_ih = p.weight_hh = p.weight_hr = p.bias_ih = p.bias_hh = dense.weight_ih = w;
    if (norm) p.norm_ih = p.norm_hh = p.norm_c = p.norm_c_bias = w;
    auto stack = std::make_shared<Stack<float>>(kernels());
    stack->embedding = Array<float>(tokens * inputs);
    stack->tokens = tokens;
    const auto add = [&](Cell kind, Sizes sizes, const Parameters<float>& from) {
        stack->layers.push_back(pack<float>(kind, format, sizes, from, stack->kernels));
    };
    add(cell, {inputs, units, 1}, p);
    add(cell, {units, units, 1, outputs}, p);
    add(Cell::elman, {outputs, 16, 0}, dense);
    Stream<float> stream(stack, batch);
    std::vector<float> x(batch * inputs, 0.5f), y(batch * 16);
    const int32_t id = 2;
    const size_t before = count;
    for (int i = 0; i < 100; ++i) {
        stream.timestep({reinterpret_cast<const char*>(x.data()), inputs * 4, 4}, y.data());
        stream.timestep({reinterpret_cast<const char*>(&id), 0, 0, sizeof id}, y.data());
    }
    stream.reset();
    return count - before;
}

int main() {
    size_t total = 0;
    for (const Cell cell : {Cell::elman, Cell::gru, Cell::lstm})
        for (const Format format : {Format::plain, Format::bfloat16, Format::int8})
            for (const bool norm : {false, true}) total += counted(cell, format, norm);
    std::printf("%zu of %d\n", total, count > 0);
}
