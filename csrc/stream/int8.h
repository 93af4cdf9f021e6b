// Weights of 8 bits times inputs of 16, summed exactly in 32.
//
// Rows of floats become whole numbers with one scale a row. The largest is chosen so that n of them
// together are at most 2^24, a sum that is exact in float, and their products with weights cannot
// leave 32 bits; up to n = 514 the whole 16 bits are used, but for what the lower of two signed
// bytes needs. A sum may leave 32 bits on the way: it wraps around, and back.
#pragma once

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

#include "simd/vector.h"
#include "stream/layer.h"

namespace elman::ELMAN_ISA {

struct Int8 {
    using T = float;
    using Stored = int8_t;
    using Operand = uint16_t;
    static constexpr size_t parts = 1;
    typedef uint16_t Narrow __attribute__((vector_size(ELMAN_VECTOR_BYTES / 2)));

#if defined(__AVX512VNNI__)
    // The instruction takes four bytes with a sign, the inputs: once the upper halves, once the
    // lower ones. It multiplies them with four without: pack() makes weights larger by 128.
    static constexpr size_t group = 4, chains = 2;
    struct Sum {
        Vec<int32_t> upper, lower;
        ELMAN_INLINE void operator+=(const Sum& other) {
            upper += other.upper;
            lower += other.lower;
        }
    };
    static ELMAN_INLINE void add(Sum& sum, const Stored* w, const Operand* x) {
        int32_t upper, lower;
        __builtin_memcpy(&upper, x, sizeof upper);
        __builtin_memcpy(&lower, x + 2, sizeof lower);
        const __m512i weights = _mm512_loadu_si512(w);
        sum.upper = (Vec<int32_t>)_mm512_dpbusd_epi32((__m512i)sum.upper, weights,
                                                      _mm512_set1_epi32(upper));
        sum.lower = (Vec<int32_t>)_mm512_dpbusd_epi32((__m512i)sum.lower, weights,
                                                      _mm512_set1_epi32(lower));
    }
    static ELMAN_INLINE Vec<int32_t> whole(const Sum& sum, const Code& code) {
        const uint32_t excess = 128 * static_cast<uint32_t>(code.sum);
        return (Vec<int32_t>)(((Vec<uint32_t>)sum.upper << 8) + (Vec<uint32_t>)sum.lower - excess);
    }
    // The upper bytes of every four numbers, rounded, then their lower bytes, which have a sign.
    static ELMAN_INLINE Narrow arranged(Narrow v) {
        constexpr long long order = 0x0604020007050301, next = order + 0x0808080808080808;
        const __m256i bytes = _mm256_set_epi64x(next, order, next, order);
        return (Narrow)_mm256_shuffle_epi8((__m256i)((v + 0x80) ^ 0x80), bytes);
    }
#else
    static constexpr size_t group = 2, chains = 1;
    using Sum = Vec<int32_t>;
    static ELMAN_INLINE void add(Sum& sum, const Stored* w, const Operand* x) {
        typedef int8_t Bytes __attribute__((vector_size(ELMAN_VECTOR_BYTES / 2)));
        typedef int16_t Wide __attribute__((vector_size(ELMAN_VECTOR_BYTES)));
        int32_t both;
        __builtin_memcpy(&both, x, sizeof both);
        const Vec<int32_t> inputs = broadcast<int32_t>(both);
        Bytes narrow;
        __builtin_memcpy(&narrow, w, sizeof narrow);
        const Wide pair = __builtin_convertvector(narrow, Wide);
#if defined(__AVX512BW__)
        sum += (Sum)_mm512_madd_epi16((__m512i)pair, (__m512i)inputs);
#elif defined(__AVX2__)
        sum += (Sum)_mm256_madd_epi16((__m256i)pair, (__m256i)inputs);
#else
        sum += ((Sum)pair << 16 >> 16) * (inputs << 16 >> 16) + ((Sum)pair >> 16) * (inputs >> 16);
#endif
    }
    static ELMAN_INLINE Vec<int32_t> whole(Sum sum, const Code&) { return sum; }
    static ELMAN_INLINE Narrow arranged(Narrow v) { return v; }
#endif

    // row[n] -> codes[padded(n)]. Not a number, or infinite, makes the scale not a number, and with
    // it every sum: nothing is hidden.
    static Code encode(const float* row, size_t n, Operand* codes, size_t) {
        constexpr size_t lane = lanes<float>;
        // Whole numbers of the same bits are in the same order, and NaN is above all others.
        Vec<int32_t> most{};
        for (size_t i = 0; i < n; i += lane) {
            const Vec<int32_t> bits = (Vec<int32_t>)magnitude<float>(load<float>(row + i));
            most = bits > most ? bits : most;
        }
        int32_t top = 0;
        for (size_t i = 0; i < lane; ++i) top = most[i] > top ? most[i] : top;
        float largest;
        __builtin_memcpy(&largest, &top, sizeof largest);
        const size_t fits = (1 << 24) / n;
        const float steps = fits < 32639 ? float(fits) : 32639.f, faulty = largest - largest;
        // Below this the inverse would be infinite; such a row is zero beside any bias.
        const bool usable = largest > 1e-30f && faulty == 0;
        const float inverse = usable ? steps / largest : 0.f;
        Vec<float> total{};
        for (size_t i = 0; i < padded(n); i += lane) {
            const Vec<float> v = usable ? load<float>(row + i) * inverse : Vec<float>{};
            // The number that rounds to a whole one has it in its lowest bits.
            const Vec<float> whole = v + 0x1.8p23f;
            const Narrow narrow = arranged(__builtin_convertvector((Vec<int32_t>)whole, Narrow));
            total += whole - 0x1.8p23f;
            __builtin_memcpy(codes + i, &narrow, sizeof narrow);
        }
        const float scale = usable ? largest / steps : faulty;
        return {scale, static_cast<int32_t>(sum<float>(total))};
    }
};

}  // namespace elman::ELMAN_ISA
