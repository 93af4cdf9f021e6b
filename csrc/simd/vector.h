// Vectors of the compiler's portable extension: this file and what builds on it is compiled once
// for each instruction set, in a namespace of its own, so that the linker can never give a machine
// code that it does not understand. ELMAN_ISA and ELMAN_VECTOR_BYTES come from the file that does.
#pragma once

#include <cstddef>
#include <cstdint>
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

// The first n elements, and zeros behind them; all where n reaches the number of lanes.
template <class T>
ELMAN_INLINE Vec<T> load(const T* p, size_t n) {
    if (n >= lanes<T>) return load<T>(p);
    Vec<T> v{};
    for (size_t i = 0; i < n; ++i) v[i] = p[i];
    return v;
}

template <class T>
ELMAN_INLINE void store(T* p, Vec<T> v, size_t n) {
    if (n >= lanes<T>) return store<T>(p, v);
    for (size_t i = 0; i < n; ++i) p[i] = v[i];
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
    for (size_t i = n; i < lanes<T>; ++i) v[i] = 0;
    return v;
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
