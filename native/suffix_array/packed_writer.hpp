// Packed numbers written to a stretch of a file that others write stretches of too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "suffix_array/file.hpp"

namespace potstill {

// A byte at the border of two stretches, and the bits that one of them puts there.
struct SharedByte {
    std::uint64_t offset;
    unsigned char bits;
};

class PackedWriter {
  public:
    // Numbers of `bits` bits, from 1 to 57, from number `first` of the file on.
    PackedWriter(const std::string& path, int bits, std::uint64_t first)
        : file_(path, first * bits / 8),
          bits_(bits),
          first_byte_(first * bits / 8),
          used_(static_cast<int>(first * bits % 8)),
          is_first_shared_(used_ != 0) {}

    void append(std::uint64_t number) {
        word_ |= number << used_;
        used_ += bits_;
        if (used_ >= 64) [[unlikely]] {
            emit();
            used_ -= 64;
            word_ = used_ == 0 ? 0 : number >> (bits_ - used_);
        }
    }

    // The bytes at either end, which hold this stretch's bits only until somebody sets the shared ones.
    // Syncs.
    std::vector<SharedByte> finish() {
        const std::uint64_t last_word = first_byte_ + num_words_ * 8;
        std::vector<SharedByte> shared;
        const int num_bytes = (used_ + 7) / 8;
        if (is_first_shared_)
            shared.push_back({first_byte_, static_cast<unsigned char>(num_words_ > 0 ? first_word_ : word_)});
        if (used_ % 8 != 0 && (num_words_ > 0 || num_bytes > 1 || !is_first_shared_))
            shared.push_back(
                {last_word + num_bytes - 1, static_cast<unsigned char>(word_ >> (8 * (num_bytes - 1)))});
        file_.append(&word_, num_bytes);
        file_.finish();
        return shared;
    }

  private:
    void emit() {
        if (num_words_++ == 0) first_word_ = word_;
        file_.append_number(word_);
    }

    OutputFile file_;
    int bits_;
    std::uint64_t first_byte_;
    std::uint64_t num_words_ = 0;
    std::uint64_t first_word_ = 0;
    std::uint64_t word_ = 0;
    int used_;
    bool is_first_shared_;
};

}  // namespace potstill
