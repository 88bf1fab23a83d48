// The sums beside the published ones, and the instruction beside the table.
#include "suffix_array/crc32c.hpp"

#include <cstring>
#include <random>

#include "suffix_array/error.hpp"
#include "suffix_array/file.hpp"
#include "tests/check.hpp"
#include "tests/temporary_folder.hpp"

namespace potstill {
namespace {

void test_published_values() {
    // RFC 3720, appendix B.4.
    unsigned char bytes[32] = {};
    CHECK(crc32c(bytes, 32) == 0x8A9136AA);
    std::memset(bytes, 0xFF, 32);
    CHECK(crc32c(bytes, 32) == 0x62A8AB43);
    for (unsigned char i = 0; i < 32; ++i) bytes[i] = i;
    CHECK(crc32c(bytes, 32) == 0x46DD794E);
    CHECK(crc32c("123456789", 9) == 0xE3069283);
    CHECK(crc32c("", 0) == 0);
}

void test_both_ways_agree() {
    std::mt19937 random(1);
    std::vector<unsigned char> bytes(300);
    for (auto& byte : bytes) byte = static_cast<unsigned char>(random());
    for (std::size_t size = 0; size < 200; ++size) {
        const unsigned char* start = bytes.data() + size % 17;
        const std::uint32_t whole = crc32c_by_table(start, size);
        CHECK(crc32c(start, size) == whole);
        CHECK(crc32c(start + size / 3, size - size / 3, crc32c(start, size / 3)) == whole);
    }
}

void test_blocks_of_a_file() {
    const TemporaryFolder folder;
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, kChecksumBlock, 16 * kChecksumBlock, 17 * kChecksumBlock + 5}) {
        std::vector<unsigned char> bytes(size);
        for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(i * 7 + i / 251);
        OutputFile file(folder.file("f"));
        file.append(bytes.data(), size);
        file.finish();
        const auto sums = crc32c_blocks(folder.file("f"));
        CHECK(sums.size() == (size + kChecksumBlock - 1) / kChecksumBlock);
        for (std::size_t i = 0; i < sums.size(); ++i) {
            const std::size_t first = i * kChecksumBlock;
            CHECK(sums[i] == crc32c(bytes.data() + first, std::min(kChecksumBlock, size - first)));
        }
    }
    CHECK_THROWS(crc32c_blocks(folder.file("none")), FileRefused);
}

}  // namespace

void test_crc32c() {
    test_published_values();
    test_both_ways_agree();
    test_blocks_of_a_file();
}

}  // namespace potstill
