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
void keep_count(std::vector<double>& scores, size_t k) {
    std::vector<size_t> order = ids(scores.size());
    const auto end = order.begin() + static_cast<ptrdiff_t>(k);
    std::nth_element(order.begin(), end, order.end(), MoreProbable{scores.data()});
    std::for_each(end, order.end(), [&](size_t id) { scores[id] = -infinity; });
}

// Of the most probable, as few as reach the share p of all weights together; the others become 0.
void keep_mass(std::vector<double>& weights, double p) {
    std::vector<size_t> heap = ids(weights.size());
    const auto less = [more = MoreProbable{weights.data()}](size_t a, size_t b) {
        return more(b, a);
    };
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::make_heap(heap.begin(), heap.end(), less);
    auto end = heap.end();
    for (double mass = 0; mass < p && end != heap.begin(); mass += weights[*end] / total)
        std::pop_heap(heap.begin(), end--, less);
    std::for_each(heap.begin(), end, [&](size_t id) { weights[id] = 0; });
}

// Log-probabilities, and -inf for what is forbidden.
std::vector<double> allowed(const double* log_probs, size_t n, const int64_t* forbidden,
                            size_t count) {
    std::vector<double> scores(log_probs, log_probs + n);
    for (size_t i = 0; i < count; ++i) {
        if (forbidden[i] < 0 || static_cast<size_t>(forbidden[i]) >= n)
            throw std::invalid_argument("forbidden must hold ids of tokens");
        scores[static_cast<size_t>(forbidden[i])] = -infinity;
    }
    return scores;
}

double best_of(const std::vector<double>& scores) {
    double best = -infinity;
    bool sound = true;
    for (const double score : scores) {
        best = score > best ? score : best;
        sound &= score < infinity;  // which NaN is not
    }
    if (!sound || best == -infinity)
        throw std::invalid_argument("log-probabilities must be numbers or -inf, and not all -inf");
    return best;
}

}  // namespace

int64_t draw(const double* log_probs, size_t n, const int64_t* forbidden, size_t count,
             const Drawing& options, double uniform, const Routines<double>& kernels) {
    if (!(uniform >= 0 && uniform < 1))
        throw std::invalid_argument("a random number must be from 0 to below 1");
    if (!(options.temperature >= 0 && options.temperature < infinity && options.top_p > 0))
        throw std::invalid_argument("temperature must be at least 0, and top_p above 0");
    std::vector<double> scores = allowed(log_probs, n, forbidden, count);
    const double best = best_of(scores);
    if (options.temperature == 0)
        return std::find(scores.begin(), scores.end(), best) - scores.begin();
    if (options.top_k && options.top_k < n) keep_count(scores, options.top_k);
    for (double& score : scores) score = (score - best) / options.temperature;
    kernels.apply(Function::exp, scores.data(), scores.data(), n);
    if (options.top_p < 1) keep_mass(scores, options.top_p);
    std::partial_sum(scores.begin(), scores.end(), scores.begin());
    // The last sum is at least 1, and so larger than its product with a number below 1.
    const double drawn = uniform * scores.back();
    return std::upper_bound(scores.begin(), scores.end(), drawn) - scores.begin();
}

}  // namespace elman
