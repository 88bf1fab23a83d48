#include "suffix_array/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "suffix_array/error.hpp"

namespace potstill {
namespace {

// Below this a file is read in one go anyway, and telling the kernel otherwise would cost more than it saves.
constexpr std::uint64_t kRandomFromBytes = std::uint64_t{4} << 20;

class Descriptor {
  public:
    explicit Descriptor(const std::string& path) : number_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
        if (number_ < 0) throw_errno(path);
    }
    ~Descriptor() { close(number_); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int number() const { return number_; }

  private:
    int number_;
};

void check_size(const std::string& path, int descriptor, const FileRecord& record) {
    struct stat status{};
    if (fstat(descriptor, &status) != 0) throw_errno(path);
    const auto size = static_cast<std::uint64_t>(status.st_size);
    const std::string written = "the file should have " + std::to_string(record.bytes) + " bytes";
    if (size < record.bytes) throw DamagedFile(path, size, "is cut short: " + written);
    if (size > record.bytes) throw DamagedFile(path, record.bytes, "is longer than it was: " + written);
    if (record.checksums.size() != (size + kChecksumBlock - 1) / kChecksumBlock) {
        throw DamagedFile(path, 0,
                          "its record has " + std::to_string(record.checksums.size()) +
                              " checksums, which does not fit its size");
    }
}

}  // namespace

MappedFile::MappedFile(std::string path, FileRecord record)
    : path_(std::move(path)), record_(std::move(record)) {
    const Descriptor descriptor(path_);
    check_size(path_, descriptor.number(), record_);
    if (record_.bytes == 0) return;
    void* mapped = mmap(nullptr, record_.bytes, PROT_READ, MAP_SHARED, descriptor.number(), 0);
    if (mapped == MAP_FAILED) throw_errno(path_);
    bytes_ = static_cast<unsigned char*>(mapped);
    if (record_.bytes >= kRandomFromBytes) madvise(mapped, record_.bytes, MADV_RANDOM);
    verified_ = std::make_unique<std::atomic<std::uint8_t>[]>(num_blocks());
}

MappedFile::~MappedFile() {
    if (bytes_ != nullptr) munmap(bytes_, record_.bytes);
}

void MappedFile::verify_block(std::uint64_t block) const {
    const std::uint64_t offset = block * kChecksumBlock;
    const std::uint64_t length = std::min<std::uint64_t>(kChecksumBlock, record_.bytes - offset);
    // MADV_RANDOM reads a page at a time; the whole block is wanted here.
    madvise(bytes_ + offset, length, MADV_WILLNEED);
    if (crc32c(bytes_ + offset, length) != record_.checksums[block]) {
        throw DamagedFile(path_, offset,
                          "the block of " + std::to_string(length) + " bytes there is not what was written");
    }
    verified_[block].store(1, std::memory_order_relaxed);
}

void MappedFile::touch_all() const {
    for (std::uint64_t block = 0; block < num_blocks(); ++block) {
        if (!is_verified(block)) verify_block(block);
    }
}

void MappedFile::swap(MappedFile& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(record_, other.record_);
    std::swap(bytes_, other.bytes_);
    std::swap(verified_, other.verified_);
}

}  // namespace potstill
