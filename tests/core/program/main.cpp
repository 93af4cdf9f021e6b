// The core without Python, on the instruction set that ELMAN_ISA names.
//
//     core_tests                 everything, with teams of 1, 2 and 3
//     core_tests layers teams 2  these parts, with teams of 2
//     core_tests --isas          lists the instruction sets
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <exception>

#include "check.h"
#include "simd/isa.h"

int main(int count, char** arguments) {
    std::vector<std::string> parts;
    std::vector<size_t> threads;
    for (const std::string& word : std::vector<std::string>(arguments + 1, arguments + count)) {
        if (word == "--isas") {
            for (const std::string& each : elman::available_isas()) std::puts(each.c_str());
            return 0;
        }
        if (std::isdigit(static_cast<unsigned char>(word[0])))
            threads.push_back(std::stoul(word));
        else
            parts.push_back(word);
    }
    if (threads.empty()) threads = {1, 2, 3};
    const auto wanted = [&](const char* part) {
        return parts.empty() || std::find(parts.begin(), parts.end(), part) != parts.end();
    };
    try {
        if (wanted("memory")) check_memory();
        if (wanted("layers"))
            for (const size_t each : threads) check_layers(each);
        if (wanted("streams")) check_streams();
        if (wanted("shared"))
            for (const size_t each : threads)
                if (each > 1) check_shared_streams(each);
        if (wanted("teams")) check_teams();
        std::printf("the core is right with %s\n", elman::kernels().name);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
