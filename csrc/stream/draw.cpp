#include "stream/draw.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace elman {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// The most probable first, and of equals the lower id.
struct MoreProbable {
    const double* score;
    bool operator()(size_t a, size_t b) const {
        return score[a] > score[b] || (score[a] == score[b] && a < b);
    }
};

std::vector<size_t> ids(size_t n) {
    std::vector<size_t> all(n);
    std::iota(all.begin(), all.end(), size_t(0));
    return all;
}

// All but the k most probable become -inf.
void keep_count(double* scores, size_t n, size_t k) {
    std::vector<size_t> order = ids(n);
    const auto end = order.begin() + static_cast<ptrdiff_t>(k);
    std::nth_element(order.begin(), end, order.end(), MoreProbable{scores});
    std::for_each(end, order.end(), [=](size_t id) { scores[id] = -infinity; });
}

// Of the most probable, as few as reach the share p of all weights together; the others become 0.
void keep_mass(double* weights, size_t n, double p) {
    std::vector<size_t> heap = ids(n);
    const auto less = [more = MoreProbable{weights}](size_t a, size_t b) { return more(b, a); };
    const double total = std::accumulate(weights, weights + n, 0.0);
    std::make_heap(heap.begin(), heap.end(), less);
    auto end = heap.end();
    for (double mass = 0; mass < p && end != heap.begin(); mass += weights[*end] / total)
        std::pop_heap(heap.begin(), end--, less);
    std::for_each(heap.begin(), end, [=](size_t id) { weights[id] = 0; });
}

}  // namespace

size_t draw(double* scores, size_t n, const Drawing& options, double uniform,
            const Kernels& kernels) {
    double best = -infinity;
    bool sound = true;
    for (size_t i = 0; i < n; ++i) {
        best = scores[i] > best ? scores[i] : best;
        sound &= scores[i] < infinity;  // which NaN is not
    }
    if (!sound || best == -infinity)
        throw std::invalid_argument("log-probabilities must be numbers or -inf, and not all -inf");
    if (options.temperature == 0)
        return static_cast<size_t>(std::find(scores, scores + n, best) - scores);
    if (options.top_k && options.top_k < n) keep_count(scores, n, options.top_k);
    for (size_t i = 0; i < n; ++i) scores[i] = (scores[i] - best) / options.temperature;
    kernels.apply_float64(Function::exp, scores, scores, n);
    if (options.top_p < 1) keep_mass(scores, n, options.top_p);
    std::partial_sum(scores, scores + n, scores);
    // The last sum is at least 1, and so larger than its product with a number below 1.
    const double* const found = std::upper_bound(scores, scores + n, uniform * scores[n - 1]);
    return static_cast<size_t>(found - scores);
}

}  // namespace elman
