// The pool of memory: what is kept, for how long, and that neither threads nor a fork disturb it.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <new>
#include <thread>

#include "check.h"
#include "memory/pool.h"

using namespace elman;

namespace {

void keeps_a_bounded_amount() {
    std::vector<void*> blocks;
    for (size_t i = 0; i < 1000; ++i) blocks.push_back(take_memory(i * 37));
    for (void* each : blocks) return_memory(each);
    expect(release_memory() <= 256 * (1000 * 37 + 4096), "memory", "too many blocks are kept");
    return_memory(take_memory(size_t(600) << 20));
    expect(release_memory() == 0, "memory", "a block above the limit is kept");
    for (int i = 0; i < 3; ++i) return_memory(take_memory(size_t(3) << 20));
    expect(release_memory() < size_t(9) << 20, "memory", "a block is not used again");
}

void refuses_what_nobody_has() {
    for (const size_t bytes : {size_t(1) << 45, size_t(1) << 60, ~size_t(0)}) {
        bool refused = false;
        try {
            return_memory(take_memory(bytes));
        } catch (const std::bad_alloc&) {
            refused = true;
        }
        expect(refused, "memory", "more than any machine has was granted");
    }
}

void fills() {
    for (const size_t bytes : {size_t(0), size_t(1), size_t(100), size_t(3) << 20}) {
        fill_memory_with(0xFF);
        auto* block = static_cast<unsigned char*>(take_memory(bytes));
        for (size_t i = 0; i < bytes; ++i) expect(block[i] == 0xFF, "memory", "not filled");
        fill_memory_with(-1);
        return_memory(block);
    }
}

// Four threads take and return; meanwhile children are born, for whom the lock must be free.
void survives_threads_and_forks() {
    std::atomic<bool> done = false;
    std::vector<std::thread> threads;
    for (size_t n = 1; n <= 4; ++n)
        threads.emplace_back([&done, n] {
            while (!done) {
                auto* block = static_cast<char*>(take_memory(n * 5000));
                std::memset(block, int(n), n * 5000);
                expect(block[n * 5000 - 1] == char(n), "memory", "two threads share a block");
                return_memory(block);
            }
        });
    for (int i = 0; i < 50; ++i) {
        const pid_t child = fork();
        if (child == 0) {
            return_memory(take_memory(5000));
            _exit(0);
        }
        int status = 1;
        waitpid(child, &status, 0);
        expect(status == 0, "memory", "a child failed");
    }
    done = true;
    for (std::thread& each : threads) each.join();
}

}  // namespace

void check_memory() {
    keeps_a_bounded_amount();
    refuses_what_nobody_has();
    fills();
    survives_threads_and_forks();
}
