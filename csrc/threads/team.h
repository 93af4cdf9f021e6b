// A team: a few threads that run one function together and meet at barriers.
#pragma once

#include <atomic>
#include <cstddef>

namespace elman {

// Where all of a team meet. Waiting spins, since a timestep is shorter than any sleep; after a
// while it lets others have the processor, so that more threads than cores are slow, never stuck.
class Barrier {
  public:
    // Throws where one of the team will not come, since it has thrown.
    void wait(size_t count) { leave(arrive(count)); }
    // The same in two steps, between which there is something else to do.
    size_t arrive(size_t count);
    void leave(size_t round) const;
    void abandon() noexcept;

  private:
    alignas(64) std::atomic<size_t> arrived_ = 0;
    alignas(64) std::atomic<size_t> round_ = 0;
};

// One thread's place in its team.
struct Team {
    size_t index, count;
    Barrier& barrier;

    void meet() const {
        if (count > 1) barrier.wait(count);
    }
    size_t arrive() const { return count > 1 ? barrier.arrive(count) : 0; }
    void leave(size_t round) const {
        if (count > 1) barrier.leave(round);
    }
};

using Work = void (*)(const Team& team, void* job);

// Calls work(team, job) on up to `threads` threads at once and returns when all have returned; what
// the first of them throws is thrown here. The caller is one of them. Where the process has OpenMP
// threads (PyTorch's) they are the ones that work: a second pool would have to wait for the first
// to stop spinning. There are fewer threads than asked for inside of other parallel work, and where
// the system gives no more.
void run_team(size_t threads, Work work, void* job);

// The same for anything that can be called with a team.
template <class Job>
void run_team(size_t threads, const Job& job) {
    const void* const data = &job;
    const Work work = [](const Team& team, void* data) { (*static_cast<const Job*>(data))(team); };
    run_team(threads, work, const_cast<void*>(data));
}

}  // namespace elman
