// A segment written the slow, obvious way, and what is true of its documents by looking at all of them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "suffix_array/segment.hpp"
#include "tests/temporary_folder.hpp"

namespace potstill {

using Document = std::vector<Token>;
using Documents = std::vector<Document>;

class NaiveSegment {
  public:
    NaiveSegment(const Documents& documents, std::uint32_t vocab_size, int symbol_bytes, bool has_tables);

    SegmentShape shape;
    std::map<std::string, std::string> contents;  // of each file

    // Writes the files and opens them with the checksums of what is written.
    std::shared_ptr<const Segment> open() const;
    // The same with the checksums of `recorded`, which need not be what is on the disk.
    std::shared_ptr<const Segment> open_as(const NaiveSegment& recorded) const;

  private:
    void add_tables(const std::vector<Symbol>& symbols, const std::vector<std::uint64_t>& ranked);

    // Shared by copies, which write only what they hold differently.
    struct Disk {
        TemporaryFolder folder;
        std::map<std::string, std::string> contents;
    };
    std::shared_ptr<Disk> disk_ = std::make_shared<Disk>();
};

std::int64_t naive_count(const Documents& documents, const Document& query);

// By symbol, 0 for the end of a document.
std::map<Symbol, std::int64_t> naive_next(const Documents& documents, const Document& context);

}  // namespace potstill
