#include "suffix_array/places.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "suffix_array/error.hpp"

namespace potstill {
namespace {

// Searches at once, so that they wait for memory together.
constexpr std::size_t kGroup = 64;

void check_range(Range range, std::uint64_t size, const char* what) {
    if (range.lo > range.hi || range.hi > size) {
        throw std::out_of_range(std::string(what) + " " + std::to_string(range.lo) + " to " +
                                std::to_string(range.hi) + " are not within 0 to " + std::to_string(size));
    }
}

void check_document(const Segment& segment, std::uint64_t document) {
    if (document >= segment.shape().num_documents) {
        throw std::out_of_range("there is no document " + std::to_string(document) + " of " +
                                std::to_string(segment.shape().num_documents));
    }
}

std::vector<Token> tokens(const Segment& segment, Range positions) {
    std::vector<Token> ids = symbols(segment, positions);
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (ids[i]-- == 0) {
            const auto width = static_cast<std::uint64_t>(segment.shape().symbol_bytes);
            throw DamagedFile(segment.path("tokens.bin"), (positions.lo + i) * width,
                              "a document ends where its row says that it goes on");
        }
    }
    return ids;
}

// The last document that begins at a position or before, all of a group halving together.
void find_documents(const Segment& segment, std::span<const std::uint64_t> positions,
                    std::span<std::uint64_t> documents) {
    std::fill(documents.begin(), documents.end(), 0);
    // documents[i] begins at the position or before; the next `open` may too.
    for (std::uint64_t open = segment.shape().num_documents; open > 1;) {
        const std::uint64_t half = open / 2;
        for (const std::uint64_t document : documents) segment.prefetch_document_row(document + half);
        for (std::size_t i = 0; i < positions.size(); ++i) {
            if (segment.document_row(documents[i] + half).first_symbol <= positions[i]) documents[i] += half;
        }
        open -= half;
    }
}

}  // namespace

std::vector<std::uint64_t> positions(const Segment& segment, Range ranks) {
    check_range(ranks, segment.num_tokens(), "ranks");
    std::vector<std::uint64_t> found;
    found.reserve(ranks.size());
    for (std::uint64_t rank = ranks.lo; rank < ranks.hi; ++rank) found.push_back(segment.position(rank));
    return found;
}

Places documents(const Segment& segment, std::span<const std::uint64_t> positions) {
    for (const std::uint64_t position : positions) {
        check_range({position, position + 1}, segment.shape().num_symbols, "positions");
    }
    Places places;
    places.documents.resize(positions.size());
    places.offsets.resize(positions.size());
    for (std::size_t first = 0; first < positions.size(); first += kGroup) {
        const std::size_t size = std::min(kGroup, positions.size() - first);
        const std::span found(places.documents.data() + first, size);
        find_documents(segment, positions.subspan(first, size), found);
        for (std::size_t i = 0; i < size; ++i) {
            segment.check_holds(found[i], positions[first + i]);
            places.offsets[first + i] = positions[first + i] - segment.document_bounds(found[i]).lo;
        }
    }
    return places;
}

Passage passage(const Segment& segment, std::uint64_t rank, std::uint64_t max_tokens) {
    check_range({rank, rank + 1}, segment.num_tokens(), "ranks");
    const std::uint64_t position = segment.position(rank);
    Passage found;
    find_documents(segment, {&position, 1}, {&found.document, 1});
    segment.check_holds(found.document, position);
    const Range bounds = segment.document_bounds(found.document);
    found.offset = position - bounds.lo;
    found.num_tokens = bounds.size();
    found.first = found.offset - std::min(found.offset, max_tokens / 2);
    const std::uint64_t count = std::min(max_tokens, found.num_tokens - found.first);
    found.ids = tokens(segment, {bounds.lo + found.first, bounds.lo + found.first + count});
    return found;
}

std::vector<Symbol> symbols(const Segment& segment, Range positions) {
    check_range(positions, segment.shape().num_symbols, "positions");
    return segment.dispatch([&](const auto& text) {
        std::vector<Symbol> found;
        found.reserve(positions.size());
        for (std::uint64_t position = positions.lo; position < positions.hi; ++position) {
            found.push_back(text.at(position));
        }
        return found;
    });
}

Range document_bounds(const Segment& segment, std::uint64_t document) {
    check_document(segment, document);
    return segment.document_bounds(document);
}

DocumentRow document_row(const Segment& segment, std::uint64_t document) {
    check_document(segment, document);
    return segment.document_row(document);
}

}  // namespace potstill
