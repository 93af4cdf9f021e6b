// What the parts of the program share: the comparison, and numbers.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

// Ends the program, which a sanitiser does too; `where` says in what.
inline void expect(bool holds, const std::string& where, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "%s: %s\n", where.c_str(), what);
    std::exit(1);
}

// |found - wanted| <= bound * (1 + |wanted|); NaN is never near.
inline void expect_near(double found, double wanted, double bound, const std::string& where) {
    if (std::fabs(found - wanted) <= bound * (1 + std::fabs(wanted))) return;
    std::fprintf(stderr, "%s: found %.17g, wanted %.17g\n", where.c_str(), found, wanted);
    std::exit(1);
}

// Vectors hold exactly what they are asked for, so that a sanitiser sees one element too far.
template <class T>
std::vector<T> random(std::mt19937_64& generator, size_t size, double spread, double middle = 0) {
    std::normal_distribution<double> normal(middle, spread);
    std::vector<T> made(size);
    for (T& each : made) each = T(normal(generator));
    return made;
}

void check_layers(size_t threads);
void check_streams();
void check_shared_streams(size_t threads);
void check_teams();
void check_memory();
