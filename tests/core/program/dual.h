// Numbers that carry a derivative: what is computed with them is differentiated exactly, along one
// direction, by no other rule than those of single operations.
#pragma once

#include <cmath>

struct Dual {
    double value = 0, slope = 0;
    Dual(double v = 0, double s = 0) : value(v), slope(s) {}
};

inline Dual operator+(Dual a, Dual b) {
    return {a.value + b.value, a.slope + b.slope};
}
inline Dual operator-(Dual a, Dual b) {
    return {a.value - b.value, a.slope - b.slope};
}
inline Dual operator*(Dual a, Dual b) {
    return {a.value * b.value, a.value * b.slope + a.slope * b.value};
}
inline Dual operator/(Dual a, Dual b) {
    return {a.value / b.value, (a.slope - a.value / b.value * b.slope) / b.value};
}
inline Dual exp(Dual a) {
    return {std::exp(a.value), a.slope * std::exp(a.value)};
}
inline Dual tanh(Dual a) {
    const double v = std::tanh(a.value);
    return {v, a.slope * (1 - v * v)};
}
inline Dual sqrt(Dual a) {
    const double v = std::sqrt(a.value);
    return {v, a.slope / (2 * v)};
}
inline Dual sigmoid(Dual a) {
    return Dual(1) / (Dual(1) + exp(Dual(0) - a));
}
inline Dual relu(Dual a) {
    return a.value > 0 ? a : Dual(0);
}
