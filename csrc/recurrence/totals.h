// Gradients that are added up over all rows: of the biases, of the normalisations, of peepholes.
// A timestep is summed by itself first, which keeps the rounding of long sequences small.
#pragma once

#include <vector>

#include "recurrence/share.h"

namespace elman::ELMAN_ISA {

template <class T, size_t G>
struct Sums {
    Vec<T> a[G], u[G], peephole[3];
};

template <class T>
class Totals {
    static constexpr size_t L = lanes<T>;

  public:
    Totals(const Share<T>& share, size_t gates)
        : gain_a(share.panels() * gates * L),
          gain_u(gain_a),
          share_(share),
          gates_(gates),
          a_(size(gates)),
          u_(size(gates)),
          peephole_(size(3)),
          gain_c_(size(1)),
          bias_c_(size(1)) {}

    template <size_t G>
    void add(size_t panel, const Sums<T, G>& sums) {
        for (size_t g = 0; g < G; ++g) {
            increase(a_, panel, g, G, sums.a[g]);
            increase(u_, panel, g, G, sums.u[g]);
        }
        for (size_t g = 0; G == 4 && g < 3; ++g) increase(peephole_, panel, g, 3, sums.peephole[g]);
    }
    void add_norm_c(size_t panel, Vec<T> gain, Vec<T> bias) {
        increase(gain_c_, panel, 0, 1, gain);
        increase(bias_c_, panel, 0, 1, bias);
    }

    // Writes this thread's units, or adds them to what another thread wrote.
    void put(const Gradients<T>& to, size_t units, bool first) const {
        put(a_, to.bias_a, gates_, units, first);
        put(u_, to.bias_u, gates_, units, first);
        put(gain_a, to.gain_a, gates_, units, first);
        put(gain_u, to.gain_u, gates_, units, first);
        put(peephole_, to.peephole, 3, units, first);
        put(gain_c_, to.gain_c, 1, units, first);
        put(bias_c_, to.bias_c, 1, units, first);
    }

    std::vector<T> gain_a, gain_u;  // [panel][gate][lane]

  private:
    size_t size(size_t parts) const { return share_.panels() * parts * L; }

    void increase(std::vector<T>& in, size_t panel, size_t part, size_t parts, Vec<T> by) {
        T* const at = in.data() + ((panel - share_.panel) * parts + part) * L;
        store<T>(at, load<T>(at) + by);
    }

    void put(const std::vector<T>& from, T* to, size_t parts, size_t units, bool first) const {
        for (size_t i = 0; to && i < from.size(); ++i) {
            const size_t panel = i / (parts * L) + share_.panel, part = i / L % parts;
            const size_t unit = panel * L + i % L;
            if (unit >= units) continue;
            T& at = to[part * units + unit];
            at = first ? from[i] : at + from[i];
        }
    }

    const Share<T>& share_;
    size_t gates_;
    std::vector<T> a_, u_, peephole_, gain_c_, bias_c_;
};

}  // namespace elman::ELMAN_ISA
