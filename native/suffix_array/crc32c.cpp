#include "suffix_array/crc32c.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "suffix_array/file.hpp"

namespace potstill {
namespace {

constexpr std::uint32_t kReversedPolynomial = 0x82F63B78;
constexpr std::size_t kSlices = 8;

using Tables = std::array<std::array<std::uint32_t, 256>, kSlices>;

constexpr Tables make_tables() {
    Tables tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t remainder = byte;
        for (int bit = 0; bit < 8; ++bit)
            remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? kReversedPolynomial : 0);
        tables[0][byte] = remainder;
    }
    for (std::size_t slice = 1; slice < kSlices; ++slice) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const std::uint32_t before = tables[slice - 1][byte];
            tables[slice][byte] = (before >> 8) ^ tables[0][before & 0xFF];
        }
    }
    return tables;
}

constexpr Tables kTables = make_tables();

std::uint64_t load_8(const unsigned char* bytes) {
    std::uint64_t word;
    std::memcpy(&word, bytes, 8);
    return word;
}

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define POTSTILL_HAS_CRC_INSTRUCTION

__attribute__((target("sse4.2"))) std::uint32_t crc32c_by_instruction(const unsigned char* bytes,
                                                                      std::size_t size,
                                                                      std::uint32_t before) {
    std::uint64_t sum = ~before;
    for (; size >= 8; size -= 8, bytes += 8) sum = __builtin_ia32_crc32di(sum, load_8(bytes));
    auto low = static_cast<std::uint32_t>(sum);
    for (; size > 0; --size, ++bytes) low = __builtin_ia32_crc32qi(low, *bytes);
    return ~low;
}
#endif

}  // namespace

std::uint32_t crc32c_by_table(const void* bytes, std::size_t size, std::uint32_t before) {
    const auto* next = static_cast<const unsigned char*>(bytes);
    std::uint32_t sum = ~before;
    for (; size >= kSlices; size -= kSlices, next += kSlices) {
        const std::uint64_t word = load_8(next) ^ sum;
        sum = 0;
        for (std::size_t slice = 0; slice < kSlices; ++slice)
            sum ^= kTables[kSlices - 1 - slice][(word >> (8 * slice)) & 0xFF];
    }
    for (; size > 0; --size, ++next) sum = (sum >> 8) ^ kTables[0][(sum ^ *next) & 0xFF];
    return ~sum;
}

std::uint32_t crc32c(const void* bytes, std::size_t size, std::uint32_t before) {
#ifdef POTSTILL_HAS_CRC_INSTRUCTION
    static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
    if (has_instruction) return crc32c_by_instruction(static_cast<const unsigned char*>(bytes), size, before);
#endif
    return crc32c_by_table(bytes, size, before);
}

std::vector<std::uint32_t> crc32c_blocks(const std::string& path) {
    constexpr std::size_t kBlocksARead = 16;
    const InputFile file(path);
    std::vector<unsigned char> buffer(kBlocksARead * kChecksumBlock);
    std::vector<std::uint32_t> sums;
    std::uint64_t offset = 0;
    while (true) {
        const std::size_t size = file.read_up_to(buffer.data(), buffer.size(), offset);
        for (std::size_t first = 0; first < size; first += kChecksumBlock)
            sums.push_back(crc32c(buffer.data() + first, std::min(kChecksumBlock, size - first)));
        if (size < buffer.size()) return sums;
        offset += size;
    }
}

}  // namespace potstill
