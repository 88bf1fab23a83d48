// A file mapped for reading, whose blocks are held against their checksums when they are first touched.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "suffix_array/crc32c.hpp"

namespace potstill {

// What a sealed record says of a file.
struct FileRecord {
    std::uint64_t bytes = 0;
    std::vector<std::uint32_t> checksums;  // CRC-32C of each 64 KiB block
};

// Reading bytes that were not touched before is a mistake of the caller: they may not be what was written.
// A file that is cut short while it is mapped ends the process (SIGBUS), as with every mapping.
class MappedFile {
  public:
    MappedFile() = default;
    // std::system_error if it cannot be opened, DamagedFile if its size is not the recorded one.
    MappedFile(std::string path, FileRecord record);
    ~MappedFile();
    MappedFile(MappedFile&& other) noexcept { swap(other); }
    MappedFile& operator=(MappedFile&& other) noexcept {
        swap(other);
        return *this;
    }

    const std::string& path() const { return path_; }
    const unsigned char* bytes() const { return bytes_; }
    std::uint64_t size() const { return record_.bytes; }
    std::uint64_t num_blocks() const { return record_.checksums.size(); }

    // `length` in 1 .. 64 KiB, all inside the file. Throws DamagedFile when a block is not what was written.
    void touch(std::uint64_t offset, std::uint64_t length) const {
        const std::uint64_t first = offset / kChecksumBlock;
        const std::uint64_t last = (offset + length - 1) / kChecksumBlock;
        if (is_verified(first) && is_verified(last)) [[likely]]
            return;
        verify_block(first);
        if (last != first) verify_block(last);
    }

    // Also of a block that was found right before.
    void verify_block(std::uint64_t block) const;
    void touch_all() const;

  private:
    bool is_verified(std::uint64_t block) const {
        return verified_[block].load(std::memory_order_relaxed) != 0;
    }
    void swap(MappedFile& other) noexcept;

    std::string path_;
    FileRecord record_;
    unsigned char* bytes_ = nullptr;
    std::unique_ptr<std::atomic<std::uint8_t>[]> verified_;
};

}  // namespace potstill
