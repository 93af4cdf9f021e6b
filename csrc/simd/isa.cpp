#include "simd/isa.h"

#ifdef ELMAN_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdlib>
#include <stdexcept>

namespace elman {

namespace {

#ifdef ELMAN_AMX
// Tiles are there where the processor has them, the system keeps them for a thread that is not
// running, and this process asked it to. It is asked once; what it refuses stays away.
bool has_tiles() {
#ifdef ELMAN_EMULATED_TILES
    return __builtin_cpu_supports("avx512bf16");
#endif
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    constexpr unsigned needed = 1u << 22 | 1u << 24;  // AMX-BF16, AMX-TILE
    if ((d & needed) != needed || !__get_cpuid_count(7, 1, &a, &b, &c, &d)) return false;
    if (!(a & 1u << 5)) return false;  // AVX512-BF16
    constexpr long request_permission = 0x1023, tile_data = 18;
    static const bool granted = syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
    return granted;
}
#endif

std::vector<const Kernels*> available() {
    std::vector<const Kernels*> found{&Kernels::baseline};
#ifdef ELMAN_X86
    // The compiler's check asks the operating system too, whether it keeps the wide registers.
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return found;
    found.push_back(&Kernels::avx2);
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        return found;
    found.push_back(&Kernels::avx512);
    if (!__builtin_cpu_supports("avx512vnni")) return found;
    found.push_back(&Kernels::avx512vnni);
#endif
#ifdef ELMAN_BF16
    if (__builtin_cpu_supports("avx512bf16")) found.push_back(&Kernels::avx512bf16);
#endif
#ifdef ELMAN_AMX
    if (has_tiles()) found.push_back(&Kernels::amx);
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
