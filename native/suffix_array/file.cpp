#include "suffix_array/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "suffix_array/error.hpp"

namespace potstill {
namespace {

constexpr std::uint64_t kWriteBackBytes = std::uint64_t{8} << 20;

}  // namespace

InputFile::InputFile(const std::string& path)
    : path_(path), descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor_ < 0) throw_errno(path_);
}

InputFile::~InputFile() { close(descriptor_); }

std::uint64_t InputFile::size() const {
    struct stat status{};
    if (fstat(descriptor_, &status) != 0) throw_errno(path_);
    return static_cast<std::uint64_t>(status.st_size);
}

std::size_t InputFile::read_up_to(void* out, std::size_t size, std::uint64_t offset) const {
    auto* next = static_cast<unsigned char*>(out);
    std::size_t done = 0;
    while (done < size) {
        const ssize_t got = pread(descriptor_, next + done, size - done, static_cast<off_t>(offset + done));
        if (got == 0) break;
        if (got > 0) {
            done += static_cast<std::size_t>(got);
        } else if (errno != EINTR) {
            throw_errno(path_);
        }
    }
    return done;
}

void InputFile::read(void* out, std::size_t size, std::uint64_t offset) const {
    const std::size_t got = read_up_to(out, size, offset);
    if (got < size) throw DamagedFile(path_, offset + got, "the file ends here, and should not");
}

OutputFile::OutputFile(const std::string& path, std::uint64_t offset, bool replaces)
    : path_(path),
      descriptor_(open(path.c_str(), O_WRONLY | O_CREAT | (replaces ? O_TRUNC : 0) | O_CLOEXEC, 0666)),
      offset_(offset),
      written_back_(offset),
      // Not zeroed: a small file touches little of it.
      buffer_(new unsigned char[kBufferBytes]) {
    if (descriptor_ < 0) throw_errno(path_);
}

OutputFile::~OutputFile() {
    if (descriptor_ >= 0) close(descriptor_);
}

void OutputFile::append(const void* bytes, std::size_t size) {
    if (size == 0) return;
    const auto* next = static_cast<const unsigned char*>(bytes);
    if (size > kBufferBytes - used_) flush();
    if (size > kBufferBytes) {
        write_out(next, size);
        return;
    }
    std::memcpy(buffer_.get() + used_, next, size);
    used_ += size;
}

void OutputFile::append_file(const std::string& path) {
    const InputFile file(path);
    std::vector<unsigned char> piece(kBufferBytes);
    for (std::uint64_t offset = 0;; offset += piece.size()) {
        const std::size_t size = file.read_up_to(piece.data(), piece.size(), offset);
        append(piece.data(), size);
        if (size < piece.size()) return;
    }
}

void OutputFile::finish() {
    flush();
    if (fsync(descriptor_) != 0) throw_errno(path_);
    const int descriptor = descriptor_;
    descriptor_ = -1;
    if (close(descriptor) != 0) throw_errno(path_);
}

void OutputFile::flush() {
    write_out(buffer_.get(), used_);
    used_ = 0;
}

void OutputFile::write_out(const unsigned char* bytes, std::size_t size) {
    while (size > 0) {
        const ssize_t written = pwrite(descriptor_, bytes, size, static_cast<off_t>(offset_));
        if (written >= 0) {
            bytes += written;
            size -= static_cast<std::size_t>(written);
            offset_ += static_cast<std::uint64_t>(written);
        } else if (errno != EINTR) {
            throw_errno(path_);
        }
    }
#ifdef SYNC_FILE_RANGE_WRITE
    // The disk works while we go on, so that the sync at the end has little left to wait for. A refusal tells
    // nothing that the sync will not.
    if (offset_ - written_back_ >= kWriteBackBytes) {
        sync_file_range(descriptor_, static_cast<off_t>(written_back_),
                        static_cast<off_t>(offset_ - written_back_), SYNC_FILE_RANGE_WRITE);
        written_back_ = offset_;
    }
#endif
}

}  // namespace potstill
