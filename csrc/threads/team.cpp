#include "threads/team.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace elman {
namespace {

constexpr int spins = 4000;  // about 0.1 ms
constexpr size_t most_threads = 256;

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

// GNU OpenMP, where the process has loaded it for everyone to see, as PyTorch does. It is looked up
// at every call, since PyTorch may be imported after us.
struct OpenMp {
    using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
    Parallel parallel = symbol<Parallel>("GOMP_parallel");
    int (*index)() = symbol<int (*)()>("omp_get_thread_num");
    int (*count)() = symbol<int (*)()>("omp_get_num_threads");

    bool found() const { return parallel && index && count; }
};

struct Call {
    Work work;
    void* job;
    size_t threads;
    Barrier barrier{};
    OpenMp openmp{};
};

// Threads of our own, for processes without OpenMP. They live as long as the process does.
class Pool {
  public:
    void run(Call& call) {
        const std::unique_lock<std::mutex> turn(turn_, std::try_to_lock);
        if (!turn.owns_lock()) call.threads = 1;  // others have them: alone is sooner
        if (call.threads > 1) start(call);
        call.work({0, call.threads, call.barrier}, call.job);
        if (call.threads > 1)
            for (int i = 0; left_.load(std::memory_order_acquire) != 0; ++i) rest(i);
    }

  private:
    void start(Call& call) {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (; workers_ + 1 < call.threads; ++workers_)
            std::thread(&Pool::work, this, workers_ + 1, round_.load()).detach();
        call_ = &call;
        wanted_ = call.threads;
        left_.store(wanted_ - 1, std::memory_order_relaxed);
        round_.fetch_add(1, std::memory_order_release);
        wake_.notify_all();
    }

    void work(size_t index, size_t seen) {
        for (;;) {
            for (int i = 0; i < spins && round_.load(std::memory_order_acquire) == seen; ++i)
                rest(i);
            Call* call = nullptr;
            {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [&] { return round_.load() != seen; });
                seen = round_.load();
                if (index < wanted_) call = call_;  // the caller waits for these and no others
            }
            if (!call) continue;
            call->work({index, call->threads, call->barrier}, call->job);
            left_.fetch_sub(1, std::memory_order_release);
        }
    }

    std::mutex turn_, mutex_;
    std::condition_variable wake_;
    std::atomic<size_t> round_ = 0, left_ = 0;
    size_t workers_ = 0, wanted_ = 0;
    Call* call_ = nullptr;
};

// A fork takes all threads but its own: the child starts a pool anew, and leaves OpenMP alone,
// which would wait for the lost ones for ever.
std::atomic<Pool*> pool;
std::atomic<bool> forked = false;

void after_fork() {
    forked = true;
    pool = new Pool;
}

Pool& own_pool() {
    static const int registered = [] {
        if (!pool.load()) pool = new Pool;
        return pthread_atfork(nullptr, nullptr, after_fork);
    }();
    static_cast<void>(registered);
    return *pool.load();
}

}  // namespace

void Barrier::wait(size_t count) {
    const size_t round = round_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
        arrived_.store(0, std::memory_order_relaxed);
        round_.store(round + 1, std::memory_order_release);
        return;
    }
    for (int i = 0; round_.load(std::memory_order_acquire) == round; ++i) rest(i);
}

void run_team(size_t threads, Work work, void* job) {
    Call call{work, job, std::clamp<size_t>(threads, 1, most_threads)};
    if (call.threads == 1) return work({0, 1, call.barrier}, job);
    Pool& fallback = own_pool();
    if (forked || !call.openmp.found()) return fallback.run(call);
    const auto start = [](void* data) {
        Call& made = *static_cast<Call*>(data);
        // The team is as large as OpenMP makes it: one thread inside a parallel region.
        const size_t index = made.openmp.index(), count = made.openmp.count();
        made.work({index, count, made.barrier}, made.job);
    };
    call.openmp.parallel(start, &call, static_cast<unsigned>(call.threads), 0);
}

}  // namespace elman
