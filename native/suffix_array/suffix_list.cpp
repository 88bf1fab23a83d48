#include "suffix_array/suffix_list.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "suffix_array/error.hpp"
#include "suffix_array/packed.hpp"

namespace potstill {
namespace {

class MemoryReader final : public PositionReader {
  public:
    MemoryReader(const std::int32_t* next, const std::int32_t* stop, std::int64_t base)
        : next_(next), stop_(stop), base_(base) {}

    std::size_t read(std::uint64_t* positions, std::size_t most) override {
        const std::size_t count = std::min(most, static_cast<std::size_t>(stop_ - next_));
        for (std::size_t i = 0; i < count; ++i) positions[i] = static_cast<std::uint64_t>(next_[i] + base_);
        next_ += count;
        return count;
    }

  private:
    const std::int32_t* next_;
    const std::int32_t* stop_;
    std::int64_t base_;
};

constexpr std::size_t kBufferedEntries = std::size_t{1} << 14;

class PartReader final : public PositionReader {
  public:
    PartReader(const InputFile& file, std::uint64_t base, std::uint64_t first, std::uint64_t stop)
        : file_(file), base_(base), next_(first), stop_(stop) {}

    std::size_t read(std::uint64_t* positions, std::size_t most) override {
        std::size_t done = 0;
        while (done < most) {
            if (used_ == entries_.size() && !fill()) break;
            const std::size_t count = std::min(most - done, entries_.size() - used_);
            for (std::size_t i = 0; i < count; ++i) positions[done + i] = base_ + entries_[used_ + i];
            used_ += count;
            done += count;
        }
        return done;
    }

  private:
    bool fill() {
        entries_.resize(std::min<std::uint64_t>(kBufferedEntries, stop_ - next_));
        file_.read(entries_.data(), entries_.size() * 4, next_ * 4);
        next_ += entries_.size();
        used_ = 0;
        return !entries_.empty();
    }

    const InputFile& file_;
    std::uint64_t base_;
    std::uint64_t next_;
    std::uint64_t stop_;
    std::vector<std::uint32_t> entries_;
    std::size_t used_ = 0;
};

class PackedReader final : public PositionReader {
  public:
    PackedReader(const PackedFile& file, std::uint64_t first, std::uint64_t stop)
        : file_(file), next_(first), stop_(stop) {}

    std::size_t read(std::uint64_t* positions, std::size_t most) override {
        std::size_t done = 0;
        while (done < most) {
            if (used_ == kept_.size() && !fill()) break;
            const std::size_t count = std::min(most - done, kept_.size() - used_);
            std::copy_n(kept_.begin() + used_, count, positions + done);
            used_ += count;
            done += count;
        }
        return done;
    }

  private:
    // False at the end; a whole buffer may be skipped entries.
    bool fill() {
        kept_.clear();
        used_ = 0;
        if (next_ == stop_) return false;
        old_.resize(std::min<std::uint64_t>(kBufferedEntries, stop_ - next_));
        file_.unpack(next_, old_.size(), old_.data(), bytes_);
        next_ += old_.size();
        for (const std::uint64_t position : old_) {
            if (const auto moved = file_.map()(position)) kept_.push_back(*moved);
        }
        return true;
    }

    const PackedFile& file_;
    std::uint64_t next_;
    std::uint64_t stop_;
    std::vector<unsigned char> bytes_;
    std::vector<std::uint64_t> old_;
    std::vector<std::uint64_t> kept_;
    std::size_t used_ = 0;
};

}  // namespace

std::unique_ptr<PositionReader> SortedInMemory::read(std::uint64_t first, std::uint64_t stop) const {
    return std::make_unique<MemoryReader>(entries_ + first, entries_ + stop, base_);
}

PartFile::PartFile(const std::string& path, std::uint64_t base)
    : file_(path), base_(base), size_(file_.size() / 4) {
    if (file_.size() % 4 != 0) throw DamagedFile(path, size_ * 4, "the file ends inside an entry");
}

std::unique_ptr<PositionReader> PartFile::read(std::uint64_t first, std::uint64_t stop) const {
    return std::make_unique<PartReader>(file_, base_, first, stop);
}

std::optional<std::uint64_t> PartFile::at(std::uint64_t index) const {
    std::uint32_t entry;
    file_.read(&entry, 4, index * 4);
    return base_ + entry;
}

PositionMap::PositionMap(const std::vector<KeptRun>& runs) {
    std::uint64_t before = 0;
    for (const KeptRun& run : runs) {
        if (run.first < before || run.stop < run.first || run.stop >> 56 != 0 || run.new_first >> 56 != 0)
            throw std::invalid_argument("kept runs must ascend and stay apart");
        before = run.stop;
        if (run.first == run.stop) continue;
        KeptRun* last = runs_.empty() ? nullptr : &runs_.back();
        if (last && last->stop == run.first &&
            last->new_first + (last->stop - last->first) == run.new_first) {
            last->stop = run.stop;
        } else {
            runs_.push_back(run);
        }
    }
    if (runs_.empty()) return;
    // About as many candidates as runs, so that a look-up passes over one or two.
    const std::uint64_t end = runs_.back().stop;
    shift_ = std::bit_width(end / runs_.size());
    std::uint64_t run = 0;
    for (std::uint64_t position = 0; position < end; position += std::uint64_t{1} << shift_) {
        while (runs_[run].stop <= position) ++run;
        candidates_.push_back(run);
    }
}

std::optional<std::uint64_t> PositionMap::operator()(std::uint64_t position) const {
    const std::uint64_t slot = position >> shift_;
    if (slot >= candidates_.size()) return std::nullopt;
    const auto low = runs_.begin() + candidates_[slot];
    const auto high = slot + 1 < candidates_.size() ? runs_.begin() + candidates_[slot + 1] : runs_.end() - 1;
    // Runs before `low` end too early, and `high` does not.
    const auto run = std::partition_point(low, high, [&](const KeptRun& r) { return r.stop <= position; });
    if (position < run->first || position >= run->stop) return std::nullopt;
    return run->new_first + (position - run->first);
}

PackedFile::PackedFile(const std::string& path, int bits, std::uint64_t size,
                       const std::vector<KeptRun>& kept)
    : file_(path), bits_(bits), size_(size), map_(kept) {
    if (bits < 1 || bits > kMostPackedBits) throw std::invalid_argument("position_bits must be from 1 to 57");
    if (size >> 56 != 0) throw std::invalid_argument("num_suffixes must be below 2**56");
    if (const std::uint64_t bytes = file_.size(); bytes < packed_bytes(size, bits))
        throw DamagedFile(path, bytes, "the file ends here, before its last entry");
}

std::unique_ptr<PositionReader> PackedFile::read(std::uint64_t first, std::uint64_t stop) const {
    return std::make_unique<PackedReader>(*this, first, stop);
}

std::optional<std::uint64_t> PackedFile::at(std::uint64_t index) const {
    std::uint64_t position;
    std::vector<unsigned char> bytes;
    unpack(index, 1, &position, bytes);
    return map_(position);
}

void PackedFile::unpack(std::uint64_t first, std::size_t count, std::uint64_t* positions,
                        std::vector<unsigned char>& bytes) const {
    const std::uint64_t first_byte = first * bits_ / 8;
    bytes.resize((first + count) * bits_ / 8 - first_byte + 8);
    file_.read(bytes.data(), bytes.size(), first_byte);
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t bit = (first + i) * bits_ - first_byte * 8;
        std::uint64_t word;
        std::memcpy(&word, bytes.data() + bit / 8, 8);
        positions[i] = (word >> (bit % 8)) & ((std::uint64_t{1} << bits_) - 1);
    }
}

}  // namespace potstill
