// CRC-32C (Castagnoli, RFC 3720 appendix B.4): how every 64 KiB block of a store's files is checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace potstill {

inline constexpr std::size_t kChecksumBlock = 65536;

// Of `size` bytes that follow those whose sum is `before` (0 for none).
std::uint32_t crc32c(const void* bytes, std::size_t size, std::uint32_t before = 0);

// The same by table, whatever the processor has.
std::uint32_t crc32c_by_table(const void* bytes, std::size_t size, std::uint32_t before = 0);

// One for each block of the file, the last one shorter unless it fits; none for an empty file.
std::vector<std::uint32_t> crc32c_blocks(const std::string& path);

}  // namespace potstill
