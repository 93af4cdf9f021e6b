// Random ones and zeros, the same on every instruction set and for any number of threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "simd/vector.h"
#include "threads/team.h"

namespace elman::ELMAN_ISA {

// Sixteen generators side by side: xoshiro128++ (Blackman & Vigna 2021), started by splitmix64.
class Generators {
  public:
    static constexpr size_t count = 16;

    explicit Generators(uint64_t seed) {
        for (auto& words : state_)
            for (uint32_t& word : words) {
                seed += 0x9E3779B97F4A7C15u;
                uint64_t z = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9u;
                z = (z ^ z >> 27) * 0x94D049BB133111EBu;
                word = static_cast<uint32_t>((z ^ z >> 31) >> 32);
            }
    }

    // to[i] = 1 where a number below 2^32 is at most `last`, else 0.
    template <class T>
    ELMAN_INLINE void next(uint32_t last, T (&to)[count]) {
        auto& [a, b, c, d] = state_;
        for (size_t i = 0; i < count; ++i) {
            const uint32_t drawn = turned(a[i] + d[i], 7) + a[i], shifted = b[i] << 9;
            c[i] ^= a[i];
            d[i] ^= b[i];
            b[i] ^= c[i];
            a[i] ^= d[i];
            c[i] ^= shifted;
            d[i] = turned(d[i], 11);
            to[i] = drawn <= last ? T(1) : T(0);
        }
    }

  private:
    static ELMAN_INLINE uint32_t turned(uint32_t v, int by) { return v << by | v >> (32 - by); }

    uint32_t state_[4][count];
};

// to[n]: 1 with probability `rate`, from above 0 to 1, else 0. Pieces have generators of their own.
template <class T>
void draw(T* to, size_t n, double rate, uint64_t seed, const Team& team) {
    constexpr size_t piece = 4096;
    const auto last = static_cast<uint32_t>(std::max(1., rate * 0x1p32) - 1);
    for (size_t i = team.index; i * piece < n; i += team.count) {
        Generators generators(seed + i * 0xD1342543DE82EF95u);
        T drawn[Generators::count];
        for (size_t at = i * piece, end = std::min(n, at + piece); at < end;
             at += std::size(drawn)) {
            generators.next(last, drawn);
            std::copy_n(drawn, std::min(end - at, std::size(drawn)), to + at);
        }
    }
}

}  // namespace elman::ELMAN_ISA
