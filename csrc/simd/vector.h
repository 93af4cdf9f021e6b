// Vectors of the compiler's portable extension: this file and what builds on it is compiled once
// for each instruction set, in a namespace of its own, so that the linker can never give a machine
// code that it does not understand. ELMAN_ISA and ELMAN_VECTOR_BYTES come from the file that does.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#define ELMAN_INLINE inline __attribute__((always_inline))

namespace elman::ELMAN_ISA {

template <class T>
struct VectorOf {
    typedef T type __attribute__((vector_size(ELMAN_VECTOR_BYTES)));
};
template <class T>
using Vec = typename VectorOf<T>::type;

template <class T>
inline constexpr size_t lanes = ELMAN_VECTOR_BYTES / sizeof(T);

template <class T>
struct Bits;
template <>
struct Bits<float> {
    using type = int32_t;
};
template <>
struct Bits<double> {
    using type = int64_t;
};
template <class T>
using Int = typename Bits<T>::type;

template <class T>
ELMAN_INLINE Vec<T> load(const T* p) {
    Vec<T> v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class T>
ELMAN_INLINE void store(T* p, Vec<T> v) {
    __builtin_memcpy(p, &v, sizeof v);
}

// Which lanes are the first n, of which there are not as many as lanes.
#if defined(__AVX512F__)
template <class T>
using Mask = std::conditional_t<sizeof(T) == 4, __mmask16, __mmask8>;
template <class T>
ELMAN_INLINE Mask<T> mask_of(size_t n) {
    return static_cast<Mask<T>>((1u << n) - 1);
}
#elif defined(__AVX2__)
template <class T>
ELMAN_INLINE __m256i mask_of(size_t n) {
    Vec<Int<T>> at;
    for (size_t i = 0; i < lanes<T>; ++i) at[i] = static_cast<Int<T>>(i);
    return (__m256i)(at < static_cast<Int<T>>(n));
}
#endif

// The first n elements, and zeros behind them; all where n reaches the number of lanes.
template <class T>
ELMAN_INLINE Vec<T> load(const T* p, size_t n) {
    if (n >= lanes<T>) return load<T>(p);
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) return (Vec<T>)_mm512_maskz_loadu_ps(mask_of<T>(n), p);
    if constexpr (sizeof(T) == 8) return (Vec<T>)_mm512_maskz_loadu_pd(mask_of<T>(n), p);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4) return (Vec<T>)_mm256_maskload_ps(p, mask_of<T>(n));
    if constexpr (sizeof(T) == 8) return (Vec<T>)_mm256_maskload_pd(p, mask_of<T>(n));
#else
    Vec<T> v{};
    for (size_t i = 0; i < n; ++i) v[i] = p[i];
    return v;
#endif
}

template <class T>
ELMAN_INLINE void store(T* p, Vec<T> v, size_t n) {
    if (n >= lanes<T>) return store<T>(p, v);
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) _mm512_mask_storeu_ps(p, mask_of<T>(n), (__m512)v);
    if constexpr (sizeof(T) == 8) _mm512_mask_storeu_pd(p, mask_of<T>(n), (__m512d)v);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4) _mm256_maskstore_ps(p, mask_of<T>(n), (__m256)v);
    if constexpr (sizeof(T) == 8) _mm256_maskstore_pd(p, mask_of<T>(n), (__m256d)v);
#else
    for (size_t i = 0; i < n; ++i) p[i] = v[i];
#endif
}

template <class T>
ELMAN_INLINE Vec<T> broadcast(T value) {
    return value - Vec<T>{};  // not `+`, which would lose the sign of -0
}

template <class T>
ELMAN_INLINE Vec<T> magnitude(Vec<T> v) {
    const Int<T> sign = Int<T>(1) << (8 * sizeof(T) - 1);
    return (Vec<T>)((Vec<Int<T>>)v & ~broadcast<Int<T>>(sign));
}

// v where it is not below, or above, a bound; NaN stays NaN, since the instructions give their
// second operand where one of both is no number.
template <class T>
ELMAN_INLINE Vec<T> at_least(T bound, Vec<T> v) {
    const Vec<T> all = broadcast<T>(bound);
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm512_maskz_max_ps(0xFFFF, (__m512)all, (__m512)v);
    if constexpr (sizeof(T) == 8)
        return (Vec<T>)_mm512_maskz_max_pd(0xFF, (__m512d)all, (__m512d)v);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4) return (Vec<T>)_mm256_max_ps((__m256)all, (__m256)v);
    if constexpr (sizeof(T) == 8) return (Vec<T>)_mm256_max_pd((__m256d)all, (__m256d)v);
#else
    return v < all ? all : v;
#endif
}

template <class T>
ELMAN_INLINE Vec<T> at_most(T bound, Vec<T> v) {
    const Vec<T> all = broadcast<T>(bound);
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm512_maskz_min_ps(0xFFFF, (__m512)all, (__m512)v);
    if constexpr (sizeof(T) == 8)
        return (Vec<T>)_mm512_maskz_min_pd(0xFF, (__m512d)all, (__m512d)v);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4) return (Vec<T>)_mm256_min_ps((__m256)all, (__m256)v);
    if constexpr (sizeof(T) == 8) return (Vec<T>)_mm256_min_pd((__m256d)all, (__m256d)v);
#else
    return v > all ? all : v;
#endif
}

// Lanes of a, and behind them of b.
template <class T, size_t... lane>
ELMAN_INLINE Vec<T> choose(Vec<T> a, Vec<T> b) {
#if __has_builtin(__builtin_shufflevector)
    return __builtin_shufflevector(a, b, lane...);
#else  // GCC before 12
    return __builtin_shuffle(a, b, (Vec<Int<T>>){lane...});
#endif
}

// v with its halves added up, and again, until all lanes are one.
template <class T, size_t half = lanes<T> / 2, size_t... lane>
ELMAN_INLINE T sum(Vec<T> v, std::index_sequence<lane...> all) {
    v += choose<T, (lane ^ half)...>(v, v);
    if constexpr (half > 1)
        return sum<T, half / 2>(v, all);
    else
        return v[0];
}

template <class T>
ELMAN_INLINE T sum(Vec<T> v) {
    return sum<T>(v, std::make_index_sequence<lanes<T>>());
}

// v with zeros behind its first n lanes.
template <class T>
ELMAN_INLINE Vec<T> first(Vec<T> v, size_t n) {
    alignas(Vec<T>) T all[lanes<T>];
    store<T>(all, v);
    return load<T>(all, n);
}

// Rows become columns: at every step two blocks of lanes change places.
template <class T, size_t step, size_t... lane>
ELMAN_INLINE void exchange(Vec<T>& a, Vec<T>& b, std::index_sequence<lane...>) {
    constexpr size_t L = lanes<T>;
    const Vec<T> old = a;
    a = choose<T, (lane & step ? L + lane - step : lane)...>(old, b);
    b = choose<T, (lane & step ? L + lane : lane + step)...>(old, b);
}

template <class T, size_t step = lanes<T> / 2>
ELMAN_INLINE void transpose(Vec<T> (&rows)[lanes<T>]) {
#pragma GCC unroll 16
    for (size_t i = 0; i < lanes<T>; ++i)
        if (!(i & step))
            exchange<T, step>(rows[i], rows[i + step], std::make_index_sequence<lanes<T>>());
    if constexpr (step > 1) transpose<T, step / 2>(rows);
}

}  // namespace elman::ELMAN_ISA
