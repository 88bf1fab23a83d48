#include "runner/program.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "kernels/threads.hpp"

namespace potstill {
namespace {

// Above any model's, and so small that products of them are sizes.
constexpr std::size_t kMostLayers = 1 << 16, kMostHeads = 1 << 20;

void require(bool holds, const char* text) {
    if (!holds) throw std::invalid_argument(text);
}

bool must_wait(const Instruction& first, const Instruction& second) {
    return !(first.is_by_rows() && second.is_by_rows() && first.space() == second.space());
}

}  // namespace

template <typename Kind, typename... Arguments>
void Program::emit(Arguments&&... arguments) {
    parts_[static_cast<std::size_t>(part_)].push_back(
        std::make_unique<Kind>(std::forward<Arguments>(arguments)...));
}

void Program::check_width(const View& view, std::size_t width, const char* what) const {
    buffers_.check(view);
    if (view.width == width) return;
    throw std::invalid_argument(std::string(what) + " has " + std::to_string(view.width) + " columns, not " +
                                std::to_string(width));
}

void Program::embed(const PackedMatrix& table, float scale, const PackedMatrix* positions, std::size_t offset,
                    View out) {
    require(part_ == Part::body && embed_ == nullptr, "a program embeds once, in its body");
    check_width(out, table.columns(), "out");
    require(positions == nullptr || positions->columns() == table.columns(),
            "positions must have the columns of the table");
    auto instruction = std::make_unique<Embed>(table, scale, positions, offset, out);
    embed_ = instruction.get();
    uses_positions_ = uses_positions_ || positions != nullptr;
    parts_[0].push_back(std::move(instruction));
}

void Program::norm(View x, View out, std::vector<float> weight, std::vector<float> bias,
                   Norm::Settings settings) {
    check_width(x, x.width, "x");
    check_width(out, x.width, "out");
    require(settings.num_heads > 0 && x.width % settings.num_heads == 0, "x must divide into the heads");
    const std::size_t size = x.width / settings.num_heads;
    require(weight.size() == size, "weight must have a number for each column of a head");
    require(bias.empty() || bias.size() == size, "bias must have a number for each column of a head");
    emit<Norm>(space(), x, out, std::move(weight), std::move(bias), settings);
}

void Program::prepare(View x, WeightKind weights) {
    widest_input_ = std::max(widest_input_, x.width);
    emit<Prepare>(space(), x, weights);
}

void Program::linear(View x, const PackedMatrix& matrix, std::vector<float> bias, Act act, bool accumulate,
                     View out) {
    check_width(x, matrix.columns(), "x");
    check_width(out, matrix.rows(), "out");
    require(bias.empty() || bias.size() == matrix.rows(),
            "bias must have a number for each row of the matrix");
    require(!accumulate || act == Act::none, "what is accumulated has no activation");
    prepare(x, matrix.kind());
    emit<Product>(space(), matrix, std::move(bias), act, accumulate, out, num_counters_++);
}

void Program::rotation(std::vector<float> frequencies, View table) {
    require(part_ == Part::body, "positions turn in the body");
    check_width(table, 2 * frequencies.size(), "table");
    uses_positions_ = true;
    emit<Rotation>(std::move(frequencies), table);
}

void Program::rotate(View x, std::size_t num_heads, View table) {
    require(part_ == Part::body, "positions turn in the body");
    check_width(x, x.width, "x");
    check_width(table, table.width, "table");
    require(num_heads > 0 && x.width % num_heads == 0, "x must divide into the heads");
    require(table.width % 2 == 0 && table.width <= x.width / num_heads, "table is wider than a head");
    emit<Rotate>(x, num_heads, table);
}

void Program::store(std::size_t layer, View keys, View values) {
    require(part_ == Part::body, "keys and values are stored in the body");
    check_width(keys, keys.width, "keys");
    check_width(values, keys.width, "values");
    require(stored_width_ == 0 || stored_width_ == keys.width, "all layers store keys of one width");
    require(layer < kMostLayers, "there are not so many layers");
    stored_width_ = keys.width;
    num_layers_ = std::max(num_layers_, layer + 1);
    uses_cache_ = true;
    emit<Store>(layer, keys, values);
}

std::size_t Program::plan_for(const Heads& heads) {
    const auto found = std::find(heads_.begin(), heads_.end(), heads);
    if (found != heads_.end()) return static_cast<std::size_t>(found - heads_.begin());
    heads_.push_back(heads);
    plans_.resize(heads_.size());
    return heads_.size() - 1;
}

void Program::attend(AttendArguments given) {
    const Heads& heads = given.heads;
    require(part_ == Part::body, "attention is part of the body");
    require(heads.num_heads > 0 && heads.num_kv_heads > 0 && heads.head_size > 0 &&
                heads.num_heads % heads.num_kv_heads == 0,
            "num_heads must be a multiple of num_kv_heads, and none 0");
    require(std::max(heads.num_heads, heads.head_size) < kMostHeads,
            "there are not so many heads, nor as large");
    require(given.layer < kMostLayers, "there are not so many layers");
    check_width(given.q, heads.num_heads * heads.head_size, "q");
    check_width(given.out, heads.num_heads * heads.head_size, "out");
    require(!given.window || *given.window >= 1, "window must be at least 1");
    require(given.softcap >= 0, "softcap must be above 0");
    require(given.bias.empty() ||
                (given.bias_width % 2 == 1 && given.bias.size() == heads.num_heads * given.bias_width),
            "bias must have a row for each head and an odd number of columns");
    if (heads.keys_of == KeysOf::packed) {
        check_width(given.keys, heads.num_kv_heads * heads.head_size, "keys");
        check_width(given.values, heads.num_kv_heads * heads.head_size, "values");
        require(buffers_.stride(given.keys) == buffers_.stride(given.values),
                "packed keys and values must be columns of one buffer, or of two of one width");
    } else {
        uses_cache_ = true;
        num_layers_ = std::max(num_layers_, given.layer + 1);
    }
    auto settings = std::make_shared<AttendSettings>();
    *settings = {given.layer,
                 heads,
                 plan_for(heads),
                 num_counters_++,
                 given.q,
                 given.keys,
                 given.values,
                 given.out,
                 std::move(given.bias),
                 {given.scale, given.window, given.softcap, nullptr, given.bias_width, given.is_causal}};
    if (!settings->bias.empty()) settings->options.bias = settings->bias.data();
    emit<Attend>(settings);
    emit<FinishAttend>(settings);
}

void Program::gate(View a, View b, Act act, View out) {
    check_width(a, a.width, "a");
    check_width(b, a.width, "b");
    check_width(out, a.width, "out");
    emit<Gate>(space(), a, b, act, out);
}

void Program::add(View x, float scale, bool accumulate, View out) {
    check_width(x, x.width, "x");
    check_width(out, x.width, "out");
    emit<Add>(space(), x, scale, accumulate, out);
}

void Program::select(View x, View out) {
    require(part_ == Part::body, "the wanted tokens are selected once");
    check_width(x, x.width, "x");
    check_width(out, x.width, "out");
    require(x.buffer != out.buffer, "tokens are selected into another buffer");
    part_ = Part::tail;
    emit<Select>(x, out);
}

void Program::result(View hidden) {
    require(part_ == Part::tail, "a result comes after select, once");
    check_width(hidden, hidden.width, "hidden");
    result_ = hidden, has_result_ = true, part_ = Part::head;
}

void Program::head(const PackedMatrix& matrix, std::vector<float> bias, float softcap) {
    require(part_ == Part::head && vocab_size_ == 0, "a head comes after the result, once");
    require(softcap >= 0, "softcap must be above 0");
    logits_buffer_ = buffers_.add_lent(matrix.rows());
    const View logits{logits_buffer_, 0, matrix.rows()};
    linear(result_, matrix, std::move(bias), Act::none, false, logits);
    vocab_size_ = matrix.rows();
    if (softcap > 0) emit<Softcap>(Space::wanted, logits, softcap);
}

std::vector<const Instruction*> Program::part_list(std::initializer_list<Part> parts) const {
    std::vector<const Instruction*> list;
    for (const Part part : parts) {
        for (const auto& one : parts_[static_cast<std::size_t>(part)]) list.push_back(one.get());
    }
    return list;
}

void Program::run_parts(const RunInputs& in, std::initializer_list<Part> parts) {
    check_inputs(in);
    make_room(in, std::max(in.token_ids.size(), in.wanted.size()));
    make_plans(in);
    execute(in, part_list(parts));
}

void Program::run(const RunInputs& in) {
    const std::lock_guard lock(mutex_);
    run_parts(in, {Part::body});
}

void Program::run_hidden(const RunInputs& in, float* out) {
    const std::lock_guard lock(mutex_);
    require(has_result_, "this program has no result");
    run_parts(in, {Part::body, Part::tail});
    for (std::size_t row = 0; row < in.wanted.size(); ++row) {
        std::copy_n(buffers_.row(result_, row), result_.width, out + row * result_.width);
    }
}

void Program::run_logits(const RunInputs& in, float* out) {
    const std::lock_guard lock(mutex_);
    require(vocab_size_ > 0, "this program has no head");
    buffers_.lend(logits_buffer_, out);
    run_parts(in, {Part::body, Part::tail, Part::head});
}

void Program::logits(const float* hidden, std::size_t num_rows, float* out) {
    const std::lock_guard lock(mutex_);
    require(vocab_size_ > 0, "this program has no head");
    std::vector<std::int64_t> wanted(num_rows);
    RunInputs in;
    in.wanted = wanted;
    make_room(in, num_rows);
    buffers_.lend(logits_buffer_, out);
    for (std::size_t row = 0; row < num_rows; ++row) {
        std::copy_n(hidden + row * result_.width, result_.width, buffers_.row(result_, row));
    }
    execute(in, part_list({Part::head}));
}

void Program::make_room(const RunInputs& in, std::size_t num_rows) {
    buffers_.reserve(num_rows);
    activations_.reserve(std::max(num_rows, in.token_ids.size()), widest_input_);
    threads_.resize(static_cast<std::size_t>(max_threads()));
}

void Program::execute(const RunInputs& in, const std::vector<const Instruction*>& instructions) {
    std::vector<std::atomic<std::size_t>> counters(num_counters_);
    // All that may fail is done before the threads start: none of them could report it.
    for (const Instruction* one : instructions) {
        if (is_profiling_) seconds_.try_emplace(one->kind(), 0.0);
    }
    TeamBarrier barrier;
    const Run run{
        in, &buffers_, &activations_, &plans_, &counters, &barrier, {in.token_ids.size(), in.wanted.size()}};
#pragma omp parallel
    {
        RunThread& own = threads_[static_cast<std::size_t>(thread_index())];
        own.index = static_cast<std::size_t>(thread_index());
        own.count = static_cast<std::size_t>(team_size());
        execute_share(run, instructions, own);
    }
}

void Program::execute_share(const Run& run, const std::vector<const Instruction*>& instructions,
                            RunThread& thread) {
    using Clock = std::chrono::steady_clock;
    const bool is_timed = is_profiling_ && thread.index + 1 == thread.count;
    auto before = is_timed ? Clock::now() : Clock::time_point();
    for (std::size_t i = 0; i < instructions.size(); ++i) {
        instructions[i]->run(run, thread);
        if (i + 1 < instructions.size() && must_wait(*instructions[i], *instructions[i + 1])) {
            run.barrier->wait(thread.count);
        }
        if (!is_timed) continue;
        const auto now = Clock::now();
        seconds_.at(instructions[i]->kind()) += std::chrono::duration<double>(now - before).count();
        before = now;
    }
}

void Program::set_profiling(bool is_on) {
    const std::lock_guard lock(mutex_);
    is_profiling_ = is_on;
    seconds_.clear();
}

std::map<std::string, double> Program::seconds() const {
    const std::lock_guard lock(mutex_);
    return seconds_;
}

}  // namespace potstill
