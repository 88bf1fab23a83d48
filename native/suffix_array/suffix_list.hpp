// Suffixes in order, read from memory or from files: what is merged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "suffix_array/file.hpp"

namespace potstill {

// Positions in the joined stream, in the order of their suffixes.
class PositionReader {
  public:
    virtual ~PositionReader() = default;
    // The next positions, `most` unless the list ends.
    virtual std::size_t read(std::uint64_t* positions, std::size_t most) = 0;
};

class SuffixList {
  public:
    virtual ~SuffixList() = default;
    // Entries, those that are skipped included.
    virtual std::uint64_t size() const = 0;
    virtual std::unique_ptr<PositionReader> read(std::uint64_t first, std::uint64_t stop) const = 0;
    // Position of an entry, or none if it is skipped.
    virtual std::optional<std::uint64_t> at(std::uint64_t index) const = 0;
};

// Sorted in this process: entries that count from `base`.
class SortedInMemory final : public SuffixList {
  public:
    SortedInMemory(const std::int32_t* entries, std::uint64_t size, std::int64_t base)
        : entries_(entries), size_(size), base_(base) {}
    std::uint64_t size() const override { return size_; }
    std::unique_ptr<PositionReader> read(std::uint64_t first, std::uint64_t stop) const override;
    std::optional<std::uint64_t> at(std::uint64_t index) const override {
        return static_cast<std::uint64_t>(entries_[index] + base_);
    }

  private:
    const std::int32_t* entries_;
    std::uint64_t size_;
    std::int64_t base_;
};

// A file of u32 that count from `base`.
class PartFile final : public SuffixList {
  public:
    PartFile(const std::string& path, std::uint64_t base);
    std::uint64_t size() const override { return size_; }
    std::unique_ptr<PositionReader> read(std::uint64_t first, std::uint64_t stop) const override;
    std::optional<std::uint64_t> at(std::uint64_t index) const override;

  private:
    InputFile file_;
    std::uint64_t base_;
    std::uint64_t size_;
};

// Positions from `first` up to `stop` of a segment stand from `new_first` on in the joined stream.
struct KeptRun {
    std::uint64_t first;
    std::uint64_t stop;
    std::uint64_t new_first;
};

// Where the kept positions of a segment went.
class PositionMap {
  public:
    // Ascending and apart; std::invalid_argument otherwise.
    explicit PositionMap(const std::vector<KeptRun>& runs);
    std::optional<std::uint64_t> operator()(std::uint64_t position) const;

  private:
    std::vector<KeptRun> runs_;
    int shift_ = 0;
    // The first run that does not end before a multiple of 2**shift_.
    std::vector<std::uint64_t> candidates_;
};

// A segment's suffixes.bin.
class PackedFile final : public SuffixList {
  public:
    PackedFile(const std::string& path, int bits, std::uint64_t size, const std::vector<KeptRun>& kept);
    std::uint64_t size() const override { return size_; }
    std::unique_ptr<PositionReader> read(std::uint64_t first, std::uint64_t stop) const override;
    std::optional<std::uint64_t> at(std::uint64_t index) const override;

    // Old positions of the entries [first, first + count), through `bytes` as a buffer.
    void unpack(std::uint64_t first, std::size_t count, std::uint64_t* positions,
                std::vector<unsigned char>& bytes) const;
    const PositionMap& map() const { return map_; }

  private:
    InputFile file_;
    int bits_;
    std::uint64_t size_;
    PositionMap map_;
};

}  // namespace potstill
