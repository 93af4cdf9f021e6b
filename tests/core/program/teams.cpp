// Teams: barriers, exceptions, several callers at once, and children after a fork.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <thread>

#include "check.h"
#include "threads/team.h"

using elman::run_team;
using elman::Team;

namespace {

// Each adds to one number in turn: without barriers the sum is wrong, and a sanitiser sees a race.
struct Turns {
    size_t turns, sum = 0;
    static void work(const Team& team, void* job) {
        Turns& self = *static_cast<Turns*>(job);
        for (size_t i = 0; i < self.turns; ++i) {
            if (i % team.count == team.index) self.sum += i;
            team.meet();
        }
    }
};

void add_up(size_t threads, size_t turns) {
    Turns job{turns};
    run_team(threads, &Turns::work, &job);
    expect(job.sum == turns * (turns - 1) / 2, "team of " + std::to_string(threads), "wrong sum");
}

// One throws before it reaches a barrier at which all others wait.
void throw_in(size_t threads, size_t who) {
    bool caught = false;
    try {
        run_team(
            threads,
            [](const Team& team, void* job) {
                team.meet();
                if (team.index == *static_cast<size_t*>(job) % team.count) throw std::bad_alloc();
                for (int i = 0; i < 3; ++i) team.meet();
            },
            &who);
    } catch (const std::bad_alloc&) {
        caught = true;
    }
    expect(caught, "throw", "the exception did not arrive");
}

void nest() {
    std::atomic<size_t> calls = 0;
    run_team(
        3,
        [](const Team&, void* outer) {
            run_team(
                2, [](const Team&, void* inner) { ++*static_cast<std::atomic<size_t>*>(inner); },
                outer);
        },
        &calls);
    expect(calls >= 1 && calls <= 6, "a team within a team", "calls were lost");
}

// A child has no threads but its own, and must find its way, even into children of its own.
void fork_child(int depth) {
    const pid_t child = fork();
    if (child == 0) {
        add_up(2, 50);
        if (depth > 0) fork_child(depth - 1);
        _exit(0);
    }
    int status = 1;
    waitpid(child, &status, 0);
    expect(status == 0, "fork", "a child failed");
}

}  // namespace

void check_teams() {
    for (const size_t threads : {1, 2, 3, 7}) add_up(threads, 200);
    for (const size_t threads : {1, 2, 3})
        for (size_t who = 0; who < threads; ++who) throw_in(threads, who);
    add_up(2, 200);
    nest();
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i)
        callers.emplace_back([] {
            for (int turn = 0; turn < 20; ++turn) add_up(2, 20);
        });
    for (std::thread& each : callers) each.join();
    fork_child(1);
    add_up(100'000, 3);  // as many as the system gives, and no more than the limit
}
