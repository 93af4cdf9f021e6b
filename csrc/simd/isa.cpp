#include "simd/isa.h"

#include <cstdlib>
#include <stdexcept>

namespace elman {

namespace baseline {
extern const Kernels table;
}
#ifdef ELMAN_X86
namespace avx2 {
extern const Kernels table;
}
namespace avx512 {
extern const Kernels table;
}
namespace avx512vnni {
extern const Kernels table;
}
#endif

namespace {

std::vector<const Kernels*> available() {
    std::vector<const Kernels*> found{&baseline::table};
#ifdef ELMAN_X86
    // The compiler's check asks the operating system too, whether it keeps the wide registers.
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        found.push_back(&avx2::table);
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
            found.push_back(&avx512::table);
    }
    if (found.back() == &avx512::table && __builtin_cpu_supports("avx512vnni"))
        found.push_back(&avx512vnni::table);
#endif
    return found;
}

const Kernels& choose() {
    const auto found = available();
    const char* wanted = std::getenv("ELMAN_ISA");
    if (wanted == nullptr || *wanted == '\0') return *found.back();
    std::string names;
    for (const Kernels* each : found) {
        if (std::string(each->name) == wanted) return *each;
        names += (names.empty() ? "" : ", ") + std::string(each->name);
    }
    throw std::invalid_argument("ELMAN_ISA must be one of " + names + " on this machine, found '" +
                                std::string(wanted).substr(0, 60) + "'");
}

}  // namespace

std::vector<std::string> available_isas() {
    std::vector<std::string> names;
    for (const Kernels* each : available()) names.emplace_back(each->name);
    return names;
}

const Kernels& kernels() {
    static const Kernels& chosen = choose();  // a throw leaves it open for the next call
    return chosen;
}

}  // namespace elman
