// exp, tanh and sigmoid on vectors, from one reduction: v = n ln 2 + r with |r| <= ln(2) / 2.
//
// Relative error at most 1e-6 in float and 1e-13 in double wherever the result is a normal number;
// below, the absolute error is at most the smallest normal number. Infinities go to their limits
// and NaN stays NaN. The bound is tested over all exponents (tests/core/test_activations.py).
#pragma once

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <array>

#include "simd/vector.h"

namespace elman::ELMAN_ISA {

// What the reduction needs of a type; ln 2 comes in two parts, the first with so few digits that
// its product with n is exact even without a fused multiply-add.
template <class T>
struct Reduction;
template <>
struct Reduction<float> {
    static constexpr float magic = 0x1.8p23f, high = 0.693359375f, low = -2.12194440e-4f;
    static constexpr float lowest = -104.f, highest = 89.f, flat = -20.f;
    static constexpr size_t terms = 7;
    static constexpr int mantissa = 23, bias = 127;
};
template <>
struct Reduction<double> {
    static constexpr double magic = 0x1.8p52, high = 6.93145751953125e-1;
    static constexpr double low = 1.42860682030941723212e-6;
    static constexpr double lowest = -746., highest = 710., flat = -40.;
    static constexpr size_t terms = 15;
    static constexpr int mantissa = 52, bias = 1023;
};

template <class T>
struct Reduced {
    Vec<T> n;  // a whole number
    Vec<T> p;  // exp(r) - 1, to full relative precision
};

// 1 / k!, the coefficients of exp.
template <class T>
inline constexpr auto coefficients = [] {
    std::array<T, Reduction<T>::terms + 1> all{1};
    for (size_t k = 1; k < all.size(); ++k) all[k] = all[k - 1] / static_cast<T>(k);
    return all;
}();

template <class T>
ELMAN_INLINE Reduced<T> reduce(Vec<T> v) {
    using R = Reduction<T>;
    // Adding 1.5 * 2^mantissa rounds to a whole number.
    const Vec<T> n = v * T(1.4426950408889634074) + R::magic - R::magic;
    const Vec<T> r = (v - n * R::high) - n * R::low;
    // Two terms at a time: a chain of half the length.
    const Vec<T> square = r * r;
    Vec<T> q{};
#pragma GCC unroll 16
    for (size_t k = R::terms - 1; k > 1; k -= 2) {
        const Vec<T> pair = r * coefficients<T>[k + 1] + coefficients<T>[k];
        q = k == R::terms - 1 ? pair : q * square + pair;
    }
    return {n, q * square + r};
}

template <class T>
ELMAN_INLINE Vec<T> power_of_two(Vec<Int<T>> n) {
    return (Vec<T>)((n + Reduction<T>::bias) << Reduction<T>::mantissa);
}

// v * 2^n, for whole n.
template <class T>
ELMAN_INLINE Vec<T> scaled(Vec<T> v, Vec<T> n) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == sizeof(float))
        return (Vec<T>)_mm512_maskz_scalef_ps(0xFFFF, (__m512)v, (__m512)n);
    else
        return (Vec<T>)_mm512_maskz_scalef_pd(0xFF, (__m512d)v, (__m512d)n);
#else
    // In two steps, since 2^n alone leaves the range before the result does.
    const Vec<Int<T>> all = __builtin_convertvector(n, Vec<Int<T>>), half = all >> 1;
    return v * power_of_two<T>(half) * power_of_two<T>(all - half);
#endif
}

template <class T>
ELMAN_INLINE Vec<T> exp(Vec<T> v) {
    using R = Reduction<T>;
    const Reduced<T> e = reduce<T>(at_most<T>(R::highest, at_least<T>(R::lowest, v)));
    return scaled<T>(e.p + T(1), e.n);
}

template <class T>
ELMAN_INLINE Vec<T> sigmoid(Vec<T> v) {
    return T(1) / (T(1) + exp<T>(-v));
}

// tanh|v| = -t / (2 + t) with t = exp(-2|v|) - 1, which keeps its digits where v is small.
template <class T>
ELMAN_INLINE Vec<T> tanh(Vec<T> v) {
    using R = Reduction<T>;
    const Vec<T> w = T(-2) * magnitude<T>(v);
    const Reduced<T> e = reduce<T>(at_least<T>(R::flat, w));
    const Vec<T> scale = scaled<T>(broadcast<T>(1), e.n);
    const Vec<T> t = scale * e.p + (scale - T(1));
    const Vec<T> size = magnitude<T>(t / (T(2) + t));
    const Vec<Int<T>> sign = (Vec<Int<T>>)v ^ (Vec<Int<T>>)magnitude<T>(v);
    return (Vec<T>)((Vec<Int<T>>)size | sign);
}

}  // namespace elman::ELMAN_ISA
