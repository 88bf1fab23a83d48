// The forward pass of a model as a list of instructions, run by one team of threads.
//
// A program has three parts: the body, over all N tokens of a run; the tail, over those of them that are
// wanted; and the head, from the tail's result to logits. It is built once a model and run once a step.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runner/instructions.hpp"
#include "runner/run.hpp"

namespace potstill {

struct AttendArguments {
    std::size_t layer;
    Heads heads;
    View q, keys, values, out;
    float scale;
    std::optional<std::int32_t> window;
    float softcap;
    std::vector<float> bias;  // [H, bias_width]
    std::size_t bias_width;
    bool is_causal;
};

class Program {
  public:
    // Building. Matrices are the caller's to keep. Throws std::invalid_argument where widths do not fit.
    std::size_t add_buffer(std::size_t width) { return buffers_.add(width); }
    void embed(const PackedMatrix& table, float scale, const PackedMatrix* positions, std::size_t offset,
               View out);
    void norm(View x, View out, std::vector<float> weight, std::vector<float> bias, Norm::Settings settings);
    void linear(View x, const PackedMatrix& matrix, std::vector<float> bias, Act act, bool accumulate,
                View out);
    void rotation(std::vector<float> frequencies, View table);
    void rotate(View x, std::size_t num_heads, View table);
    void store(std::size_t layer, View keys, View values);
    void attend(AttendArguments arguments);
    void gate(View a, View b, Act act, View out);
    void add(View x, float scale, bool accumulate, View out);

    // Ends the body: out is x at the wanted tokens, and what follows is about those.
    void select(View x, View out);
    // Ends the tail: `hidden` is what a run can give, and what logits are made from.
    void result(View hidden);
    // The last instruction: logits of the result's rows.
    void head(const PackedMatrix& matrix, std::vector<float> bias, float softcap);

    std::size_t hidden_size() const { return result_.width; }
    std::size_t vocab_size() const { return vocab_size_; }

    // Running; one at a time, others wait. Throws std::invalid_argument, or std::out_of_range for a block
    // outside of the cache, before anything is written.
    void run(const RunInputs& in);                     // the body alone: keys and values are stored
    void run_hidden(const RunInputs& in, float* out);  // [M, E]
    void run_logits(const RunInputs& in, float* out);  // [M, V]
    void logits(const float* hidden, std::size_t num_rows, float* out);  // hidden [M, E] to [M, V]

    std::size_t buffer_bytes() const { return buffers_.bytes(); }

    // Seconds by kind of instruction, waiting for the other threads included, since profiling was turned on.
    void set_profiling(bool is_on);
    std::map<std::string, double> seconds() const;

  private:
    enum class Part : std::uint8_t { body, tail, head };

    Space space() const { return part_ == Part::body ? Space::tokens : Space::wanted; }
    template <typename Kind, typename... Arguments>
    void emit(Arguments&&... arguments);
    void prepare(View x, WeightKind weights);
    void check_width(const View& view, std::size_t width, const char* what) const;
    std::size_t plan_for(const Heads& heads);
    void check_inputs(const RunInputs& in) const;
    void check_cache(const RunInputs& in) const;
    void check_keys(const RunInputs& in, const Heads& heads) const;
    void make_room(const RunInputs& in, std::size_t num_rows);
    void make_plans(const RunInputs& in);
    void execute(const RunInputs& in, const std::vector<const Instruction*>& instructions);
    void execute_share(const Run& run, const std::vector<const Instruction*>& instructions,
                       RunThread& thread);
    std::vector<const Instruction*> part_list(std::initializer_list<Part> parts) const;
    void run_parts(const RunInputs& in, std::initializer_list<Part> parts);

    Buffers buffers_;
    Activations activations_;
    std::vector<std::unique_ptr<Instruction>> parts_[3];
    Part part_ = Part::body;
    View result_{0, 0, 0};
    bool has_result_ = false;
    std::size_t logits_buffer_ = 0, vocab_size_ = 0;

    const Embed* embed_ = nullptr;
    std::size_t widest_input_ = 1, num_layers_ = 0;
    bool uses_positions_ = false, uses_cache_ = false, stores_ = false;
    std::size_t stored_width_ = 0;
    std::vector<Heads> heads_;  // one a plan
    std::vector<AttentionPlan> plans_;
    std::vector<AttendedSequence> sequences_;
    std::size_t num_counters_ = 0;
    std::vector<RunThread> threads_;

    mutable std::mutex mutex_;
    bool is_profiling_ = false;
    std::map<std::string, double> seconds_;
};

}  // namespace potstill
