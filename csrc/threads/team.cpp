#include "threads/team.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <new>
#include <thread>

namespace elman {
namespace {

constexpr int spins = 4000;  // about 0.1 ms
constexpr size_t most_threads = 256;
constexpr size_t abandoned = std::numeric_limits<size_t>::max();  // in place of a round

struct Abandoned : std::exception {};  // thrown by those who wait for one that has thrown

void rest(int turn) {
    if (turn > spins) {
        sched_yield();
        return;
    }
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

template <class F>
F symbol(const char* name) {
    return reinterpret_cast<F>(dlsym(RTLD_DEFAULT, name));
}

// GNU OpenMP, where the process has loaded it for everyone to see, as PyTorch does.
struct OpenMp {
    using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
    Parallel parallel = symbol<Parallel>("GOMP_parallel");
    int (*index)() = symbol<int (*)()>("omp_get_thread_num");
    int (*count)() = symbol<int (*)()>("omp_get_num_threads");

    bool found() const { return parallel && index && count; }
};

// PyTorch may be imported after us, so it is looked up until it is found.
const OpenMp* openmp() {
    static std::atomic<const OpenMp*> known = nullptr;
    const OpenMp* found = known.load(std::memory_order_acquire);
    if (found) return found;
    if (const OpenMp now; now.found()) known.store(found = new OpenMp(now));
    return found;
}

struct Call {
    Work work;
    void* job;
    size_t threads;
    Barrier barrier{};
    std::atomic<bool> failed = false;
    std::exception_ptr error{};

    // Of several that throw the first counts: the others may have thrown for its absence.
    void run(size_t index, size_t count) noexcept {
        try {
            work({index, count, barrier}, job);
        } catch (...) {
            if (!failed.exchange(true)) error = std::current_exception();
            barrier.abandon();
        }
    }
};

// Threads of our own, for processes without OpenMP. Nothing in here needs to be destroyed: they
// live as long as the process does.
class Pool {
  public:
    void run(Call& call) {
        if (busy_.exchange(true, std::memory_order_acquire)) {
            call.threads = 1;  // others have them: alone is sooner
            return call.run(0, 1);
        }
        grow(call.threads - 1);
        call.threads = std::min(call.threads, workers_ + 1);
        call_ = &call;
        left_.store(call.threads - 1, std::memory_order_relaxed);
        for (size_t i = 1; i < call.threads; ++i) {
            wanted_[i] = 1;
            wanted_[i].notify_one();
        }
        call.run(0, call.threads);
        for (int i = 0; left_.load(std::memory_order_acquire) != 0; ++i) rest(i);
        busy_.store(false, std::memory_order_release);
    }

  private:
    // As far as the system lets it.
    void grow(size_t workers) {
        try {
            for (; workers_ < workers; ++workers_)
                std::thread(&Pool::work, this, workers_ + 1).detach();
        } catch (const std::exception&) {
        }
    }

    void work(size_t index) {
        for (std::atomic<int>& wanted = wanted_[index];;) {
            for (int i = 0; i < spins && !wanted.load(std::memory_order_acquire); ++i) rest(i);
            wanted.wait(0, std::memory_order_acquire);
            wanted.store(0, std::memory_order_relaxed);
            call_->run(index, call_->threads);
            left_.fetch_sub(1, std::memory_order_release);
        }
    }

    std::atomic<bool> busy_ = false;
    std::atomic<int> wanted_[most_threads] = {};  // one a worker, so that no others awake
    std::atomic<size_t> left_ = 0;
    size_t workers_ = 0;
    Call* call_ = nullptr;
};

Pool pool;
std::atomic<bool> forked = false;

// A fork takes all threads but its own: the child starts a pool anew, and leaves OpenMP alone,
// which would wait for the lost ones for ever.
void after_fork() {
    forked = true;
    new (&pool) Pool;
}

[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, after_fork);

}  // namespace

size_t Barrier::arrive(size_t count) {
    const size_t round = round_.load(std::memory_order_acquire);
    if (round != abandoned && arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
        arrived_.store(0, std::memory_order_relaxed);
        // Where another has thrown in the meantime, this must not be undone.
        size_t expected = round;
        round_.compare_exchange_strong(expected, round + 1, std::memory_order_acq_rel);
    }
    return round;
}

void Barrier::leave(size_t round) const {
    for (int i = 0; round_.load(std::memory_order_acquire) == round && round != abandoned; ++i)
        rest(i);
    if (round_.load(std::memory_order_acquire) == abandoned) throw Abandoned();
}

// Who has thrown arrives nowhere any more, so no round can end after this one.
void Barrier::abandon() noexcept {
    round_.store(abandoned, std::memory_order_release);
}

void run_team(size_t threads, Work work, void* job) {
    Call call{work, job, std::clamp<size_t>(threads, 1, most_threads)};
    const OpenMp* const shared = call.threads == 1 || forked ? nullptr : openmp();
    if (call.threads == 1) {
        call.run(0, 1);
    } else if (shared) {
        // The team is as large as OpenMP makes it: one thread inside a parallel region.
        struct Start {
            Call& call;
            const OpenMp& openmp;
        } start{call, *shared};
        const auto each = [](void* data) {
            const auto& [call, openmp] = *static_cast<Start*>(data);
            call.run(static_cast<size_t>(openmp.index()), static_cast<size_t>(openmp.count()));
        };
        shared->parallel(each, &start, static_cast<unsigned>(call.threads), 0);
    } else {
        pool.run(call);
    }
    if (call.error) std::rethrow_exception(call.error);
}

}  // namespace elman
