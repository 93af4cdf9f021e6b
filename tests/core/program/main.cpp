// The core without Python: `core_tests` checks all of it on the instruction set that ELMAN_ISA
// names, `core_tests --isas` lists those that there are.
#include <cstdio>
#include <cstring>
#include <exception>

#include "check.h"
#include "simd/isa.h"

int main(int count, char** arguments) {
    if (count == 2 && std::strcmp(arguments[1], "--isas") == 0) {
        for (const std::string& each : elman::available_isas()) std::printf("%s\n", each.c_str());
        return 0;
    }
    try {
        check_memory();
        check_teams();
        for (const size_t threads : {1, 2, 3}) check_layers(threads);
        check_streams();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    std::printf("the core is right with %s\n", elman::kernels().name);
}
