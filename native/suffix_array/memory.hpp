// Large blocks of memory, zero at first, on large pages where the system gives them.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <utility>

namespace potstill {

template <typename T>
class Memory {
  public:
    Memory() = default;
    explicit Memory(std::size_t size) : size_(size) {
        if (size == 0) return;
        void* got =
            mmap(nullptr, size * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (got == MAP_FAILED) throw std::bad_alloc();
        data_ = static_cast<T*>(got);
#ifdef MADV_HUGEPAGE
        // Random accesses all over a large block would miss the translation buffer on small pages.
        if (size * sizeof(T) >= kLarge) madvise(got, size * sizeof(T), MADV_HUGEPAGE);
#endif
    }
    ~Memory() {
        if (data_ != nullptr) munmap(data_, size_ * sizeof(T));
    }
    Memory(Memory&& other) noexcept { swap(other); }
    Memory& operator=(Memory&& other) noexcept {
        Memory(std::move(other)).swap(*this);
        return *this;
    }

    T* data() const { return data_; }
    std::size_t size() const { return size_; }
    T& operator[](std::size_t i) const { return data_[i]; }

  private:
    static constexpr std::size_t kLarge = std::size_t{4} << 20;

    void swap(Memory& other) {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
    }

    T* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace potstill
