#include "memory/pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

namespace elman {
namespace {

constexpr size_t huge_page = size_t(2) << 20, page = 4096;
constexpr size_t most_kept = size_t(512) << 20;

// Stands before each block; as large as a cache line, so that the block starts on one.
struct alignas(64) Header {
    void* start;  // of what the system gave
    size_t size;  // of header and block
};

struct Kept {
    std::mutex mutex;
    std::vector<Header*> blocks;  // the one returned last at the end
    size_t bytes = 0;
    int fill = -1;
};

// Never destroyed: arrays may outlive every other object of the process.
Kept& kept() {
    static Kept& self = *new Kept;
    return self;
}

// The smallest that fits without wasting more than a half, the latest of equals.
Header* find(Kept& in, size_t size) {
    auto best = in.blocks.end();
    for (auto it = in.blocks.begin(); it != in.blocks.end(); ++it)
        if ((*it)->size >= size && (*it)->size <= size + size / 2 &&
            (best == in.blocks.end() || (*it)->size <= (*best)->size))
            best = it;
    if (best == in.blocks.end()) return nullptr;
    Header* const found = *best;
    in.blocks.erase(best);
    in.bytes -= found->size;
    return found;
}

Header* make(size_t size) {
    const size_t border = size >= huge_page ? huge_page : 64;
    // Blocks on the same border of a page would have to wait for one another's writes: the
    // processor compares the last twelve bits of addresses first.
    static size_t colour = 0;
    void* const start = std::aligned_alloc(border, size + page);
    if (!start) throw std::bad_alloc();
    auto* const made = reinterpret_cast<Header*>(static_cast<char*>(start) + colour++ % 16 * 64);
    made->start = start;
#if defined(__linux__)
    if (border == huge_page) madvise(start, size, MADV_HUGEPAGE);
#endif
    made->size = size;
    return made;
}

}  // namespace

void* take_memory(size_t bytes) {
    if (bytes > size_t(1) << 46) throw std::bad_alloc();
    const size_t wanted = bytes + sizeof(Header);
    const size_t border = wanted >= huge_page ? huge_page : page;
    const size_t size = (wanted + border - 1) / border * border;
    Kept& all = kept();
    const std::lock_guard<std::mutex> lock(all.mutex);
    Header* header = find(all, size);
    if (!header) header = make(size);
    if (all.fill >= 0) std::memset(header + 1, all.fill, header->size - sizeof(Header));
    return header + 1;
}

void return_memory(void* block) noexcept {
    if (!block) return;
    Header* const header = static_cast<Header*>(block) - 1;
    Kept& all = kept();
    const std::lock_guard<std::mutex> lock(all.mutex);
    all.blocks.push_back(header);
    all.bytes += header->size;
    while (all.bytes > most_kept) {
        all.bytes -= all.blocks.front()->size;
        std::free(all.blocks.front()->start);
        all.blocks.erase(all.blocks.begin());
    }
}

void fill_memory_with(int byte) {
    Kept& all = kept();
    const std::lock_guard<std::mutex> lock(all.mutex);
    all.fill = byte;
}

size_t release_memory() {
    Kept& all = kept();
    const std::lock_guard<std::mutex> lock(all.mutex);
    const size_t bytes = all.bytes;
    for (Header* each : all.blocks) std::free(each->start);
    all.blocks.clear();
    all.bytes = 0;
    return bytes;
}

}  // namespace elman
