// Which sequences are running at each timestep: the times of a `Sequence`, from lengths.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace elman {

struct Timetable {
    std::vector<size_t> active, start;  // one a timestep in which any sequence runs
    std::vector<size_t> slot;           // the longest first, and of equals the first
    size_t rows = 0;

    Timetable() = default;

    // lengths[batch], or null where all sequences have all steps.
    Timetable(size_t steps, size_t batch, const int64_t* lengths) : slot(batch) {
        std::iota(slot.begin(), slot.end(), size_t(0));
        for (size_t b = 0; lengths && b < batch; ++b)
            if (lengths[b] < 1 || static_cast<size_t>(lengths[b]) > steps)
                throw std::invalid_argument("lengths must be from 1 to T=" + std::to_string(steps) +
                                            ", found " + std::to_string(lengths[b]));
        if (lengths)
            std::stable_sort(slot.begin(), slot.end(),
                             [&](size_t a, size_t b) { return lengths[a] > lengths[b]; });
        size_t now = batch;
        for (size_t t = 0; t < steps; ++t) {
            while (lengths && now > 0 && static_cast<size_t>(lengths[slot[now - 1]]) <= t) --now;
            if (now == 0) return;
            active.push_back(now);
            start.push_back(rows);
            rows += now;
        }
    }

    // `start` of no more than `most` rows, or those of one timestep: then it begins at 0 again.
    std::vector<size_t> pieces(size_t most) const {
        std::vector<size_t> starts;
        size_t first = 0;
        for (size_t t = 0; t < active.size(); ++t) {
            if (start[t] + active[t] - first > most) first = start[t];
            starts.push_back(start[t] - first);
        }
        return starts;
    }
};

}  // namespace elman
